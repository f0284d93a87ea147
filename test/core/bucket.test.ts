// Bucket, tested: how much passes over any time, and when the next may.
// Neighbours: `src/core/bucket.ts`; `drain.test` has it spare the urgent.
// Invariant: what passed is counted here, against average and burst.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Bucket } from "../../src/core/bucket.ts";

/** Takes as early as it may; the moments at which messages passed. */
function passed(bucket: Bucket, untilMs: number, count = 10_000): number[] {
  const moments: number[] = [];
  for (let nowMs = 0; moments.length < count; ) {
    nowMs = Math.max(nowMs, Math.ceil(bucket.nextMs));
    if (nowMs >= untilMs) break;
    bucket.take(nowMs);
    moments.push(nowMs);
  }
  return moments;
}

describe("as Kura has it", () => {
  test("one a second, one at once", () => {
    const bucket = new Bucket({ average: 1, unitMs: 1000, burst: 1 });
    expect(passed(bucket, 5000)).toEqual([0, 1000, 2000, 3000, 4000]);
  });

  test("60 a minute with a burst of 3", () => {
    const bucket = new Bucket({ average: 60, unitMs: 60_000, burst: 3 });
    expect(passed(bucket, 3000)).toEqual([0, 0, 0, 1000, 2000]);
  });

  test("a burst is whole again after a silence, and no more than whole", () => {
    const bucket = new Bucket({ average: 1, unitMs: 1000, burst: 3 });
    passed(bucket, 1);
    let atOnce = 0;
    while (bucket.nextMs <= 1_000_000) {
      bucket.take(1_000_000);
      atOnce++;
    }
    expect(atOnce).toBe(3);
  });
});

test("new settings give nothing back", () => {
  const bucket = new Bucket({ average: 1, unitMs: 3_600_000, burst: 1 });
  bucket.take(0);
  bucket.configure({ average: 1, unitMs: 3_600_000, burst: 1 });
  expect(bucket.nextMs).toBe(3_600_000);
});

test("over any time, burst and average are an upper bound, and are reached", () => {
  const settings = fc.record({
    average: fc.integer({ min: 1, max: 1000 }),
    unitMs: fc.constantFrom(1000, 60_000, 3_600_000, 86_400_000),
    burst: fc.integer({ min: 1, max: 50 }),
  });
  fc.assert(
    fc.property(settings, (given) => {
      const { average, unitMs, burst } = given;
      const spanMs = (unitMs / average) * 200;
      const moments = passed(new Bucket(given), spanMs, 300);
      for (let from = 0; from < moments.length; from += 7) {
        for (let to = from; to < moments.length; to += 5) {
          const allowed = burst + (average * (moments[to]! - moments[from]!)) / unitMs;
          expect(to - from + 1).toBeLessThanOrEqual(allowed + 1e-6);
        }
      }
      // Whole milliseconds cost up to one each.
      const reach = burst + Math.floor(spanMs / (unitMs / average + 1)) - 1;
      expect(moments.length).toBeGreaterThanOrEqual(Math.min(300, reach));
    }),
    { numRuns: 100 },
  );
});
