// Drain, tested: shares, turns, limits; nobody starves, whoever waits.
// Neighbours: `src/core/drain.ts`; `backlog.test` drains a hundred thousand through a slow hub.
// Invariant: the queues are plain counts on the test's side.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Drain } from "../../src/core/drain.ts";
import { Prng } from "../../src/kit/prng.ts";

const NONE = Object.freeze(Array(10).fill(0)) as readonly number[];
const ALL = NONE.map(() => 1);

function only(...priorities: number[]): number[] {
  return NONE.map((_, priority) => (priorities.includes(priority) ? 1 : 0));
}

/** Priorities of `count` sends, while the same ones wait for ever. */
function sends(drain: Drain, waiting: readonly number[], count: number): number[] {
  return Array.from({ length: count }, (_, nowMs) => {
    const priority = drain.next(waiting, nowMs);
    drain.onSent(priority, nowMs);
    return priority;
  });
}

function drain(sharePercent = 20): Drain {
  return new Drain({ sharePercent, limit: null });
}

const times = (list: readonly number[], one: number) => list.filter((each) => each === one).length;

describe("the next", () => {
  test("is nobody when nobody waits", () => {
    expect(drain().next(NONE, 0)).toBe(-1);
    expect(drain().nextMs(NONE, 0)).toBe(Number.POSITIVE_INFINITY);
  });

  test("is the one that waits, however often", () => {
    for (let priority = 0; priority < 10; priority++) {
      expect(sends(drain(), only(priority), 50)).toEqual(Array(50).fill(priority));
    }
  });

  test("is the same until it was sent", () => {
    const one = drain(50);
    for (let round = 0; round < 20; round++) {
      const priority = one.next(ALL, 0);
      expect([one.next(ALL, 0), one.next(ALL, 0)]).toEqual([priority, priority]);
      one.onSent(priority, 0);
    }
  });
});

describe("shares", () => {
  test.each([
    [1, 990],
    [10, 900],
    [20, 800],
    [33, 670],
    [50, 500],
  ])("%d percent leave %d of 1000 sends to the most urgent", (sharePercent, urgent) => {
    const list = sends(drain(sharePercent), only(0, 7), 1000);
    expect(Math.abs(times(list, 0) - urgent)).toBeLessThanOrEqual(1);
    expect(Math.abs(times(list, 7) - (1000 - urgent))).toBeLessThanOrEqual(1);
  });

  test("the less urgent take turns", () => {
    const list = sends(drain(20), only(1, 3, 5, 9), 1500);
    expect([1, 3, 5, 9].map((priority) => times(list, priority))).toEqual([1200, 100, 100, 100]);
    const others = list.filter((priority) => priority !== 1);
    expect(others.slice(0, 6)).toEqual([3, 5, 9, 3, 5, 9]);
  });

  test("with nobody behind, nothing is saved up for later", () => {
    const one = drain(20);
    sends(one, only(0), 1000);
    expect(sends(one, only(0, 9), 4)).toEqual([0, 0, 0, 0]);
  });

  test("change with the settings", () => {
    const one = drain(1);
    one.configure({ sharePercent: 50, limit: null });
    const list = sends(one, only(0, 9), 100);
    expect(times(list, 9)).toBe(50);
  });
});

test("turns that the most urgent had in its own right are not owed to the others for ever", () => {
  const one = drain(20);
  for (let round = 0; round < 200; round++) {
    one.onSent(one.next(only(9), round), round);
    one.onSent(one.next(only(0, 9), round), round);
  }
  expect(times(sends(one, only(0, 9), 100), 0)).toBeGreaterThanOrEqual(78);
});

test("who is the most urgent now and then gets no less for it", () => {
  const one = drain(20);
  let longest = 0;
  let sinceMs = 0;
  for (let turn = 1; turn <= 2000; turn++) {
    // 0 is away exactly when it would be the turn of the others.
    const withFirst = one.next(only(0, 3, 9), turn);
    const waiting = withFirst === 0 ? only(0, 3, 9) : only(3, 9);
    const priority = one.next(waiting, turn);
    one.onSent(priority, turn);
    if (priority === 3) sinceMs = turn;
    longest = Math.max(longest, turn - sinceMs);
  }
  expect(longest).toBeLessThanOrEqual(15);
});

test("nobody waits longer than ten turns of the less urgent, whatever comes and goes", () => {
  const inputs = fc.record({ seed: fc.integer(), sharePercent: fc.integer({ min: 1, max: 50 }) });
  fc.assert(
    fc.property(inputs, ({ seed, sharePercent }) => {
      const prng = new Prng(seed);
      const one = drain(sharePercent);
      const since = Array(10).fill(0);
      const longest = Math.ceil(100 / sharePercent) * 10 + 10;
      const victim = prng.below(10);
      for (let turn = 1; turn < 3000; turn++) {
        const waiting = NONE.map((_, at) => (at === victim || prng.chance(0.7) ? 1 : 0));
        const priority = one.next(waiting, turn);
        expect(waiting[priority]).toBe(1);
        one.onSent(priority, turn);
        for (let at = 0; at < 10; at++) if (!waiting[at] || at === priority) since[at] = turn;
        expect(turn - since[victim]).toBeLessThanOrEqual(longest);
      }
    }),
    { numRuns: 100 },
  );
});

describe("the rate limit", () => {
  const limited = () =>
    new Drain({ sharePercent: 20, limit: { average: 1, unitMs: 1000, burst: 1 } });

  test("holds from priority 5 on, and spares the others", () => {
    const one = limited();
    one.onSent(one.next(only(7), 0), 0);
    for (const priority of [5, 6, 7, 8, 9]) expect(one.next(only(priority), 500)).toBe(-1);
    for (const priority of [0, 1, 2, 3, 4]) expect(one.next(only(priority), 500)).toBe(priority);
    expect(one.next(only(4, 7), 500)).toBe(4);
    expect(one.next(only(7), 1000)).toBe(7);
  });

  test("says when it is over", () => {
    const one = limited();
    expect(one.nextMs(only(7), 0)).toBe(0);
    one.onSent(one.next(only(7), 0), 0);
    expect(one.nextMs(only(7), 1)).toBe(1000);
    expect(one.nextMs(only(3, 7), 1)).toBe(1);
    expect(one.nextMs(NONE, 1)).toBe(Number.POSITIVE_INFINITY);
  });

  test("is not used up by what it spares", () => {
    const one = limited();
    for (let turn = 0; turn < 100; turn++) one.onSent(one.next(only(2), turn), turn);
    expect(one.next(only(7), 100)).toBe(7);
  });

  test("can be lifted", () => {
    const one = limited();
    one.onSent(one.next(only(7), 0), 0);
    one.configure({ sharePercent: 20, limit: null });
    expect(one.next(only(7), 1)).toBe(7);
  });
});

test("a throttled hub holds back everybody, and the moment is told", () => {
  const one = drain();
  one.throttle.onThrottled(0);
  let sent = 0;
  while (one.next(ALL, 0) >= 0) {
    one.onSent(one.next(ALL, 0), 0);
    sent++;
  }
  expect(sent).toBeLessThan(5);
  const nextMs = one.nextMs(ALL, 0);
  expect(one.next(ALL, nextMs - 1)).toBe(-1);
  expect(one.next(ALL, nextMs)).toBe(0);
});
