// Cursor: reads big-endian numbers and sized byte strings, as TPM structures hold them.
// Neighbours: public.ts, blob.ts and capability.ts read with it.
// Invariant: never beyond the bytes given; after the first thing that does not fit everything
// reads as zero or empty and `isSound` stays false.

const NOTHING = new Uint8Array(0);

/** A place in an array of bytes. */
export class Cursor {
  isSound = true;
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /** Position of the next byte. */
  get position(): number {
    return this.at;
  }

  /** True when everything was read and all of it fitted. */
  get isDone(): boolean {
    return this.isSound && this.at === this.bytes.length;
  }

  u8(): number {
    return this.number(1);
  }

  u16(): number {
    return this.number(2);
  }

  u32(): number {
    return this.number(4);
  }

  /** A TPM2B: two bytes of size and so many bytes, from `bytesMin` to `bytesMax` of them. */
  sized(bytesMin: number, bytesMax: number): Uint8Array {
    const size = this.u16();
    return size < bytesMin || size > bytesMax ? this.fail() : this.take(size);
  }

  /** A TPM2B like {@link sized}, with its two bytes of size. */
  whole(bytesMin: number, bytesMax: number): Uint8Array {
    const from = this.at;
    this.sized(bytesMin, bytesMax);
    return this.isSound ? this.bytes.subarray(from, this.at) : NOTHING;
  }

  private number(count: number): number {
    const bytes = this.take(count);
    let value = 0;
    for (const byte of bytes) value = value * 256 + byte;
    return value;
  }

  private take(count: number): Uint8Array {
    if (!this.isSound || count > this.bytes.length - this.at) return this.fail();
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  private fail(): Uint8Array {
    this.isSound = false;
    return NOTHING;
  }
}

/** `bytes` as a TPM2B: behind two bytes of size; at most 65535 of them. */
export function sized(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(2 + bytes.length);
  whole[0] = bytes.length >> 8;
  whole[1] = bytes.length;
  whole.set(bytes, 2);
  return whole;
}

/** The parts, one behind the other. */
export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** True when both hold the same bytes; not for secrets. */
export function isSame(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}
