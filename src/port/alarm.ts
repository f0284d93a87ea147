// The one timer of the process: wakes the turn at its next deadline.
// Neighbours: the turn arms it after every step; the clock port gives the same monotonic time.
// Invariant: one timer object for life, re-armed with refresh(), which allocates nothing; it
// rings at or after the time asked for, and a later time asked for costs nothing until then.

import type { Alarm } from "../core/effects.ts";

/** Longest delay that a timer can be given, about 24.8 days; longer waits go in legs. */
const LEG_MS_MAX = 2 ** 31 - 1;

/** An alarm over one timer: earlier wishes re-arm it, later ones wait until it fires. */
export class TimerAlarm implements Alarm {
  private timer: Timer | null = null;
  private delayMs = 0;
  private firesMs = Number.POSITIVE_INFINITY;
  private wantedMs = Number.POSITIVE_INFINITY;
  private readonly onTimer = () => this.fired();

  /** @param onAlarm called once for each `arm`, from the event loop, never before its time. */
  constructor(private readonly onAlarm: () => void) {}

  /** Rings once at `atMs` (the clock port's nowMs), replacing the earlier wish; Infinity: never. */
  arm(atMs: number): void {
    this.wantedMs = atMs;
    if (atMs >= this.firesMs) return;
    this.start(performance.now());
  }

  private fired(): void {
    const nowMs = performance.now();
    this.firesMs = Number.POSITIVE_INFINITY;
    if (nowMs >= this.wantedMs) {
      this.wantedMs = Number.POSITIVE_INFINITY;
      this.onAlarm();
    } else if (this.wantedMs !== Number.POSITIVE_INFINITY) {
      this.start(nowMs);
    }
  }

  private start(nowMs: number): void {
    const delayMs = Math.min(Math.max(Math.ceil(this.wantedMs - nowMs), 1), LEG_MS_MAX);
    this.firesMs = nowMs + delayMs;
    if (this.timer !== null && delayMs === this.delayMs) {
      this.timer.refresh();
      return;
    }
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = setTimeout(this.onTimer, delayMs);
    this.delayMs = delayMs;
  }
}
