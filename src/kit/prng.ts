// Prng: a small seeded generator (sfc32, 128 bits of state) for jitter, message ids and simulation.
// Neighbours: backoff, credential and the simulator draw from it; `port/entropy` seeds it at start.
// Invariant: the same seed gives the same sequence on every machine; never used for secrets.

/** Deterministic pseudo-random numbers. Not for keys, nonces or anything secret. */
export class Prng {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  /** @param seed any integer; its low 64 bits count. */
  constructor(seed: number) {
    this.a = seed | 0;
    this.b = Math.floor(seed / 0x1_0000_0000) | 0;
    this.c = 0x9e3779b9 | 0;
    for (let round = 0; round < 16; round++) this.next32();
  }

  /** The next 32 random bits, as an integer in 0 .. 2^32 - 1. */
  next32(): number {
    const sum = (this.a + this.b + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** A number in [0, 1) with 32 bits of resolution. */
  unit(): number {
    return this.next32() / 0x1_0000_0000;
  }

  /** An integer in 0 .. limit - 1; `limit` from 1 to 2^32. */
  below(limit: number): number {
    return Math.floor(this.unit() * limit);
  }

  /** An integer in low .. high, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True with the given probability (0 .. 1). */
  chance(probability: number): boolean {
    return this.unit() < probability;
  }
}
