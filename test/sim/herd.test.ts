// Herd, tested: no second brings back more than a twentieth of a thousand gateways.
// Neighbours: `herd.ts`; `make sim HERD=1000` has more restarts of the hub than run here.
// Invariant: the figures are simulated, and so the same on any machine.

import { afterEach, describe, expect, test } from "bun:test";
import { SPREAD_S_DEFAULT } from "../../src/limits.ts";
import { busiest, restart } from "./herd.ts";

const DEVICES = 1000;
const TWENTIETH = DEVICES / 20;
const PATIENCE_MS = 60_000;

// A thousand gateways are a gigabyte, which the next thousand need.
afterEach(() => Bun.gc(true));

describe("a thousand gateways whose hub restarts", () => {
  test.each([
    [0, "dial"],
    [60, "dial"],
    [5, "connack"],
  ] as const)(
    "and is away for %p s, seen as %p: they come back one by one",
    (downS, absence) => {
      const back = restart(1, DEVICES, downS, absence, SPREAD_S_DEFAULT);
      expect(back.connectsMax).toBeLessThanOrEqual(TWENTIETH);
      expect(back.attemptsMax).toBeLessThanOrEqual(TWENTIETH);
      expect(back.allS).toBeLessThan(600);
      expect(back.lost).toBe(0);
      expect(back.violations).toEqual([]);
    },
    PATIENCE_MS,
  );
});

test("without a spread they come as a herd, and the count shows it", () => {
  const { connectsMax } = restart(1, 200, 0, "dial", 0);
  expect(connectsMax).toBeGreaterThan(50);
});

test("the busiest second is one of any beginning", () => {
  expect(busiest([])).toBe(0);
  expect(busiest([0, 999, 1000, 1500, 1998, 2000])).toBe(4);
  expect(busiest([5, 1005, 2005])).toBe(1);
});
