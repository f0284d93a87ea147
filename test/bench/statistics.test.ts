// Tests of the benchmarks' statistics, against values worked out by hand.
// Neighbours: `statistics`; what the benchmarks print rests on it.
// Invariant: no expectation is computed by the code under test.

import { expect, test } from "bun:test";
import { fit, median, minimum, pairedRatio, quantile } from "./statistics.ts";

test("quantiles lie between their neighbours, whatever the order", () => {
  expect(quantile([30, 10, 20, 40], 0)).toBe(10);
  expect(quantile([30, 10, 20, 40], 1)).toBe(40);
  expect(quantile([30, 10, 20, 40], 0.5)).toBe(25);
  expect(quantile([30, 10, 20, 40], 0.9)).toBeCloseTo(37, 9);
  expect(median([5, 1, 9])).toBe(5);
  expect(minimum([5, 1, 9])).toBe(1);
  expect(() => quantile([], 0.5)).toThrow("no values");
});

test("quantiles leave the list as it was", () => {
  const values = [3, 1, 2];
  median(values);
  expect(values).toEqual([3, 1, 2]);
});

test("a paired ratio compares round with round", () => {
  // The ratio of the medians would be 10 / 20.
  expect(pairedRatio([10, 1, 40], [20, 4, 10])).toBe(0.5);
  expect(pairedRatio([10, 100, 9], [5, 20, 3])).toBe(3);
  expect(() => pairedRatio([1, 2], [1])).toThrow("partner");
});

test("a fit finds slope and error of a line by hand", () => {
  const exact = fit([0, 1, 2, 3], [5, 7, 9, 11]);
  expect(exact.slope).toBe(2);
  expect(exact.error).toBe(0);
  // Residues 1/3, -2/3, 1/3 about y = x/2 + 2/3; their squares 2/3, one degree of freedom left,
  // squares of x about its mean 2: the error is the root of 2/3 / 1 / 2.
  const rough = fit([0, 1, 2], [1, 0.5, 2]);
  expect(rough.slope).toBeCloseTo(0.5, 9);
  expect(rough.error).toBeCloseTo(0.57735026919, 9);
  expect(() => fit([1, 2], [1, 2])).toThrow("three points");
});
