// Agent: what the production agent says on the wire, seen by a relay in the middle of its TLS.
// Neighbours: `tap` is the relay, `judge` reads it; `test/site.ts` runs the agent.
// Invariant: each case has a hub, a relay and an agent of its own; every connection is judged.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { IConnectPacket, IPublishPacket, ISubscribePacket } from "mqtt-packet";
import { Site, until } from "../site.ts";
import * as bytes from "./bytes.ts";
import { cast, Runtime } from "./cast.ts";
import { type Heard, packets, problems, withoutDup } from "./judge.ts";
import type { Case } from "./report.ts";
import { Flow, Tap, type Wire } from "./tap.ts";

const ID = "site1";

/** A hub, a relay and an agent that has not been started. */
class Scene {
  private constructor(
    readonly site: Site,
    readonly tap: Tap,
  ) {}

  /** Runs a case and judges all that passed. `more`: settings as in `Site.settings`. */
  static async play(more: Record<string, string>, work: (scene: Scene) => Promise<void>) {
    const site = await Site.open();
    const tap = await Tap.open(site.azure.ready);
    const scene = new Scene(site, tap);
    const address = `HostName=localhost:${tap.port};DeviceId=${ID};SharedAccessKey=${site.key}`;
    site.settings({
      "endpoint connection-string": address,
      "endpoint ca-file": tap.caFile,
      ...more,
    });
    try {
      site.start();
      await work(scene);
      deepEqual(
        tap.wires.flatMap((wire) => problems(wire, ID)),
        [],
      );
    } finally {
      await site.close();
      tap.stop();
    }
  }

  /** Packets of one kind that the agent has sent on a connection. */
  sent<T>(cmd: string, wire: Wire = this.tap.last): (Heard & { packet: T })[] {
    const all = wire === undefined ? [] : packets(wire.up);
    return all.filter(({ packet }) => packet.cmd === cmd) as (Heard & { packet: T })[];
  }

  /** Waits until the agent has sent `count` packets of a kind on its last connection. */
  async spoken<T>(cmd: string, count: number): Promise<(Heard & { packet: T })[]> {
    return until(`${count} ${cmd}`, () => {
      const all = this.sent<T>(cmd);
      return all.length >= count && all;
    });
  }

  async stop(): Promise<void> {
    this.site.agent!.kill("SIGTERM");
    equal(await this.site.agent!.exited, 0);
    await until("the socket closed", () => this.tap.last.end !== "");
  }
}

function judgesEntry(packet: IConnectPacket): void {
  const { protocolId, protocolVersion, clean, keepalive, clientId, will } = packet;
  deepEqual(
    { protocolId, protocolVersion, clean, keepalive, clientId, will },
    {
      protocolId: "MQTT",
      protocolVersion: 4,
      clean: false,
      keepalive: 240,
      clientId: ID,
      will: undefined,
    },
  );
  match(
    packet.username!,
    /^localhost\/site1\/\?api-version=2021-04-12&DeviceClientType=azimuth%2F[\w.%-]+$/,
  );
  const token = packet.password!.toString();
  const form = /^SharedAccessSignature sr=localhost%2Fdevices%2Fsite1&sig=([\w%]+)&se=(\d{10})$/;
  match(token, form);
  const [, signature, expiry] = form.exec(token)!;
  equal(Buffer.from(decodeURIComponent(signature!), "base64").length, 32);
  const leftS = Number(expiry) - Date.now() / 1000;
  ok(leftS > 3500 && leftS < 3700, `token of ${leftS} s`);
}

async function greets(): Promise<void> {
  await Scene.play({}, async (scene) => {
    await scene.spoken("publish", 4);
    const [connect] = scene.sent<IConnectPacket>("connect");
    judgesEntry(connect!.packet);
    const filters = scene
      .sent<ISubscribePacket>("subscribe")
      .flatMap(({ packet }) => packet.subscriptions.map(({ topic, qos }) => [topic, qos]));
    const twin = ["$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#"];
    for (const topic of twin) ok(filters.some(([filter]) => filter === topic));
    const isKnown = ([filter]: (string | number)[]) => {
      const others = ["$iothub/methods/POST/#", `devices/${ID}/messages/devicebound/#`];
      return [...twin, ...others].includes(filter as string);
    };
    ok(filters.every(isKnown), JSON.stringify(filters));
    const suback = packets(scene.tap.last.down).find(({ packet }) => packet.cmd === "suback")!;
    const gets = scene
      .sent<IPublishPacket>("publish")
      .filter(({ packet }) => packet.topic.startsWith("$iothub/twin/GET/"));
    equal(gets.length, 1);
    ok(gets[0]!.atMs >= suback.atMs, "GET before SUBACK");
    deepEqual([gets[0]!.packet.qos, gets[0]!.packet.payload.length], [0, 0]);
  });
}

async function takesLeave(): Promise<void> {
  await Scene.play({}, async (scene) => {
    await scene.spoken("publish", 3);
    await scene.stop();
    const { last } = scene.tap;
    const all = Buffer.concat(last.up.map((piece) => piece.bytes));
    deepEqual(all.subarray(-2), Buffer.from(bytes.DISCONNECT));
    equal(scene.sent("disconnect").length, 1);
    const close = scene.site.events.findLast((event) => event.type === "close");
    equal(close?.type === "close" && close.reason, "DISCONNECT");
  });
}

async function pings(): Promise<void> {
  const quiet = { "endpoint keep-alive": "10", "telemetry interval": "0" };
  await Scene.play(quiet, async (scene) => {
    await scene.site.logged("connected to");
    const end = performance.now() + 45_000;
    while (scene.sent("pingreq").length < 3 && performance.now() < end) await Bun.sleep(100);
    const pings = scene.sent("pingreq");
    equal(pings.length, 3);
    equal(scene.tap.wires.length, 1);
    const times = packets(scene.tap.last.up).map(({ atMs }) => atMs);
    const gaps = times.slice(1).map((atMs, index) => atMs - times[index]!);
    // The standard allows 10 s, the hub cuts at 15 s; a ping every few seconds would be wrong too.
    ok(Math.max(...gaps) < 15_000, `gaps ${gaps}`);
    const between = pings.slice(1).map(({ atMs }, index) => atMs - pings[index]!.atMs);
    ok(Math.min(...between) > 5000, `pings ${between}`);
    deepEqual(pings[0]!.frame, Buffer.from(bytes.PINGREQ));
  });
}

async function repeats(): Promise<void> {
  await Scene.play({}, async (scene) => {
    const { tap, site } = scene;
    await scene.spoken("publish", 3);
    await until("all acknowledged", () => telemetry(scene, tap.last).length >= 2);
    tap.flow = Flow.NONE;
    const first = tap.last;
    const before = telemetry(scene, first).length;
    await until("three more", () => telemetry(scene, first).length >= before + 3);
    const unacknowledged = unanswered(first);
    first.cut();
    tap.flow = Flow.WHOLE;
    await until("a second connection", () => tap.wires.length === 2);
    const copies = await until("the copies", () => {
      const all = telemetry(scene, tap.last);
      return all.length > unacknowledged.length && all;
    });
    const again = copies.slice(0, unacknowledged.length);
    ok(again.every(({ packet }) => packet.dup));
    deepEqual(
      again.map(({ frame }) => withoutDup(frame).toString("hex")),
      unacknowledged.map(({ frame }) => withoutDup(frame).toString("hex")),
    );
    const fresh = copies[unacknowledged.length]!.packet;
    equal(fresh.dup, false);
    const ids = site.received();
    const last = Math.max(...ids.map((id) => Number(id.split(".")[1])));
    const numbers = new Set(ids.map((id) => Number(id.split(".")[1])));
    for (let number = 1; number <= last; number++) ok(numbers.has(number), `lost ${number}`);
  });
}

/** Telemetry that the agent has sent on a connection. */
function telemetry(scene: Scene, wire: Wire): (Heard & { packet: IPublishPacket })[] {
  return scene
    .sent<IPublishPacket>("publish", wire)
    .filter(({ packet }) => packet.topic.startsWith(`devices/${ID}/`));
}

/** QoS 1 messages on a connection for which no PUBACK has passed. */
function unanswered(wire: Wire): Heard[] {
  const acks = new Set(
    packets(wire.down).flatMap(({ packet }) => (packet.cmd === "puback" ? [packet.messageId] : [])),
  );
  return packets(wire.up).filter(({ packet }) => {
    return packet.cmd === "publish" && packet.qos === 1 && !acks.has(packet.messageId);
  });
}

async function readsDrops(): Promise<void> {
  await Scene.play({}, async (scene) => {
    scene.tap.flow = Flow.DRIP;
    await scene.site.logged("connected to");
    const long = Object.fromEntries(
      Array.from({ length: 7 }, (_, index) => [`k${index}`, "x".repeat(4000)]),
    );
    scene.site.desire({ ...long, LED1: true });
    await until("the lamp lit", () => scene.site.lamp() === "1");
    scene.site.desire({ LED1: false });
    await until("the lamp dark", () => scene.site.lamp() === "0");
    equal(scene.tap.wires.length, 1);
  });
}

/** What no server may send (MQTT 3.1.1): the agent must hang up and come back. */
const FORBIDDEN: readonly (readonly [string, Uint8Array])[] = [
  ["a second CONNACK", bytes.connack(0)],
  ["PUBLISH with QoS 3", bytes.packet(0x36, bytes.field("a"), bytes.u16(1))],
  ["PUBLISH with QoS 2", bytes.publish("a", "", { qos: 2, id: 1 })],
  ["PUBLISH with a wildcard", bytes.publish("a/#", "")],
  ["PUBLISH with identifier 0", bytes.publish("a", "", { qos: 1, id: 0 })],
  ["PUBLISH with ill-formed UTF-8", bytes.publish(Buffer.of(0xc0, 0x80), "")],
  ["PINGRESP with a body", Buffer.of(0xd0, 1, 0)],
  ["a packet of clients", bytes.PINGREQ],
  ["a reserved type", Buffer.of(0xf0, 0)],
  ["a remaining length of five bytes", Buffer.of(0x30, 0x80, 0x80, 0x80, 0x80, 1)],
  ["256 MB announced", Buffer.of(0x30, 0xff, 0xff, 0xff, 0x7f)],
];

async function hangsUp(index: number): Promise<void> {
  await Scene.play({ "telemetry interval": "0" }, async (scene) => {
    const { site, tap } = scene;
    await site.logged("connected to");
    const first = tap.last;
    const at = site.log.length;
    first.inject(FORBIDDEN[index]![1]);
    await until("the agent hung up", () => first.end === "agent");
    await site.logged("next attempt in", at);
    await until("a second connection", () => tap.wires.length === 2);
  });
}

async function toleratesStrays(): Promise<void> {
  await Scene.play({ "telemetry interval": "0" }, async (scene) => {
    const { site, tap } = scene;
    await site.logged("connected to");
    tap.last.inject(bytes.PINGRESP);
    tap.last.inject(bytes.publish("$iothub/twin/res/200/?$rid=4711", "{}"));
    tap.last.inject(bytes.publish("something/else", "unasked"));
    site.desire({ LED1: true });
    await until("the lamp lit", () => site.lamp() === "1");
    equal(tap.wires.length, 1);
  });
}

async function obeysService(): Promise<void> {
  await Scene.play({}, async ({ site, tap }) => {
    await site.logged("connected to");
    const service = await cast("service", Runtime.NODE);
    const { hubName, servicePolicy, serviceKey, httpsPort, caFile } = site.azure.ready;
    const policy = `SharedAccessKeyName=${servicePolicy};SharedAccessKey=${serviceKey}`;
    const connectionString = `HostName=${hubName};${policy}`;
    const ca = await Bun.file(caFile).text();
    await service.call("make", "owner", { connectionString, ca, httpsPort });
    const words = [ID, { properties: { desired: { LED1: true } } }, "*"];
    await service.call("registry", "owner", { verb: "updateTwin", words });
    await until("the lamp lit", () => site.lamp() === "1");
    const isTold = async (): Promise<boolean> => {
      const twin = await service.call<{
        properties: { reported: { LED1?: { value: boolean; ac: number; av: number } } };
      }>("twin", "owner", { id: ID });
      const { LED1 } = twin.properties.reported;
      return LED1?.value === true && LED1.ac === 200 && LED1.av === 2;
    };
    const end = performance.now() + 20_000;
    while (!(await isTold()) && performance.now() < end) await Bun.sleep(20);
    ok(await isTold());
    await service.stop();
    equal(tap.wires.length, 1);
  });
}

/** Cases of the agent. */
export const AGENT: readonly Case<undefined>[] = [
  ["CONNECT, SUBSCRIBE and twin GET, field by field", greets],
  ["SIGTERM: DISCONNECT is its last word", takesLeave],
  ["keep-alive 10 s: PINGREQ in time and no more than that", pings],
  ["after a cut: DUP, same identifiers, same bytes, same order, nothing lost", repeats],
  ["reads a hub that sends byte by byte", readsDrops],
  ...FORBIDDEN.map(([name], index): Case<undefined> => {
    return [`hangs up on ${name} and comes back`, () => hangsUp(index)];
  }),
  ["is not put off by answers to nothing", toleratesStrays],
  ["the service SDK lights its lamp and reads the report", obeysService],
];
