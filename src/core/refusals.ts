// Refusals: when what the hub says is reason to ask DPS where this device belongs.
// Neighbours: `identity` asks it before each attempt; `agent` tells what the hub said.
// Invariant: DPS is asked at most once in REPROVISION_MS because of refusals, whatever the hub
// does, but for a registration that was begun and not ended.

import type { Prng } from "../kit/prng.ts";
import { REFUSALS_MAX, REFUSALS_MS_MAX, REPROVISION_MS } from "../limits.ts";

/** Refusals in a row. */
export class Refusals {
  private count = 0;
  private sinceMs = 0;
  private isUnknown = false;
  private nextMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly prng: Prng) {}

  /** CONNACK 4 or 5. */
  onRefused(nowMs: number): void {
    if (this.count === 0) this.sinceMs = nowMs;
    this.count++;
  }

  /** The hub's HTTPS side knows no such device. */
  onUnknown(): void {
    this.isUnknown = true;
  }

  /** The hub let us in. */
  onUp(): void {
    this.count = 0;
    this.isUnknown = false;
  }

  /** DPS is asked now; the hub gets another chance before it is asked again. */
  onAsked(nowMs: number): void {
    this.onUp();
    this.nextMs = nowMs + REPROVISION_MS * (1 + this.prng.unit() / 2);
  }

  /**
   * True when DPS should be asked.
   * @param isPending a registration was begun and not ended: one refusal is enough
   */
  isDue(nowMs: number, isPending: boolean): boolean {
    if (isPending && this.count > 0) return true;
    const isLong = this.count > 1 && nowMs - this.sinceMs >= REFUSALS_MS_MAX;
    return (this.isUnknown || this.count >= REFUSALS_MAX || isLong) && nowMs >= this.nextMs;
  }
}
