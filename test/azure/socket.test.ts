/**
 * The MQTT listener over real TLS, and MQTT over WebSocket. Neighbours: `wire.ts` is the
 * device; the rules themselves are tested on the model. Invariant: no test waits for a timer
 * of its own.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect as connectPlain } from "node:net";
import { connect } from "node:tls";
import { generate, parser } from "mqtt-packet";
import { KEY, textOf } from "./lab.ts";
import { HubCode } from "./model/errors.ts";
import type { HubEvent } from "./model/events.ts";
import { makeSas } from "./model/sas.ts";
import { type Emulator, startEmulator } from "./server/emulator.ts";
import { WireDevice } from "./wire.ts";

const EVENTS = "devices/d1/messages/events/";
let emulator: Emulator;
const events: HubEvent[] = [];
const waiting: { isIt: (event: HubEvent) => boolean; resolve: (event: HubEvent) => void }[] = [];

function onEvent(event: HubEvent): void {
  events.push(event);
  for (const wait of waiting.splice(0)) {
    if (wait.isIt(event)) wait.resolve(event);
    else waiting.push(wait);
  }
}

/** The next event that fits. */
function nextEvent(isIt: (event: HubEvent) => boolean): Promise<HubEvent> {
  return new Promise((resolve) => waiting.push({ isIt, resolve }));
}

const open = (id: string, host?: string) => WireDevice.open(emulator.ready, id, host);

beforeAll(() => {
  emulator = startEmulator({ onEvent });
  for (const id of ["d1", "d2"]) {
    const symmetricKey = { primaryKey: KEY, secondaryKey: "" };
    emulator.hub.createDevice(id, { authentication: { type: "sas", symmetricKey } });
  }
});

afterAll(() => emulator.stop());

describe("MQTT over TLS", () => {
  test("connect, telemetry, twin, push, method, mail", async () => {
    const device = await open("d1");
    expect(await device.connect(KEY)).toMatchObject({ returnCode: 0, sessionPresent: false });
    device.publish(`${EVENTS}a=b`, "one", 1);
    expect(await device.next()).toMatchObject({ cmd: "puback", messageId: 1 });

    await device.subscribe("$iothub/twin/res/#", 2);
    device.publish("$iothub/twin/GET/?$rid=1", " ");
    expect(textOf(await device.next())).toContain('"desired":{"$version":1}');

    await device.subscribe("$iothub/twin/PATCH/properties/desired/#", 3);
    emulator.hub.patchTwin("d1", { properties: { desired: { LED1: true } } });
    expect(textOf(await device.next())).toBe('{"LED1":true,"$version":2}');

    await device.subscribe("$iothub/methods/POST/#", 4);
    const result = new Promise((resolve) => {
      emulator.hub.invokeMethod("d1", { methodName: "blink", payload: 1 }, resolve);
    });
    const rid = /\$rid=(.*)$/.exec((await device.next())!.topic!)![1];
    device.publish(`$iothub/methods/res/200/?$rid=${rid}`, "2");
    expect(await result).toEqual({ status: 200, payload: 2 });

    await device.subscribe("devices/d1/messages/devicebound/#", 5, 1);
    emulator.hub.sendC2d("d1", Buffer.from("hello"));
    const mail = await device.next();
    expect(textOf(mail)).toBe("hello");
    device.send({ cmd: "puback", messageId: mail!.messageId! });

    device.send({ cmd: "disconnect" });
    await device.ended();
    expect(events.at(-1)).toMatchObject({ type: "close", by: "device", reason: "DISCONNECT" });
  });

  for (const host of ["127.0.0.1", "::1"]) {
    test(`listens on ${host}`, async () => {
      const device = await open("d2", host);
      expect(await device.connect(KEY)).toMatchObject({ returnCode: 0 });
      device.destroy();
    });
  }

  test("a refusal is CONNACK 5, then the end of the socket", async () => {
    const device = await open("d1");
    const wrong = Buffer.alloc(32, 1).toString("base64");
    expect(await device.connect(wrong)).toMatchObject({ cmd: "connack", returnCode: 5 });
    expect(await device.next()).toBeUndefined();
  });

  test("a publish off the list ends the socket", async () => {
    const device = await open("d1");
    await device.connect(KEY);
    device.publish("nowhere", "x", 1);
    expect(await device.next()).toBeUndefined();
  });

  test("a socket that goes away without DISCONNECT is logged", async () => {
    const device = await open("d1");
    await device.connect(KEY);
    const closed = nextEvent((event) => event.type === "close");
    device.destroy();
    expect(await closed).toMatchObject({
      by: "device",
      codeName: "DeviceConnectionClosedRemotely",
    });
  });

  test("a half-closed socket gets what was on its way, then the end", async () => {
    const device = await open("d1");
    await device.connect(KEY);
    device.publish(EVENTS, "last", 9);
    device.socket.end();
    expect(await device.next()).toMatchObject({ cmd: "puback", messageId: 9 });
    await device.ended();
  });

  test("keep-alive and token deadlines run on the real clock", async () => {
    const device = await open("d1");
    await device.connect(KEY, { keepalive: 1 });
    expect(await device.next()).toBeUndefined();
    expect(events.at(-1)).toMatchObject({ type: "close", by: "hub" });
  });

  test("a taken-over socket ends, the new one goes on", async () => {
    const first = await open("d1");
    await first.connect(KEY);
    const second = await open("d1");
    await second.connect(KEY);
    expect(await first.next()).toBeUndefined();
    second.publish(EVENTS, "x", 1);
    expect(await second.next()).toMatchObject({ cmd: "puback" });
    second.destroy();
  });

  test("a hundred publishes in one write come back in few reads", async () => {
    const device = await open("d1");
    await device.connect(KEY);
    device.reads.length = 0;
    const head = { cmd: "publish", topic: EVENTS, payload: "x", qos: 1 } as const;
    const packets = Array.from({ length: 100 }, (_, index) =>
      generate({ ...head, messageId: index + 1, dup: false, retain: false }),
    );
    device.socket.write(Buffer.concat(packets));
    for (let messageId = 1; messageId <= 100; messageId++) {
      expect(await device.next()).toMatchObject({ cmd: "puback", messageId });
    }
    expect(device.reads.length).toBeLessThan(10);
    device.destroy();
  });

  test("a device that does not read gets everything later, in order", async () => {
    const device = await open("d1");
    await device.connect(KEY, { clean: true });
    await device.subscribe("$iothub/twin/PATCH/properties/desired/#", 1);
    const rounds = 300;
    device.socket.pause();
    const big = Object.fromEntries(
      Array.from({ length: 7 }, (_, n) => [`k${n}`, "x".repeat(4000)]),
    );
    for (let round = 0; round < rounds; round++) {
      emulator.hub.patchTwin("d1", { properties: { desired: { ...big, round } } });
    }
    // Only now does anybody read: far more than a socket buffer has waited.
    device.socket.resume();
    for (let round = 0; round < rounds; round++) {
      expect(JSON.parse(textOf(await device.next())).round).toBe(round);
    }
    device.destroy();
  });

  const nobody = (event: HubEvent) => event.type === "close" && event.deviceId === "";

  test("a device that asks and never reads is ended, and the log says so", async () => {
    const text = Array.from({ length: 7 }, (_, index) => [`k${index}`, "x".repeat(4000)]);
    emulator.hub.patchTwin("d2", { properties: { desired: Object.fromEntries(text) } });
    const device = await open("d2");
    await device.connect(KEY);
    await device.subscribe("$iothub/twin/res/#", 1);
    device.socket.pause();
    const closed = nextEvent((event) => event.type === "close" && event.deviceId === "d2");
    for (let rid = 0; rid < 1000; rid++) device.publish(`$iothub/twin/GET/?$rid=${rid}`, "");
    expect(await closed).toMatchObject({ by: "hub", code: HubCode.ThrottleBacklogLimitExceeded });
    device.destroy();
  });

  test("a client that does not trust the authority is in the log", async () => {
    const refused = nextEvent(nobody);
    const socket = connect({ host: "127.0.0.1", port: emulator.ready.mqttPort });
    socket.on("error", () => {});
    expect((await refused) as object).toMatchObject({
      by: "device",
      reason: expect.stringMatching(/TLS handshake failed: the device .*trust/),
    });
    socket.destroy();
  });

  test("plain MQTT on the TLS port is named as such", async () => {
    const refused = nextEvent(nobody);
    const socket = connectPlain(emulator.ready.mqttPort, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(generate({ cmd: "connect", clientId: "d1", clean: true, keepalive: 60 }));
    expect((await refused) as object).toMatchObject({
      reason: expect.stringMatching(/this is not TLS/),
    });
    socket.destroy();
  });

  test("TLS 1.1 is refused", async () => {
    const socket = connect({
      host: "127.0.0.1",
      port: emulator.ready.mqttPort,
      ca: readFileSync(emulator.ready.caFile),
      servername: "localhost",
      minVersion: "TLSv1.1",
      maxVersion: "TLSv1.1",
    });
    const error = await new Promise<Error>((resolve, reject) => {
      socket.on("error", resolve);
      socket.on("secureConnect", () => reject(new Error("TLS 1.1 was accepted")));
    });
    expect(error).toBeInstanceOf(Error);
  });

  test("many reconnects leave no connection behind", async () => {
    for (let round = 0; round < 50; round++) {
      const device = await open("d1");
      await device.connect(KEY);
      const closed = nextEvent((event) => event.type === "close");
      if (round % 2 === 0) device.send({ cmd: "disconnect" });
      else device.destroy();
      await closed;
      await device.ended();
    }
    expect(emulator.hub.state().connections).toBe(0);
  });
});

describe("MQTT over WebSocket", () => {
  for (const protocol of ["mqtt", "MQTT"]) {
    test(`subprotocol ${protocol}`, async () => {
      const { httpsPort, hubName, caFile } = emulator.ready;
      const url = `wss://localhost:${httpsPort}/$iothub/websocket`;
      const tls = { ca: readFileSync(caFile, "utf8") };
      const socket = new WebSocket(url, { protocols: [protocol], tls } as never);
      socket.binaryType = "arraybuffer";
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onerror = () => reject(new Error("no WebSocket"));
      });
      expect(socket.protocol).toBe(protocol);
      const reader = parser({ protocolVersion: 4 });
      const connack = new Promise((resolve) => reader.on("packet", resolve));
      socket.onmessage = (event) => reader.parse(Buffer.from(event.data as ArrayBuffer));
      const token = makeSas(`${hubName}/devices/d1`, Math.floor(Date.now() / 1000) + 60, KEY);
      const bytes = generate({
        cmd: "connect",
        protocolId: "MQTT",
        protocolVersion: 4,
        clean: true,
        clientId: "d1",
        keepalive: 60,
        username: `${hubName}/d1/?api-version=2021-04-12`,
        password: Buffer.from(token),
      });
      // Frame borders need not be packet borders.
      socket.send(bytes.subarray(0, 7));
      socket.send(bytes.subarray(7));
      expect(await connack).toMatchObject({ cmd: "connack", returnCode: 0 });
      const closed = nextEvent((event) => event.type === "close");
      socket.close();
      expect(await closed).toMatchObject({ deviceId: "d1", by: "device" });
    });
  }

  test("IoT Hub's path and query, mqtt among others, no less than RFC 6455 asks", async () => {
    const { httpsPort, caFile } = emulator.ready;
    const ca = readFileSync(caFile, "utf8");
    const whole = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      "sec-websocket-version": "13",
      "sec-websocket-protocol": "amqp, mqtt",
    };
    const ask = (headers: Record<string, string>, method = "GET") => {
      const socket = connect({ host: "127.0.0.1", port: httpsPort, ca, servername: "localhost" });
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      socket.on("error", reject).once("data", (data) => {
        resolve(`${data}`.split("\r\n")[0]!);
        socket.destroy();
      });
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      const path = "/$iothub/websocket?iothub-no-client-cert=true";
      socket.write(`${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${lines.join("")}\r\n`);
      return promise;
    };
    expect(await ask(whole)).toBe("HTTP/1.1 101 Switching Protocols");
    expect(await ask(whole, "POST")).toMatch(/ 426 /);
    expect(await ask({ ...whole, "sec-websocket-version": "12" })).toMatch(/ 426 /);
    expect(await ask({ ...whole, "sec-websocket-key": "short" })).toMatch(/ 426 /);
    expect(await ask({ ...whole, "sec-websocket-protocol": "amqp" })).toMatch(/ 400 /);
  });

  test("the fault refuse-websocket answers with its status, as often as it is told", async () => {
    const { httpsPort, caFile } = emulator.ready;
    const tls = { ca: readFileSync(caFile, "utf8") };
    const url = `https://localhost:${httpsPort}/$iothub/websocket`;
    const status = async () => (await fetch(url, { tls })).status;
    emulator.hub.faults.add({ kind: "refuse-websocket", code: 403, count: 1 });
    emulator.hub.faults.add({ kind: "refuse-websocket", count: 1 });
    expect([await status(), await status(), await status()]).toEqual([403, 503, 400]);
    expect(() => emulator.hub.faults.add({ kind: "refuse-websocket", code: 200 })).toThrow(/code/);
  });

  test("without the subprotocol it is refused", async () => {
    const { httpsPort, caFile } = emulator.ready;
    const url = `https://localhost:${httpsPort}/$iothub/websocket`;
    const response = await fetch(url, { tls: { ca: readFileSync(caFile, "utf8") } });
    expect(response.status).toBe(400);
  });
});
