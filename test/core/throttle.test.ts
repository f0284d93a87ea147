// Throttle, tested: cuts, the way back, and which closes of a hub count as a word.
// Neighbours: `src/core/throttle.ts`; `backlog.test` sets it against a hub with a limit.
// Invariant: rates are those of messages sent here, not those that the throttle tells.

import { describe, expect, test } from "bun:test";
import { Throttle } from "../../src/core/throttle.ts";

/** Sends as fast as allowed, at most `perSecond`; messages in each whole second. */
function send(throttle: Throttle, fromMs: number, seconds: number, perSecond: number): number[] {
  const counts: number[] = [];
  for (let second = 0; second < seconds; second++) {
    let count = 0;
    for (let tick = 0; tick < 100; tick++) {
      const nowMs = fromMs + second * 1000 + tick * 10;
      const share = Math.floor((perSecond * (tick + 1)) / 100);
      while (count < share && nowMs >= throttle.nextMs) {
        throttle.onSent(nowMs);
        count++;
      }
    }
    counts.push(count);
  }
  return counts;
}

const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

test("without a word of the hub there is no limit", () => {
  const throttle = new Throttle();
  expect(send(throttle, 0, 60, 500)).toEqual(Array(60).fill(500));
  expect(throttle.rate(60_000)).toBe(Number.POSITIVE_INFINITY);
});

describe("a cut", () => {
  test("halves what was sent", () => {
    const throttle = new Throttle();
    send(throttle, 0, 10, 100);
    throttle.onThrottled(10_000);
    const counts = send(throttle, 10_000, 10, 100);
    expect(sum(counts) / 10).toBeGreaterThan(45);
    expect(sum(counts) / 10).toBeLessThan(57);
  });

  test("is back where it was after two minutes, and beyond after four", () => {
    const throttle = new Throttle();
    send(throttle, 0, 10, 100);
    throttle.onThrottled(10_000);
    const counts = send(throttle, 10_000, 360, 2000);
    expect(sum(counts.slice(115, 120)) / 5).toBeGreaterThan(90);
    expect(sum(counts.slice(115, 120)) / 5).toBeLessThan(101);
    expect(sum(counts.slice(235, 240)) / 5).toBeGreaterThan(170);
    expect(Math.max(...counts)).toBeGreaterThan(280);
  });

  test("again and again ends at one message in ten seconds, and no slower", () => {
    const throttle = new Throttle();
    send(throttle, 0, 10, 100);
    let nowMs = 10_000;
    for (let cut = 0; cut < 40; cut++) {
      throttle.onThrottled(nowMs);
      nowMs += 6_000;
    }
    expect(throttle.cuts).toBe(40);
    const count = sum(send(throttle, nowMs, 100, 100));
    expect(count).toBeGreaterThanOrEqual(9);
    expect(count).toBeLessThanOrEqual(20);
  });

  test("is one, however often the hub repeats itself within 5 s", () => {
    const throttle = new Throttle();
    send(throttle, 0, 10, 100);
    for (let word = 0; word < 50; word++) throttle.onThrottled(10_000 + word * 90);
    expect(throttle.cuts).toBe(1);
    expect(throttle.rate(10_000)).toBeCloseTo(50, 0);
  });

  test("is forgotten within an hour of peace", () => {
    const throttle = new Throttle();
    throttle.onThrottled(0);
    expect(throttle.rate(0)).toBe(0.5);
    expect(throttle.rate(3_600_000)).toBe(Number.POSITIVE_INFINITY);
    send(throttle, 3_600_000, 10, 1000);
    expect(throttle.nextMs).toBeLessThanOrEqual(3_600_000);
  });
});

describe("a close without a word", () => {
  test("with nothing in flight is none of the throttle's business", () => {
    const throttle = new Throttle();
    send(throttle, 0, 10, 100);
    for (let close = 0; close < 10; close++) throttle.onClosed(0, 10_000 + close * 6_000);
    expect(throttle.cuts).toBe(0);
  });

  test("at ten messages a second or more counts at once", () => {
    for (const [perSecond, cuts] of [
      [5, 0],
      [20, 1],
    ] as const) {
      const throttle = new Throttle();
      send(throttle, 0, 10, perSecond);
      throttle.onClosed(3, 10_000);
      expect(throttle.cuts).toBe(cuts);
    }
  });

  test("at a low rate counts when it is the second within ten minutes", () => {
    for (const [apartMs, cuts] of [
      [599_000, 1],
      [601_000, 0],
    ] as const) {
      const throttle = new Throttle();
      throttle.onClosed(1, 0);
      throttle.onClosed(1, apartMs);
      expect(throttle.cuts).toBe(cuts);
    }
  });
});
