// Backoff: how long to wait before the next attempt.
// Neighbours: `agent` asks it after each failed or lost connection; `twin` and `report` after a
// throttled request.
// Invariant: full jitter between floor and a doubling ceiling, so that a fleet spreads out.

import type { Prng } from "../kit/prng.ts";
import { BACKOFF_MS_MIN } from "../limits.ts";

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
    const ceiling = Math.min(capMs, BACKOFF_MS_MIN * 2 ** Math.min(this.failures, 16));
    this.failures++;
    const high = Math.max(ceiling, 2 * floorMs);
    return Math.round(floorMs + this.prng.unit() * (high - floorMs));
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
}
