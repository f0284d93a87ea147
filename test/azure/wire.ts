/**
 * A device on a real TLS socket, for tests of the servers: node's TLS, the codec package.
 * Neighbours: `socket.test.ts`, `control.test.ts`, `main.test.ts`. Invariant: every wait ends with
 * a packet or the end of the socket, never with a timer.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type TLSSocket } from "node:tls";
import { generate, type IConnectPacket, type Packet, type Parser, parser } from "mqtt-packet";
import type { Seen } from "./lab.ts";
import { makeSas } from "./model/sas.ts";

/** Where a server listens and how to trust it. */
export interface Target {
  hubName: string;
  mqttPort: number;
  caFile: string;
}

/** Certificate that a device shows, PEM; the chain in one text. */
export interface Shown {
  cert: string;
  key: string;
}

/** The device's end. */
export class WireDevice {
  private readonly parser: Parser = parser({ protocolVersion: 4 });
  private readonly packets: Seen[] = [];
  private waiting: ((packet: Seen | undefined) => void) | undefined;
  private isEnded = false;
  /** Bytes of each read. */
  readonly reads: number[] = [];

  private constructor(
    readonly socket: TLSSocket,
    private readonly target: Target,
    readonly id: string,
  ) {
    this.parser.on("packet", (packet) => this.onPacket(packet as unknown as Seen));
    socket.on("data", (bytes: Buffer) => {
      this.reads.push(bytes.length);
      this.parser.parse(bytes);
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.isEnded = true;
      this.waiting?.(undefined);
    });
  }

  /** Opens a socket; the host name is checked. */
  static async open(
    target: Target,
    id: string,
    host = "localhost",
    shown?: Shown,
  ): Promise<WireDevice> {
    const ca = readFileSync(target.caFile);
    const options = { host, port: target.mqttPort, ca, servername: "localhost" };
    const socket = connect({ ...options, ...shown });
    const device = new WireDevice(socket, target, id);
    await once(socket, "secureConnect");
    return device;
  }

  send(packet: Packet): void {
    this.socket.write(generate(packet));
  }

  /** Sends CONNECT with a token under `key` (base64) and gives CONNACK. */
  connect(key: string, changes: Partial<IConnectPacket> = {}): Promise<Seen | undefined> {
    const { hubName } = this.target;
    const expiryS = Math.floor(Date.now() / 1000) + 3600;
    this.send({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: 4,
      clean: false,
      clientId: this.id,
      keepalive: 60,
      username: `${hubName}/${this.id}/?api-version=2021-04-12`,
      password: Buffer.from(makeSas(`${hubName}/devices/${this.id}`, expiryS, key)),
      ...changes,
    });
    return this.next();
  }

  publish(topic: string, payload: string | Buffer, messageId = 0): void {
    const qos = messageId === 0 ? 0 : 1;
    this.send({ cmd: "publish", topic, payload, qos, messageId, dup: false, retain: false });
  }

  subscribe(topic: string, messageId: number, qos: 0 | 1 = 0): Promise<Seen | undefined> {
    this.send({ cmd: "subscribe", messageId, subscriptions: [{ topic, qos }] });
    return this.next();
  }

  /** The next packet; undefined when the socket has ended. */
  next(): Promise<Seen | undefined> {
    const packet = this.packets.shift();
    if (packet !== undefined || this.isEnded) return Promise.resolve(packet);
    return new Promise((resolve) => {
      this.waiting = (arrived) => {
        this.waiting = undefined;
        resolve(arrived);
      };
    });
  }

  /** Resolves when the socket is closed. */
  async ended(): Promise<void> {
    if (!this.isEnded) await once(this.socket, "close");
  }

  destroy(): void {
    this.socket.destroy();
  }

  private onPacket(packet: Seen): void {
    if (this.waiting === undefined) this.packets.push(packet);
    else this.waiting(packet);
  }
}
