// Backoff, tested: bounds, doubling, floors and spread.
// Neighbours: `src/core/backoff.ts`; who waits for what is tested with agent, twin and report.
// Invariant: bounds hold for any seed; the spread is judged over many seeds.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Backoff } from "../../src/core/backoff.ts";
import { Prng } from "../../src/kit/prng.ts";
import { BACKOFF_MS_MAX, BACKOFF_MS_MIN, REFUSED_MS_MIN } from "../../src/limits.ts";

/** The n-th wait in a row (from 0) for each of many seeds. */
function waits(n: number, capMs: number, floorMs = 0): number[] {
  return Array.from({ length: 400 }, (_, seed) => {
    const backoff = new Backoff(new Prng(seed));
    for (let at = 0; at < n; at++) backoff.next(capMs, floorMs);
    return backoff.next(capMs, floorMs);
  });
}

describe("without a floor", () => {
  const ceilings = [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000];
  ceilings.forEach((ceiling, n) => {
    test(`wait ${n + 1} is spread over 0 .. ${ceiling} ms`, () => {
      const all = waits(n, BACKOFF_MS_MAX);
      expect(Math.min(...all)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...all)).toBeLessThanOrEqual(ceiling);
      expect(Math.min(...all)).toBeLessThan(ceiling * 0.05);
      expect(Math.max(...all)).toBeGreaterThan(ceiling * 0.95);
      const mean = all.reduce((sum, wait) => sum + wait, 0) / all.length;
      expect(Math.abs(mean / ceiling - 0.5)).toBeLessThan(0.06);
    });
  });

  test("no tenth of the range is left out or crowded", () => {
    const counts = new Array<number>(10).fill(0);
    for (const wait of waits(6, BACKOFF_MS_MAX)) {
      const tenth = Math.min(Math.floor(wait / 6000), 9);
      counts[tenth]!++;
    }
    for (const count of counts) {
      expect(count).toBeGreaterThan(15);
      expect(count).toBeLessThan(75);
    }
  });
});

test("a short connection leaves of the failures before it no more than its like did", () => {
  const backoff = new Backoff(new Prng(1));
  const failures: number[] = [];
  const fall = (dials: number): void => {
    for (let at = 0; at < dials; at++) backoff.next(BACKOFF_MS_MAX);
    backoff.onBrief();
    failures.push(backoff.failures);
    backoff.next(BACKOFF_MS_MAX);
  };
  for (const dials of [6, 0, 3, 0]) fall(dials);
  expect(failures).toEqual([0, 1, 2, 3]);
  backoff.reset();
  fall(0);
  expect(failures.at(-1)).toBe(0);
});

test("with the floor of a refusal the first wait is 10 .. 20 s, later ones up to the cap", () => {
  const first = waits(0, BACKOFF_MS_MAX, REFUSED_MS_MIN);
  expect(Math.min(...first)).toBeGreaterThanOrEqual(10_000);
  expect(Math.max(...first)).toBeLessThanOrEqual(20_000);
  expect(Math.max(...first) - Math.min(...first)).toBeGreaterThan(9000);
  const later = waits(8, BACKOFF_MS_MAX, REFUSED_MS_MIN);
  expect(Math.min(...later)).toBeGreaterThanOrEqual(10_000);
  expect(Math.max(...later)).toBeGreaterThan(55_000);
});

test("any cap and floor, after any number of failures: whole ms within floor and ceiling", () => {
  const cap = fc.integer({ min: 1000, max: 3_600_000 });
  const floor = fc.constantFrom(0, 1000, REFUSED_MS_MIN);
  fc.assert(
    fc.property(fc.integer(), cap, floor, fc.nat(2000), (seed, capMs, floorMs, failures) => {
      const backoff = new Backoff(new Prng(seed));
      backoff.failures = failures;
      const waitMs = backoff.next(capMs, floorMs);
      const doubled = failures > 30 ? Number.POSITIVE_INFINITY : BACKOFF_MS_MIN * 2 ** failures;
      const highMs = Math.max(Math.min(capMs, doubled), 2 * floorMs);
      expect(Number.isInteger(waitMs)).toBe(true);
      expect(waitMs).toBeGreaterThanOrEqual(floorMs);
      expect(waitMs).toBeLessThanOrEqual(highMs);
      expect(backoff.failures).toBe(failures + 1);
    }),
  );
});

describe("of a fleet that the hub has let go of", () => {
  const many = <T>(draw: (backoff: Backoff) => T): T[] =>
    Array.from({ length: 400 }, (_, seed) => draw(new Backoff(new Prng(seed))));
  const again = (capMs: number, spreadMs: number): number[] =>
    many((backoff) => {
      backoff.spread(capMs, spreadMs);
      return backoff.respread(capMs, spreadMs);
    });

  /** All within these bounds, and both ends are reached to a twentieth. */
  function expectSpan(waits: number[], leastMs: number, mostMs: number): void {
    const marginMs = (mostMs - leastMs) / 20;
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(leastMs);
    expect(Math.min(...waits)).toBeLessThan(leastMs + marginMs);
    expect(Math.max(...waits)).toBeLessThanOrEqual(mostMs);
    expect(Math.max(...waits)).toBeGreaterThan(mostMs - marginMs);
  }

  test("the first wait is anywhere within the spread, but never beyond the cap", () => {
    expectSpan(
      many((backoff) => backoff.spread(60_000, 40_000)),
      0,
      40_000,
    );
    expectSpan(
      many((backoff) => backoff.spread(10_000, 40_000)),
      0,
      10_000,
    );
  });

  test("without a spread it is what it is after any loss", () => {
    expectSpan(
      many((backoff) => backoff.spread(60_000, 0)),
      0,
      1000,
    );
    expectSpan(again(60_000, 0), 0, 2000);
  });

  test("after many failures it has the ceiling of any loss", () => {
    const late = many((backoff) => {
      backoff.failures = 9;
      return backoff.spread(60_000, 40_000);
    });
    expectSpan(late, 0, 60_000);
  });

  test("further waits begin where the first ones have ended, as far as the cap allows", () => {
    expectSpan(again(60_000, 40_000), 40_000, 60_000);
    expectSpan(again(3_600_000, 40_000), 40_000, 80_000);
    expectSpan(again(15_000, 40_000), 10_000, 15_000);
  });

  test("each counts as a failure", () => {
    const backoff = new Backoff(new Prng(1));
    backoff.spread(60_000, 40_000);
    backoff.respread(60_000, 40_000);
    expect(backoff.failures).toBe(2);
  });
});

test("a reset makes the next failure a first one", () => {
  const backoff = new Backoff(new Prng(3));
  for (let at = 0; at < 10; at++) backoff.next(BACKOFF_MS_MAX);
  backoff.reset();
  for (let at = 0; at < 50; at++) {
    expect(backoff.next(BACKOFF_MS_MAX)).toBeLessThanOrEqual(1000);
    backoff.reset();
  }
});
