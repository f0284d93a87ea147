// Writes legal server streams byte by byte from the standard, as raw material for damage.
// Neighbours: damage.ts spoils them, check.ts judges what the reader makes of them.
// Invariant: knows nothing of src/codec; the same seed writes the same streams.

import type { Prng } from "../../src/kit/prng.ts";

/** Longest stream written here or after damage, in bytes. */
export const STREAM_BYTES_MAX = 4096;

const encoder = new TextEncoder();
const TOPICS = [
  "a",
  "/",
  "$iothub/twin/res/200/?$rid=1",
  "$iothub/twin/PATCH/properties/desired/?$version=7",
  "devices/d1/messages/devicebound/%24.mid=1&%24.ct=application%2Fjson",
  "é/€/😀/\u0080\u07ff\u0800\ud7ff\ue000\uffff\u{10ffff}",
  "\ufeffmark",
  "\u0001\u001f \u007f",
].map((topic) => encoder.encode(topic));

/** A stream in one fixed array: `bytes[0..length)` holds packets that begin at `starts`. */
export class Stream {
  readonly bytes = new Uint8Array(STREAM_BYTES_MAX);
  length = 0;
  readonly starts: number[] = [];
  /** Size of the largest packet. */
  largest = 0;

  constructor(private readonly prng: Prng) {}

  /** Starts over with CONNACK and up to five packets that may follow it. */
  legal(): void {
    this.length = 0;
    this.starts.length = 0;
    this.largest = 0;
    const code = this.prng.below(32) === 0 ? 1 + this.prng.below(5) : 0;
    this.begin(0x20, 2);
    this.byte(code === 0 ? this.prng.below(2) : 0);
    this.byte(code);
    if (code !== 0) return;
    for (let left = this.prng.below(6); left > 0; left -= 1) this.packet();
  }

  /** Starts over with bytes that mean nothing, half of the time behind a CONNACK. */
  noise(): void {
    this.length = 0;
    this.starts.length = 0;
    if (this.prng.below(2) === 0) {
      this.begin(0x20, 2);
      this.byte(0);
      this.byte(0);
    }
    for (let left = this.prng.below(64); left > 0; left -= 1) this.byte(this.prng.below(256));
  }

  private packet(): void {
    switch (this.prng.below(8)) {
      case 0:
        this.begin(0x40, 2);
        this.identifier();
        return;
      case 1:
        this.begin(0xb0, 2);
        this.identifier();
        return;
      case 2:
        this.begin(0xd0, 0);
        return;
      case 3: {
        const codes = 1 + this.prng.below(5);
        this.begin(0x90, 2 + codes);
        this.identifier();
        for (let left = codes; left > 0; left -= 1) this.byte([0, 1, 2, 0x80][this.prng.below(4)]!);
        return;
      }
      default:
        this.publish();
    }
  }

  private publish(): void {
    const flags = [0x30, 0x31, 0x32, 0x33, 0x3a, 0x3b][this.prng.below(6)]!;
    const topic = TOPICS[this.prng.below(TOPICS.length)]!;
    const payload = this.prng.below(this.prng.below(16) === 0 ? 600 : 40);
    const acknowledged = (flags & 2) !== 0;
    this.begin(flags, 2 + topic.length + (acknowledged ? 2 : 0) + payload);
    this.byte(topic.length >> 8);
    this.byte(topic.length & 0xff);
    for (const byte of topic) this.byte(byte);
    if (acknowledged) this.identifier();
    for (let left = payload; left > 0; left -= 1) this.byte(left * 37);
  }

  private begin(first: number, remaining: number): void {
    const start = this.length;
    this.starts.push(start);
    this.byte(first);
    if (remaining < 128) {
      this.byte(remaining);
    } else {
      this.byte(0x80 | (remaining % 128));
      this.byte(Math.floor(remaining / 128));
    }
    this.largest = Math.max(this.largest, this.length - start + remaining);
  }

  private identifier(): void {
    const identifier = 1 + this.prng.below(65_535);
    this.byte(identifier >> 8);
    this.byte(identifier & 0xff);
  }

  private byte(value: number): void {
    this.bytes[this.length] = value;
    this.length += 1;
  }
}
