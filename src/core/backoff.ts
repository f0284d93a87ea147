// Backoff: how long to wait before the next attempt.
// Neighbours: `agent` asks it after each failed or lost connection; `twin` and `report` after a
// throttled request.
// Invariant: full jitter between floor and a doubling ceiling, so that a fleet spreads out; no
// wait is longer than its cap, but for a floor.

import type { Prng } from "../kit/prng.ts";
import { BACKOFF_MS_MIN } from "../limits.ts";

/** Of the longest wait, so much at most is the least wait of a fleet that comes back. */
const APART = 2 / 3;

/** Doubling ceiling with full jitter: attempt n waits floor + U(0, min(cap, 1 s * 2^n) - floor). */
export class Backoff {
  /** Failures in a row. */
  failures = 0;
  /** Short connections in a row. */
  private briefs = 0;

  constructor(private readonly prng: Prng) {}

  /**
   * The wait before the next attempt, in ms; counts one failure.
   * @param capMs ceiling of the wait
   * @param floorMs least wait; the jitter then spans at least once the floor, so that
   *   devices refused together do not come back together
   */
  next(capMs: number, floorMs = 0): number {
    const ceilingMs = Math.min(capMs, this.doubledMs());
    return this.between(floorMs, Math.max(ceilingMs, 2 * floorMs));
  }

  /** The same for one of many that failed in the same moment, which then come within `spreadMs`. */
  spread(capMs: number, spreadMs: number): number {
    return this.between(0, Math.min(capMs, Math.max(this.doubledMs(), spreadMs)));
  }

  /**
   * The same for one of those that has failed again: it waits until all have had their turn, as
   * far as the cap allows. Full jitter would heap its attempts upon the first ones of others.
   */
  respread(capMs: number, spreadMs: number): number {
    const leastMs = Math.min(spreadMs, capMs * APART);
    return this.between(leastMs, Math.min(capMs, Math.max(this.doubledMs(), 2 * leastMs)));
  }

  /**
   * A connection stood, though not for long. What failed on the way to it counts no more, but
   * short connections do: a hub that takes us and drops us is asked less and less often.
   */
  onBrief(): void {
    this.failures = Math.min(this.failures, this.briefs++);
  }

  /** The next failure counts as a first one. */
  reset(): void {
    this.failures = 0;
    this.briefs = 0;
  }

  private doubledMs(): number {
    return BACKOFF_MS_MIN * 2 ** Math.min(this.failures, 16);
  }

  private between(leastMs: number, mostMs: number): number {
    this.failures++;
    return Math.round(leastMs + this.prng.unit() * (mostMs - leastMs));
  }
}
