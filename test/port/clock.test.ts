// Tests of src/port/clock.ts.
// Neighbours: the simulator has a clock of its own with the same interface.
// Invariant: units are what the interface says.

import { expect, test } from "bun:test";
import { SystemClock } from "../../src/port/clock.ts";

test("nowMs counts whole milliseconds of performance.now and never goes back", () => {
  const clock = new SystemClock();
  const before = performance.now();
  const now = clock.nowMs();
  const after = performance.now();
  expect(Number.isInteger(now)).toBe(true);
  expect(now).toBeGreaterThan(before - 1);
  expect(now).toBeLessThanOrEqual(after);
  let last = now;
  for (let round = 0; round < 10_000; round += 1) {
    const next = clock.nowMs();
    expect(next >= last).toBe(true);
    last = next;
  }
});

test("wallS is whole Unix seconds", () => {
  const before = Date.now();
  const wallS = new SystemClock().wallS();
  const after = Date.now();
  expect(Number.isInteger(wallS)).toBe(true);
  expect(wallS * 1000).toBeGreaterThan(before - 1000);
  expect(wallS * 1000).toBeLessThanOrEqual(after);
});
