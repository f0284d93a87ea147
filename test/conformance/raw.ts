// Raw: a TLS socket to local Azure with bytes in and bytes out, and no opinion about either.
// Neighbours: `bytes.ts` writes packets; `framing`, `entry` and `load` use both.
// Invariant: every wait ends: with the bytes, with the end of the socket, or with an error.

import { once } from "node:events";
import { connect as dial, type TLSSocket } from "node:tls";
import { connack, connect } from "./bytes.ts";
import type { Cloud, Identity } from "./cloud.ts";

const PATIENCE_MS = 20_000;

/** One socket. */
export class Raw {
  private readonly chunks: Buffer[] = [];
  private bytes = 0;
  private isEnded = false;
  private wake = (): void => {};

  private constructor(readonly socket: TLSSocket) {
    socket.on("data", (chunk: Buffer) => {
      this.chunks.push(chunk);
      this.bytes += chunk.length;
      this.wake();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.isEnded = true;
      this.wake();
    });
    socket.setNoDelay(true);
  }

  /** A socket after its TLS handshake. */
  static async open({ ready, ca }: Cloud): Promise<Raw> {
    const socket = dial({ host: "127.0.0.1", port: ready.mqttPort, ca, servername: "localhost" });
    const raw = new Raw(socket);
    await once(socket, "secureConnect");
    return raw;
  }

  /** A socket on which a device is connected; what is left out of CONNECT is as it should be. */
  static async enter(cloud: Cloud, device: Identity, more: object = {}): Promise<Raw> {
    const raw = await Raw.open(cloud);
    raw.write(entry(cloud, device, more));
    const answer = await raw.read(4);
    if (answer[0] !== 0x20 || answer[3] !== 0) throw new Error(`CONNACK ${answer.toString("hex")}`);
    return raw;
  }

  get isOpen(): boolean {
    return !this.isEnded;
  }

  write(...parts: Uint8Array[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  /** Exactly `count` bytes. Throws when the socket ends before. */
  async read(count: number): Promise<Buffer> {
    await this.wait(() => this.bytes >= count || this.isEnded);
    if (this.bytes < count) throw new Error(`closed after ${this.bytes} of ${count} bytes`);
    const all = Buffer.concat(this.chunks.splice(0));
    this.bytes = all.length - count;
    if (this.bytes > 0) this.chunks.push(all.subarray(count));
    return all.subarray(0, count);
  }

  /** A whole packet. */
  async packet(): Promise<Buffer> {
    let head = await this.read(2);
    let remaining = head[1]! & 127;
    for (let shift = 7; head[head.length - 1]! > 127; shift += 7) {
      const more = await this.read(1);
      remaining += (more[0]! & 127) << shift;
      head = Buffer.concat([head, more]);
    }
    return Buffer.concat([head, await this.read(remaining)]);
  }

  /** Everything up to the end of the socket, which the other side must bring about. */
  async rest(): Promise<Buffer> {
    await this.wait(() => this.isEnded);
    this.bytes = 0;
    return Buffer.concat(this.chunks.splice(0));
  }

  destroy(): void {
    this.socket.destroy();
  }

  private async wait(isMet: () => boolean): Promise<void> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.wake();
    }, PATIENCE_MS);
    while (!isMet() && !isLate) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    clearTimeout(timer);
    if (!isMet()) throw new Error(`nothing for ${PATIENCE_MS} ms, ${this.bytes} bytes wait`);
  }
}

/** A CONNECT that lets the device in, but for what is changed. */
export function entry(cloud: Cloud, device: Identity, more: object = {}): Buffer {
  return connect({ fields: [device.id, device.username, cloud.token(device)], ...more });
}

/** CONNACK for a first connection. */
export const WELCOME = connack(0);
