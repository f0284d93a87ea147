/**
 * A hub under glass for tests: a clock that stands still, randomness that repeats, devices that
 * speak through the codec package. Neighbours: every `*.test.ts` here.
 * Invariant: nothing happens but what a test does.
 */
import { generate, type IConnectPacket, type Packet, type Parser, parser } from "mqtt-packet";
import type { Connection } from "./model/connection.ts";
import type { HubEvent } from "./model/events.ts";
import { Hub } from "./model/hub.ts";
import type { HubSetup } from "./model/options.ts";
import type { Peer } from "./model/peer.ts";
import { makeSas } from "./model/sas.ts";

export const HUB_NAME = "lab.example";
/** 2026-01-01T00:00:00Z */
export const START_MS = 1_767_225_600_000;
export const KEY = Buffer.alloc(32, 7).toString("base64");
export const SECOND_KEY = Buffer.alloc(32, 9).toString("base64");

type Of<T extends HubEvent["type"]> = Extract<HubEvent, { type: T }>;

/** What a packet looks like once it is read; fields depend on `cmd`. */
export interface Seen {
  cmd: string;
  topic?: string;
  payload?: Buffer;
  qos?: number;
  dup?: boolean;
  messageId?: number;
  returnCode?: number;
  sessionPresent?: boolean;
  granted?: number[];
}

/** A hub, its clock and its log. */
export class Lab {
  nowMs = START_MS;
  readonly events: HubEvent[] = [];
  readonly hub: Hub;
  private seed = 1;

  constructor(setup: Partial<HubSetup> = {}) {
    const world = {
      nowMs: () => this.nowMs,
      randomBytes: (length: number) => this.random(length),
    };
    const name = setup.name ?? HUB_NAME;
    this.hub = new Hub(world, { ...setup, name }, (event) => this.events.push(event));
  }

  /** Registers a device with the lab's keys. */
  create(id: string): void {
    const symmetricKey = { primaryKey: KEY, secondaryKey: SECOND_KEY };
    this.hub.createDevice(id, { authentication: { type: "sas", symmetricKey } });
  }

  /** A device that is registered and has opened a socket. */
  device(id: string): LabDevice {
    if (!this.hub.listDevices().some((row) => row.deviceId === id)) this.create(id);
    return new LabDevice(this, id);
  }

  /** A device that is connected as well. */
  connected(id: string, changes: Partial<IConnectPacket> = {}): LabDevice {
    const device = this.device(id);
    device.connect(changes);
    device.take();
    return device;
  }

  /** Lets time pass, stopping at each deadline on the way. */
  pass(seconds: number): void {
    const endMs = this.nowMs + seconds * 1000;
    for (;;) {
      const nextMs = this.hub.nextDeadlineMs();
      if (nextMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, nextMs);
      this.hub.tick();
    }
    this.nowMs = endMs;
  }

  /** Events of one type. */
  log<T extends HubEvent["type"]>(type: T): Of<T>[] {
    return this.events.filter((event): event is Of<T> => event.type === type);
  }

  /** The last close in the log: code and reason. */
  lastClose(): Of<"close"> {
    const closes = this.log("close");
    return closes[closes.length - 1]!;
  }

  private random(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let index = 0; index < length; index++) {
      this.seed = (Math.imul(this.seed, 1_103_515_245) + 12_345) >>> 0;
      bytes[index] = this.seed >>> 16;
    }
    return bytes;
  }
}

/** The device's end of one socket. */
export class LabDevice {
  readonly packets: Seen[] = [];
  /** Writes of the hub, each as one array. */
  readonly writes: Uint8Array[] = [];
  closed: { code: number; reason: string } | undefined;
  readonly connection: Connection;
  private readonly parser: Parser = parser({ protocolVersion: 4 });
  private identifier = 0;

  constructor(
    private readonly lab: Lab,
    readonly id: string,
    peer?: Peer,
  ) {
    this.parser.on("packet", (packet) => this.packets.push(packet as unknown as Seen));
    const link = {
      send: (bytes: Uint8Array) => {
        this.writes.push(bytes);
        this.parser.parse(Buffer.from(bytes));
      },
      close: (code: number, reason: string) => {
        this.closed = { code, reason };
      },
    };
    this.connection = lab.hub.accept(link, "10.0.0.9", peer);
  }

  /** A token of this device that ends `seconds` from now. */
  token(seconds = 3600, key = KEY): string {
    const expiryS = Math.floor(this.lab.nowMs / 1000) + seconds;
    return makeSas(`${this.lab.hub.options.name}/devices/${this.id}`, expiryS, key);
  }

  raw(...bytes: number[]): void {
    this.connection.onData(Uint8Array.from(bytes));
  }

  send(packet: Packet): void {
    this.connection.onData(generate(packet));
  }

  connect(changes: Partial<IConnectPacket> = {}): void {
    this.send({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: 4,
      clean: false,
      clientId: this.id,
      keepalive: 60,
      username: `${this.lab.hub.options.name}/${this.id}/?api-version=2021-04-12`,
      password: Buffer.from(this.token()),
      ...changes,
    });
  }

  publish(topic: string, payload: string | Buffer = "", qos: 0 | 1 | 2 = 0, dup = false): number {
    const messageId = qos === 0 ? 0 : ++this.identifier;
    this.send({ cmd: "publish", topic, payload, qos, dup, retain: false, messageId });
    return messageId;
  }

  /** Telemetry with QoS 1. */
  telemetry(payload: string, bag = ""): number {
    return this.publish(`devices/${this.id}/messages/events/${bag}`, payload, 1);
  }

  subscribe(topic: string, qos: 0 | 1 | 2 = 0): void {
    const messageId = ++this.identifier;
    this.send({ cmd: "subscribe", messageId, subscriptions: [{ topic, qos }] });
  }

  /** Subscribes to all four filters, mail with QoS 1. */
  subscribeAll(): void {
    for (const topic of [
      "$iothub/twin/res/#",
      "$iothub/twin/PATCH/properties/desired/#",
      "$iothub/methods/POST/#",
    ]) {
      this.subscribe(topic);
    }
    this.subscribe(`devices/${this.id}/messages/devicebound/#`, 1);
    this.take();
  }

  puback(messageId: number): void {
    this.send({ cmd: "puback", messageId });
  }

  /** The socket is gone. */
  cut(): void {
    this.connection.onClosed();
  }

  /** Packets since the last call. */
  take(): Seen[] {
    return this.packets.splice(0);
  }
}

/** Text of a packet's payload. */
export const textOf = (packet: Seen | undefined): string => packet?.payload?.toString() ?? "";
