// The metered link in the simulator: three days, calm and with troubles.
// Neighbours: `metered` is the scene, `scene` plays it from the command line.
// Invariant: a schedule that is wrong on purpose is seen to be wrong.

import { expect, spyOn, test } from "bun:test";
import { Schedule } from "../../src/core/schedule.ts";
import { playMetered } from "./metered.ts";

const HOURS = 72;
/** The machines that run this are slow now and then. */
const LIMIT_MS = 60_000;
/** Hangs up after a second, when a dead link has not been noticed yet. */
const HASTY = { seed: 4, hours: HOURS, isTroubled: true, inactivityS: 1 };

test(
  "three days: each window and each alarm, a minute or two of link each, and nothing unsaid",
  () => {
    const outcome = playMetered({ seed: 1, hours: HOURS, isTroubled: false });
    expect(outcome.violations).toEqual([]);
    expect(outcome.lost).toBe(0);
    expect(outcome.windows).toBe(18);
    expect(outcome.accepted).toBeGreaterThan(HOURS * 6);
    expect(outcome.alarms.count).toBeGreaterThan(10);
    expect(outcome.alarms.longestMs).toBeLessThan(5_000);
    expect(outcome.connections).toBeGreaterThanOrEqual(18);
    expect(outcome.connections).toBeLessThanOrEqual(18 + outcome.alarms.count);
    expect(outcome.linkMinutes).toBeLessThan(1.5 * outcome.connections);
    expect(outcome.hangups).toBeGreaterThanOrEqual(outcome.connections);
    expect(outcome.early).toBe(0);
  },
  LIMIT_MS,
);

test(
  "three days with clocks that jump, links that fall, dead networks and power cuts",
  () => {
    for (const seed of [2, 3, 4]) {
      const outcome = playMetered({ seed, hours: HOURS, isTroubled: true });
      expect(outcome.violations).toEqual([]);
      expect(outcome.lost).toBe(0);
      expect(outcome.early).toBe(0);
      for (const kind of ["jumps", "cuts", "outages", "powerCuts"] as const) {
        expect(outcome[kind]).toBeGreaterThan(1);
      }
      expect(outcome.alarms.medianMs).toBeLessThan(5_000);
      expect(outcome.linkMinutes).toBeLessThan(90);
    }
  },
  LIMIT_MS,
);

test(
  "one that is given up after a second of quiet, and then with nothing left to say all the same",
  () => {
    const outcome = playMetered(HASTY);
    expect(outcome.violations).toEqual([]);
    expect(outcome.lost).toBe(0);
    expect(outcome.early).toBe(0);
    expect(outcome.linkMinutes).toBeLessThan(30);
  },
  LIMIT_MS,
);

test(
  "a schedule that hangs up without looking is found",
  () => {
    const { onDeadline } = Schedule.prototype;
    const deadline = spyOn(Schedule.prototype, "onDeadline").mockImplementation(function (
      this: Schedule,
      _undelivered,
      nowMs,
      wallS,
    ) {
      onDeadline.call(this, 0, nowMs, wallS);
    });
    try {
      expect(playMetered(HASTY).early).toBeGreaterThan(0);
    } finally {
      deadline.mockRestore();
    }
  },
  LIMIT_MS,
);
