/**
 * How many calls fit into a stretch of time.
 * Neighbours: `desk.ts` has one for registrations and one for polls. Facts: DPS quotas and limits.
 * Invariant: a refused call does not count.
 */

/** A sliding window for each key. */
export class Throttle {
  private readonly taken = new Map<string, number[]>();

  /** At most `callsMax` calls in `windowMs`; 0 for no bound. */
  constructor(
    private readonly callsMax: number,
    private readonly windowMs: number,
  ) {}

  /** Takes a call at `nowMs`; 0 when it may pass, else the whole seconds until it might. */
  waitS(key: string, nowMs: number): number {
    if (this.callsMax === 0) return 0;
    const recent = (this.taken.get(key) ?? []).filter((ms) => ms > nowMs - this.windowMs);
    this.taken.set(key, recent);
    if (recent.length >= this.callsMax) {
      return Math.ceil((recent[0]! + this.windowMs - nowMs) / 1000);
    }
    recent.push(nowMs);
    return 0;
  }
}
