// The backlog in the simulator, short: live messages pass a long queue, which drains all the same.
// Neighbours: `backlog` is the scene, `scene` plays it at its full size.
// Invariant: a drain that is wrong on purpose is seen to be wrong.

import { describe, expect, spyOn, test } from "bun:test";
import { Drain } from "../../src/core/drain.ts";
import { playBacklog } from "./backlog.ts";

const MESSAGES = 10_000;
/** The machines that run this are slow now and then. */
const LIMIT_MS = 60_000;

describe("a hub that takes about 100 a second", () => {
  test(
    "lets no live message wait for 2 s, and the queue drains in order",
    () => {
      const outcome = playBacklog({ seed: 1, messages: MESSAGES });
      expect(outcome.violations).toEqual([]);
      expect(outcome.isDrained).toBe(true);
      expect(outcome.lost).toBe(0);
      expect(outcome.perS).toBeGreaterThan(80);
      expect(outcome.perS).toBeLessThan(120);
      expect(outcome.live.count).toBeGreaterThan(80);
      expect(outcome.live.longestMs).toBeLessThan(2_000);
      expect(outcome.urgent.longestMs).toBeLessThan(2_000);
    },
    LIMIT_MS,
  );

  test(
    "nor behind 60 other live ones a second",
    () => {
      const outcome = playBacklog({ seed: 2, messages: MESSAGES / 2, livePerS: 60 });
      expect(outcome.violations).toEqual([]);
      expect(outcome.isDrained).toBe(true);
      expect(outcome.lost).toBe(0);
      expect(outcome.live.longestMs).toBeLessThan(2_000);
      expect(outcome.sharePercent).toBeGreaterThan(30);
    },
    LIMIT_MS,
  );

  test(
    "gives the queue its share of 20 % when live ones alone are too many",
    () => {
      const flood = { seed: 3, messages: MESSAGES, livePerS: 150, limitS: 60 };
      const { sharePercent, urgent, violations } = playBacklog(flood);
      expect(violations).toEqual([]);
      expect(sharePercent).toBeGreaterThan(19);
      expect(sharePercent).toBeLessThan(23);
      expect(urgent.longestMs).toBeLessThan(2_000);
    },
    LIMIT_MS,
  );

  test(
    "on a disk that stalls for 2 s now and then",
    () => {
      const outcome = playBacklog({ seed: 4, messages: MESSAGES, slowChance: 0.01 });
      expect(outcome.violations).toEqual([]);
      expect(outcome.lost).toBe(0);
      expect(outcome.perS).toBeLessThan(90);
      expect(outcome.live.longestMs).toBeLessThan(2_500);
    },
    LIMIT_MS,
  );
});

test(
  "a hub that closes above 50 a second is slowed down for, and live messages do not pay for it",
  () => {
    // With seed 2 an outage of half a minute and more came before.
    for (const seed of [1, 2]) {
      const outcome = playBacklog({ seed, messages: MESSAGES, overloadPerS: 50 });
      expect(outcome.violations).toEqual([]);
      expect(outcome.lost).toBe(0);
      expect(outcome.throttled).toBeGreaterThan(0);
      expect(outcome.throttled).toBeLessThan(2 + outcome.drainS / 60);
      expect(outcome.perS).toBeGreaterThan(35);
      expect(outcome.live.connectedMs).toBeLessThan(1_000);
      expect(outcome.live.longestMs).toBeLessThan(2_000);
    }
  },
  LIMIT_MS,
);

test(
  "a drain that takes the least urgent first is found",
  () => {
    const next = spyOn(Drain.prototype, "next").mockImplementation((waiting) => {
      for (let at = waiting.length - 1; at >= 0; at--) if (waiting[at]! > 0) return at;
      return -1;
    });
    try {
      expect(playBacklog({ seed: 1, messages: 1000 }).live.longestMs).toBeGreaterThan(5_000);
    } finally {
      next.mockRestore();
    }
  },
  LIMIT_MS,
);
