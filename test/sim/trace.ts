// Trace: one number that stands for all that happened in a run.
// Neighbours: gateways and wires feed it; `main` prints it.
// Invariant: the same seed gives the same number; any difference in time, order or content of
// what was sent changes it.

/** FNV-1a over 32-bit words, 64 bits kept as two halves. */
export class Trace {
  private high = 0xcbf29ce4 | 0;
  private low = 0x84222325 | 0;

  word(value: number): void {
    this.low = Math.imul(this.low ^ value, 0x01000193);
    this.high = Math.imul(this.high ^ (this.low >>> 5) ^ value, 0x01000193);
  }

  /** Time, who, what, and the bytes. */
  bytes(nowMs: number, device: number, kind: number, bytes: Uint8Array): void {
    this.word(nowMs | 0);
    this.word((device << 8) | kind);
    let sum = bytes.length;
    for (let at = 0; at < bytes.length; at++) sum = (Math.imul(sum, 31) + bytes[at]!) | 0;
    this.word(sum);
  }

  text(): string {
    const half = (value: number): string => (value >>> 0).toString(16).padStart(8, "0");
    return half(this.high) + half(this.low);
  }
}
