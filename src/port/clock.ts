// The two clocks: monotonic milliseconds for deadlines, calendar seconds for tokens and logs.
// Neighbours: the turn reads it once a step and hands the figures to the machines.
// Invariant: nowMs never goes back, whatever is done to the calendar; neither call allocates.

import type { Clock } from "../core/effects.ts";

/** The clocks of this process. */
export class SystemClock implements Clock {
  /** Whole milliseconds since the process started; not moved by a change of the calendar. */
  nowMs(): number {
    return Math.floor(performance.now());
  }

  /** Whole Unix seconds; jumps when the calendar is set. */
  wallS(): number {
    return Math.floor(Date.now() / 1000);
  }
}
