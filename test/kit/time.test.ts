// Time, tested: calendar text against the platform's own calendar, lengths as a person reads them.
// Neighbours: `src/kit/time.ts`, which may not use that calendar.
// Invariant: the whole documented range is drawn from, its ends are named.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isoUtc, lengthOf } from "../../src/kit/time.ts";

const LAST_S = 253_402_300_799;

function expected(wallS: number): string {
  return new Date(Math.floor(wallS) * 1000).toISOString().replace(".000Z", "Z");
}

describe("isoUtc", () => {
  test("both ends and the days that calendars get wrong", () => {
    const named: readonly (readonly [number, string])[] = [
      [0, "1970-01-01T00:00:00Z"],
      [951_782_400, "2000-02-29T00:00:00Z"],
      [4_107_542_399, "2100-02-28T23:59:59Z"],
      [4_107_542_400, "2100-03-01T00:00:00Z"],
      [1_709_251_199.999, "2024-02-29T23:59:59Z"],
      [2_147_483_648, "2038-01-19T03:14:08Z"],
      [LAST_S, "9999-12-31T23:59:59Z"],
    ];
    for (const [wallS, text] of named) expect(isoUtc(wallS)).toBe(text);
  });

  test("every day of 1970 to 2470, at its first and last second", () => {
    for (let day = 0; day < 500 * 365.2425; day++) {
      const wallS = day * 86_400;
      if (isoUtc(wallS) !== expected(wallS)) expect(isoUtc(wallS)).toBe(expected(wallS));
      const lastS = wallS + 86_399;
      if (isoUtc(lastS) !== expected(lastS)) expect(isoUtc(lastS)).toBe(expected(lastS));
    }
  });

  test("any second of the range, with or without a fraction", () => {
    const second = fc.double({ min: 0, max: LAST_S, noNaN: true });
    fc.assert(
      fc.property(second, (wallS) => expect(isoUtc(wallS)).toBe(expected(wallS))),
      { numRuns: 2000 },
    );
  });
});

describe("lengthOf", () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, "0 ms"],
    [0.4, "0 ms"],
    [850, "850 ms"],
    [999.4, "999 ms"],
    [999.6, "1 s"],
    [1000, "1 s"],
    [1049, "1 s"],
    [12_540, "12.5 s"],
    [59_949, "59.9 s"],
    [59_950, "1 min"],
    [60_000, "1 min"],
    [200_000, "3 min 20 s"],
    [3_599_499, "59 min 59 s"],
    [3_599_500, "1 h"],
    [25_500_000, "7 h 5 min"],
    [86_399_499, "23 h 59 min"],
    [86_400_000, "1 d"],
    [273_600_000, "3 d 4 h"],
    [86_400_000 * 19_675, "19675 d"],
  ];
  for (const [ms, text] of cases) {
    test(`${ms} ms is ${text}`, () => expect(lengthOf(ms)).toBe(text));
  }

  test("no part is ever as large as the next unit, and a longer time never reads shorter", () => {
    const msIn = { ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 };
    const most = { ms: 999, s: 59.9, min: 59, h: 23, d: Number.POSITIVE_INFINITY };
    const read = (text: string) => {
      let sum = 0;
      const words = text.split(" ");
      for (let at = 0; at < words.length; at += 2) {
        const unit = words[at + 1] as keyof typeof msIn;
        expect(Number(words[at])).toBeLessThanOrEqual(most[unit]);
        sum += Number(words[at]) * msIn[unit];
      }
      return sum;
    };
    const length = fc.double({ min: 0, max: 400 * 86_400_000, noNaN: true });
    fc.assert(
      fc.property(length, fc.double({ min: 0, max: 5000, noNaN: true }), (ms, more) => {
        const value = read(lengthOf(ms));
        expect(Math.abs(value - ms)).toBeLessThanOrEqual(Math.max(ms * 0.06, 0.5));
        expect(read(lengthOf(ms + more))).toBeGreaterThanOrEqual(value);
      }),
      { numRuns: 1000 },
    );
  });
});
