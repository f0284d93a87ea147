// Scene: the WebSocket layer between an uplink and a turn that are played.
// Neighbours: `websocket.test`.
// Invariant: all that the layer asks of its neighbours is in the log, in order; keys and the
// answers that fit them are made by the test's own hand.

import { createHash } from "node:crypto";
import { Cause, type Target, type Uplink, type UplinkEvents } from "../../src/core/effects.ts";
import { WebSocketUplink } from "../../src/core/websocket.ts";

export const NONCE = Buffer.alloc(16, 5).toString("base64");
const KEY = 0x11223344;
export const PLAIN: Target = { host: "hub.example", port: 8883, roots: "pem" };
export const OVER: Target = { ...PLAIN, port: 443, webSocketPath: "/$iothub/websocket" };

const sha1 = (text: string): string => createHash("sha1").update(text).digest("base64");
const ACCEPT = sha1(`${NONCE}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);

export function answer(status: string, ...fields: string[]): Buffer {
  return Buffer.from([`HTTP/1.1 ${status}`, ...fields, "", ""].join("\r\n"));
}

export const YES = answer(
  "101 Switching Protocols",
  "Upgrade: websocket",
  "Connection: Upgrade",
  `Sec-WebSocket-Accept: ${ACCEPT}`,
  "Sec-WebSocket-Protocol: mqtt",
);
export const NO = answer("403 Forbidden");

/** The layer between a played uplink and a played turn. */
export class Scene implements Uplink, UplinkEvents {
  readonly log: string[] = [];
  readonly sent: number[] = [];
  readonly data: number[] = [];
  /** Bytes that the socket below takes. */
  room = Number.POSITIVE_INFINITY;
  nowMs = 0;
  atMs = Number.POSITIVE_INFINITY;
  cause = Cause.NONE;
  detail = "";
  onEvent: (name: string) => void = () => {};
  ring: () => void = () => {};
  inner!: UplinkEvents;
  readonly layer = new WebSocketUplink(
    this,
    (events) => {
      this.inner = events;
      return this;
    },
    (onAlarm) => {
      this.ring = onAlarm;
      return { arm: (atMs) => this.arm(atMs) };
    },
    { nowMs: () => this.nowMs, wallS: () => 0 },
    { word: () => KEY, nonce: () => NONCE, sha1 },
  );

  private arm(atMs: number): void {
    this.atMs = atMs;
  }

  // The uplink below.
  open(): void {
    this.log.push("dial");
  }
  write(bytes: Uint8Array, start: number, end: number): number {
    const taken = Math.min(this.room, end - start);
    this.room -= taken;
    if (taken === 0) return 0;
    this.log.push(bytes[start] === 0x47 ? "ask" : "frame");
    this.sent.push(...bytes.subarray(start, start + taken));
    return taken;
  }
  end(): void {
    this.log.push("half-close");
  }
  abort(): void {
    this.log.push("drop");
  }

  // The turn above.
  onOpened(): void {
    this.note("opened");
  }
  onSecured(): void {
    this.note("secured");
  }
  onData(chunk: Uint8Array): void {
    this.data.push(...chunk);
    this.note("data");
  }
  onWritable(): void {
    this.note("writable");
  }
  onClosed(cause: Cause, detail: string): void {
    this.cause = cause;
    this.detail = detail;
    this.note("closed");
  }

  /** What happened since the last look. */
  look(): string[] {
    return this.log.splice(0);
  }

  alarm(nowMs: number): void {
    this.nowMs = nowMs;
    if (nowMs >= this.atMs) this.ring();
  }

  /** Payloads that were sent, unmasked, and the first byte of each frame. */
  frames(): [first: number, payload: Buffer][] {
    const bytes = Buffer.from(this.sent.splice(0));
    const found: [number, Buffer][] = [];
    for (let at = 0; at < bytes.length; ) {
      const short = bytes[at + 1]! & 0x7f;
      const size = short === 126 ? bytes.readUInt16BE(at + 2) : short;
      const start = at + (short === 126 ? 8 : 6);
      const mask = Buffer.alloc(4);
      mask.writeUInt32BE(KEY);
      const payload = bytes.subarray(start, start + size).map((byte, i) => byte ^ mask[i % 4]!);
      found.push([bytes[at]!, Buffer.from(payload)]);
      at = start + size;
    }
    return found;
  }

  private note(name: string): void {
    this.log.push(name);
    this.onEvent(name);
  }
}

export const STEPS: Readonly<Record<string, (scene: Scene) => void>> = {
  OPENING: ({ layer }) => layer.open(OVER),
  ASKING: ({ inner }) => {
    inner.onOpened();
    inner.onSecured();
  },
  CARRYING: ({ inner }) => inner.onData(Buffer.from(YES)),
  CLOSING: ({ layer }) => layer.end(),
};

/** A scene in that state. */
export function sceneIn(state: string): Scene {
  const scene = new Scene();
  if (state === "PLAIN") scene.layer.open(PLAIN);
  if (state === "DOWN" || state === "PLAIN") return scene;
  for (const [name, step] of Object.entries(STEPS)) {
    step(scene);
    if (name === state) break;
  }
  scene.look();
  scene.sent.length = 0;
  return scene;
}

export const STATES = ["DOWN", "PLAIN", "OPENING", "ASKING", "CARRYING", "CLOSING"];
