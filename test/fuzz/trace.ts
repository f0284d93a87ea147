// What came out of a stream, as a row of numbers that two readings can be compared by.
// Neighbours: check.ts fills one from our reader, peer.ts one from mqtt-packet.
// Invariant: rows are equal exactly when packets are (contents by hash); no positions in them.

const ROW = 8;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** FNV-1a, 32 bits: any change of a byte changes it. */
export function hash(bytes: Uint8Array, start: number, end: number): number {
  let value = FNV_OFFSET | 0;
  for (let at = start; at < end; at += 1) value = Math.imul(value ^ bytes[at]!, FNV_PRIME);
  return value;
}

/** Packets of one reading in their order. */
export class Trace {
  count = 0;
  private readonly numbers: Int32Array;

  constructor(private readonly packetsMax: number) {
    this.numbers = new Int32Array(packetsMax * ROW);
  }

  clear(): void {
    this.count = 0;
  }

  /** `flags`, `identifier` and two contents by hash and length; zeroes where a type has none. */
  add(
    type: number,
    flags: number,
    identifier: number,
    first = 0,
    firstLength = 0,
    second = 0,
    secondLength = 0,
  ): void {
    if (this.count === this.packetsMax) throw new Error("more packets than bytes");
    const at = this.count * ROW;
    this.numbers[at] = type;
    this.numbers[at + 1] = flags;
    this.numbers[at + 2] = identifier;
    this.numbers[at + 3] = first;
    this.numbers[at + 4] = firstLength;
    this.numbers[at + 5] = second;
    this.numbers[at + 6] = secondLength;
    this.count += 1;
  }

  equals(other: Trace): boolean {
    if (this.count !== other.count) return false;
    for (let at = 0; at < this.count * ROW; at += 1) {
      if (this.numbers[at] !== other.numbers[at]) return false;
    }
    return true;
  }
}
