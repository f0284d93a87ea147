// Refusals, tested: how many of them and how long, and how often at most DPS is asked.
// Neighbours: `src/core/refusals.ts`; `identity` asks it.
// Invariant: the figures are those of `limits.ts`, the rules are written out here.

import { expect, test } from "bun:test";
import { Refusals } from "../../src/core/refusals.ts";
import { Prng } from "../../src/kit/prng.ts";
import { REFUSALS_MAX, REFUSALS_MS_MAX, REPROVISION_MS } from "../../src/limits.ts";

function refused(times: number, atMs = 0): Refusals {
  const refusals = new Refusals(new Prng(1));
  for (let at = 0; at < times; at++) refusals.onRefused(atMs);
  return refusals;
}

test("ten refusals in a row are enough, nine are not", () => {
  expect(refused(REFUSALS_MAX - 1).isDue(0, false)).toBe(false);
  expect(refused(REFUSALS_MAX).isDue(0, false)).toBe(true);
});

test("a quarter of an hour of refusals is enough, when there was more than one", () => {
  expect(refused(2, 1000).isDue(1000 + REFUSALS_MS_MAX - 1, false)).toBe(false);
  expect(refused(2, 1000).isDue(1000 + REFUSALS_MS_MAX, false)).toBe(true);
  expect(refused(1, 1000).isDue(1000 + REFUSALS_MS_MAX, false)).toBe(false);
});

test("a device that the hub does not know asks at once", () => {
  const refusals = refused(1);
  refusals.onUnknown();
  expect(refusals.isDue(0, false)).toBe(true);
});

test("a registration left open asks at the first refusal, and not before", () => {
  expect(refused(0).isDue(0, true)).toBe(false);
  expect(refused(1).isDue(0, true)).toBe(true);
});

test("being let in ends the row", () => {
  const refusals = refused(REFUSALS_MAX);
  refusals.onUnknown();
  refusals.onUp();
  expect(refusals.isDue(REFUSALS_MS_MAX, true)).toBe(false);
});

test("DPS is asked again after half an hour and up to a half more, whatever the hub says", () => {
  const waits = Array.from({ length: 200 }, (_, seed) => {
    const refusals = new Refusals(new Prng(seed));
    refusals.onAsked(0);
    refusals.onUnknown();
    for (let at = 0; at < 100; at++) refusals.onRefused(at);
    let ms = 0;
    while (!refusals.isDue(ms, false)) ms += 10_000;
    return ms;
  });
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(REPROVISION_MS);
  expect(Math.max(...waits)).toBeLessThanOrEqual(1.5 * REPROVISION_MS + 10_000);
  expect(new Set(waits).size).toBeGreaterThan(20);
});

test("a registration left open is not held up by that", () => {
  const refusals = new Refusals(new Prng(1));
  refusals.onAsked(0);
  refusals.onRefused(1);
  expect(refusals.isDue(2, true)).toBe(true);
});
