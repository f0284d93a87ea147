/**
 * Cuts a byte stream into MQTT packets. Neighbours: `guard.ts` judges the fixed header here,
 * before the body arrives, so that no one can make the hub wait for 256 MB.
 * Invariant: a frame is a view that is valid until the next `feed`; after a problem there is none.
 */
import { HubCode } from "./errors.ts";
import { lengthProblem, typeProblem } from "./guard.ts";

const EMPTY = Buffer.alloc(0);
const STORE_BYTES_MIN = 1024;

/** One connection's receive side. */
export class Framer {
  private bytes: Buffer = EMPTY;
  private start = 0;
  private end = 0;
  /** `bytes` is this framer's own memory, not the caller's chunk. */
  private isOwn = false;
  /** What is wrong with the stream, `''` while nothing is. */
  problem = "";
  problemCode = HubCode.None;

  /** `remainingMax`: largest remaining length allowed, bytes. */
  constructor(private readonly remainingMax: number) {}

  /** Bytes received and not yet cut. */
  get buffered(): number {
    return this.end - this.start;
  }

  /** First byte of the next packet, -1 when nothing is there. */
  peek(): number {
    return this.start < this.end ? this.bytes[this.start]! : -1;
  }

  /** Takes a chunk. It is used in place until `settle`. */
  feed(chunk: Uint8Array): void {
    if (this.start === this.end) {
      this.bytes = Buffer.isBuffer(chunk)
        ? chunk
        : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
      this.start = 0;
      this.end = chunk.length;
      this.isOwn = false;
      return;
    }
    this.reserve(chunk.length);
    this.bytes.set(chunk, this.end);
    this.end += chunk.length;
  }

  /** Copies what is left of the caller's chunk, so that the caller may use it again. */
  settle(): void {
    if (this.start === this.end) {
      this.bytes = EMPTY;
      this.start = 0;
      this.end = 0;
      this.isOwn = false;
    } else if (!this.isOwn) {
      this.reserve(0);
    }
  }

  /** The next whole packet, or null: not there yet, or `problem` is set. */
  next(): Buffer | null {
    const available = this.end - this.start;
    if (available === 0 || this.problem !== "") return null;
    const bytes = this.bytes;
    const first = bytes[this.start]!;
    const wrongType = typeProblem(first);
    if (wrongType !== "") return this.refuse(HubCode.ArgumentInvalid, wrongType);
    let remaining = 0;
    let size = 1;
    for (let shift = 0; ; shift += 7) {
      if (shift > 21) {
        return this.refuse(HubCode.ArgumentInvalid, "remaining length of more than 4 bytes");
      }
      if (size >= available) return null;
      const byte = bytes[this.start + size]!;
      size++;
      remaining += (byte & 127) << shift;
      if (byte < 128) break;
    }
    if (remaining > this.remainingMax) {
      const text = `packet of ${remaining} bytes, ${this.remainingMax} are allowed`;
      return this.refuse(HubCode.MessageTooLarge, text);
    }
    const wrongLength = lengthProblem(first, remaining);
    if (wrongLength !== "") return this.refuse(HubCode.ArgumentInvalid, wrongLength);
    size += remaining;
    if (size > available) return null;
    const frame = bytes.subarray(this.start, this.start + size);
    this.start += size;
    return frame;
  }

  private refuse(code: HubCode, problem: string): null {
    this.problem = problem;
    this.problemCode = code;
    return null;
  }

  /** Moves what is held into own memory with room for `more` bytes. */
  private reserve(more: number): void {
    const held = this.end - this.start;
    if (this.isOwn && this.bytes.length - this.end >= more) return;
    const isRoomy = this.isOwn && this.bytes.length >= 2 * (held + more);
    const target = isRoomy
      ? this.bytes
      : Buffer.allocUnsafe(Math.max(2 * (held + more), STORE_BYTES_MIN));
    this.bytes.copy(target, 0, this.start, this.end);
    this.bytes = target;
    this.start = 0;
    this.end = held;
    this.isOwn = true;
  }
}
