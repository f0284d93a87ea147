// Tests of what the benchmarks print: the shape of a table, and who meets an aim.
// Neighbours: `report`.
// Invariant: expected lines are written out by hand.

import { expect, test } from "bun:test";
import { format, formatTable, isMet } from "./report.ts";

test("a table is as wide as its longest cells", () => {
  const text = formatTable([
    ["client", "ns", "x"],
    ["azimuth", "27.10", "1"],
    ["floor", "9", "12.5"],
  ]);
  expect(text.split("\n")).toEqual([
    "  client      ns     x",
    "  --------------------",
    "  azimuth  27.10     1",
    "  floor        9  12.5",
  ]);
});

test("numbers keep the digits that say something", () => {
  expect(format(1234.5)).toBe("1235");
  expect(format(12.345, "x")).toBe("12.3x");
  expect(format(-0.126, "MB")).toBe("-0.13 MB");
});

test("an aim holds at its bound, but for one that wants less", () => {
  const aim = { figure: "ratio", measured: 1.25, bound: 1.25, unit: "x" } as const;
  expect(isMet({ ...aim, sense: "at most" })).toBe(true);
  expect(isMet({ ...aim, sense: "at least" })).toBe(true);
  expect(isMet({ ...aim, sense: "below" })).toBe(false);
  expect(isMet({ ...aim, sense: "at most", bound: 1.24 })).toBe(false);
  expect(isMet({ ...aim, sense: "at least", bound: 1.26 })).toBe(false);
});

test("no figure at all meets no aim", () => {
  const aim = { figure: "ratio", measured: Number.NaN, bound: 1, unit: "x" } as const;
  for (const sense of ["at most", "at least", "below"] as const) {
    expect(isMet({ ...aim, sense })).toBe(false);
  }
});
