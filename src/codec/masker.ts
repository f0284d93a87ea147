// Masker: writes the frames that a WebSocket client sends (RFC 6455, 5), in place, into one fixed
// buffer: MQTT's bytes as binary frames (MQTT-6.0.0-1), pongs and one close.
// Neighbours: websocket.ts reads the server's frames; core/websocket.ts drives both.
// Invariant: bytes[start..end) is whole frames but for a prefix already consumed; every frame is
// masked with a fresh key (5.3); nothing is written behind a close (5.5.1).

import { CONTROL_BYTES_MAX, Opcode } from "./websocket.ts";

const FINAL = 0x80;
const MASKED = 0x80;
const KEY_BYTES = 4;
/** What puts a payload to a word's border, first byte, mask bit and length, key. */
const HEADER_BYTES_MAX = 3 + 2 + 2 + KEY_BYTES;
/** From this size on words are worth their preparation. */
const WORDS_BYTES_MIN = 64;
/** Longest payload whose length fits in two bytes. */
const SHORT_BYTES_MAX = 65_535;
/** Room that data leaves for a pong and a close. */
const RESERVE_BYTES = 2 * (2 + KEY_BYTES + CONTROL_BYTES_MAX);

/** Writer of masked frames over one buffer. */
export class Masker {
  readonly bytes: Uint8Array;
  start = 0;
  end = 0;
  private isClosed = false;
  private readonly words: Int32Array;
  /** The memory of the last source, as words. */
  private source: Int32Array<ArrayBufferLike> = new Int32Array(0);

  /**
   * @param capacity bytes of the buffer, 1 KB to 65,535
   * @param word 32 unpredictable bits at each call (RFC 6455, 10.3), 0 .. 2^32 - 1
   */
  constructor(
    capacity: number,
    private readonly word: () => number,
  ) {
    const length = Math.min(Math.max(capacity, 1024), SHORT_BYTES_MAX);
    const buffer = new ArrayBuffer((length + 3) & ~3);
    this.bytes = new Uint8Array(buffer, 0, length);
    this.words = new Int32Array(buffer);
  }

  /** For a new connection. */
  reset(): void {
    this.start = 0;
    this.end = 0;
    this.isClosed = false;
  }

  get isEmpty(): boolean {
    return this.start === this.end;
  }

  /** The socket took `n` bytes of `bytes[start..end)`. */
  consume(n: number): void {
    this.start += n;
    if (this.start < this.end) return;
    this.start = 0;
    this.end = 0;
  }

  /** One binary frame with as much of `from[start..end)` as fits; how much that was. */
  data(from: Uint8Array, start: number, end: number): number {
    const room = this.bytes.length - this.end - HEADER_BYTES_MAX - RESERVE_BYTES;
    const size = Math.min(end - start, room);
    if (size <= 0 || this.isClosed) return 0;
    this.frame(Opcode.BINARY, from, start, size);
    return size;
  }

  /** A pong with that payload, at most 125 bytes; none when the last ones are still unsent. */
  pong(payload: Uint8Array, length: number): void {
    const room = this.bytes.length - this.end - RESERVE_BYTES / 2;
    // RFC 6455, 5.5.3: only the latest ping needs its pong.
    if (this.isClosed || room < 2 + KEY_BYTES + length) return;
    this.frame(Opcode.PONG, payload, 0, length);
  }

  /** The close with that code; the last frame of all. */
  close(code: number): void {
    if (this.isClosed || this.bytes.length - this.end < 4 + KEY_BYTES) return;
    this.frame(Opcode.CLOSE, Uint8Array.of(code >> 8, code), 0, 2);
    this.isClosed = true;
  }

  private frame(opcode: Opcode, from: Uint8Array, start: number, size: number): void {
    const { bytes } = this;
    if (this.isEmpty) {
      const header = size <= CONTROL_BYTES_MAX ? 2 + KEY_BYTES : 4 + KEY_BYTES;
      this.start = (from.byteOffset + start - header) & 3;
      this.end = this.start;
    }
    let at = this.end;
    bytes[at++] = FINAL | opcode;
    if (size <= CONTROL_BYTES_MAX) {
      bytes[at++] = MASKED | size;
    } else {
      bytes[at++] = MASKED | 126;
      bytes[at++] = size >> 8;
      bytes[at++] = size;
    }
    const key = this.word();
    const a = key >>> 24;
    const b = (key >>> 16) & 0xff;
    const c = (key >>> 8) & 0xff;
    const d = key & 0xff;
    bytes[at] = a;
    bytes[at + 1] = b;
    bytes[at + 2] = c;
    bytes[at + 3] = d;
    at += KEY_BYTES;
    this.end = at + size;
    if (size >= WORDS_BYTES_MIN && ((from.byteOffset + start - at) & 3) === 0) {
      this.maskWords(from, start, at, size, key);
      return;
    }
    const whole = start + (size & ~3);
    let index = start;
    for (; index < whole; index += 4, at += 4) {
      bytes[at] = from[index]! ^ a;
      bytes[at + 1] = from[index + 1]! ^ b;
      bytes[at + 2] = from[index + 2]! ^ c;
      bytes[at + 3] = from[index + 3]! ^ d;
    }
    const rest = size & 3;
    if (rest > 0) bytes[at] = from[index]! ^ a;
    if (rest > 1) bytes[at + 1] = from[index + 1]! ^ b;
    if (rest > 2) bytes[at + 2] = from[index + 2]! ^ c;
  }

  /** Four bytes at a time, at a fifth of the cost; both sides lie alike to a word's border. */
  private maskWords(from: Uint8Array, start: number, at: number, size: number, key: number): void {
    const { bytes, words } = this;
    if (from.buffer !== this.source.buffer) {
      this.source = new Int32Array(from.buffer, 0, from.buffer.byteLength >> 2);
    }
    const { source } = this;
    const lead = -at & 3;
    for (let index = 0; index < lead; index++) {
      bytes[at + index] = from[start + index]! ^ (key >>> (24 - 8 * index));
    }
    // The key as memory holds it on the little-endian machines that there are, its turn come.
    const turned = (key << (8 * lead)) | (lead === 0 ? 0 : key >>> (32 - 8 * lead));
    const word =
      ((turned >>> 24) & 0xff) |
      ((turned >>> 8) & 0xff00) |
      ((turned << 8) & 0xff0000) |
      (turned << 24);
    const count = (size - lead) >> 2;
    const to = (at + lead) >> 2;
    const first = (from.byteOffset + start + lead) >> 2;
    for (let index = 0; index < count; index++) words[to + index] = source[first + index]! ^ word;
    for (let index = lead + 4 * count; index < size; index++) {
      bytes[at + index] = from[start + index]! ^ (key >>> (24 - 8 * (index & 3)));
    }
  }
}
