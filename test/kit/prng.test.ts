// Prng, tested: the generator against an independent reckoning, ranges, spread.
// Neighbours: `src/kit/prng.ts`; the simulator relies on a seed giving one run for ever.
// Invariant: a change of the sequence fails here, for it would change every recorded seed.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/kit/prng.ts";

const MASK = 0xffff_ffffn;

/** sfc32 as its author describes it, in integers that cannot overflow. */
function reference(seed: number, count: number): number[] {
  let a = BigInt.asUintN(32, BigInt(seed));
  let b = BigInt.asUintN(32, BigInt(seed) >> 32n);
  let c = 0x9e37_79b9n;
  let counter = 1n;
  const draw = () => {
    const sum = (a + b + counter) & MASK;
    counter = (counter + 1n) & MASK;
    a = b ^ (b >> 9n);
    b = (c + (c << 3n)) & MASK;
    c = ((((c << 21n) | (c >> 11n)) & MASK) + sum) & MASK;
    return Number(sum);
  };
  for (let round = 0; round < 16; round++) draw();
  return Array.from({ length: count }, draw);
}

test("is sfc32 for any seed", () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (seed) => {
      const prng = new Prng(seed);
      const drawn = Array.from({ length: 40 }, () => prng.next32());
      expect(drawn).toEqual(reference(seed, 40));
    }),
  );
});

test("the same seed gives the same sequence, neighbours give others", () => {
  const draw = (seed: number) => {
    const prng = new Prng(seed);
    return Array.from({ length: 8 }, () => prng.next32()).join();
  };
  expect(draw(42)).toBe(draw(42));
  expect(new Set(Array.from({ length: 1000 }, (_, seed) => draw(seed))).size).toBe(1000);
  expect(draw(1)).not.toBe(draw(1 + 2 ** 32));
});

describe("ranges", () => {
  test("unit is in [0, 1)", () => {
    const prng = new Prng(1);
    for (let at = 0; at < 10_000; at++) {
      const unit = prng.unit();
      expect(unit >= 0 && unit < 1).toBe(true);
    }
  });

  test("below and between keep their bounds and reach them", () => {
    const prng = new Prng(2);
    const seen = new Set<number>();
    const around = new Set<number>();
    for (let at = 0; at < 2000; at++) {
      seen.add(prng.below(6));
      around.add(prng.between(-2, 2));
    }
    expect([...seen].sort()).toEqual([0, 1, 2, 3, 4, 5]);
    expect([...around].sort((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2]);
  });

  test("any limit to 2^32 is a limit", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 2 ** 32 }), (seed, limit) => {
        const drawn = new Prng(seed).below(limit);
        expect(drawn >= 0 && drawn < limit && Number.isInteger(drawn)).toBe(true);
      }),
    );
  });

  test("chance follows its probability; 0 never, 1 always", () => {
    const prng = new Prng(3);
    const count = (probability: number) =>
      Array.from({ length: 4000 }, () => prng.chance(probability)).filter(Boolean).length;
    expect(count(0)).toBe(0);
    expect(count(1)).toBe(4000);
    expect(Math.abs(count(0.25) - 1000)).toBeLessThan(150);
  });
});
