// Counts, tested: reports as Bun writes them, last lines, and everything that is not a success.
// Neighbours: `counts.ts`.
// Invariant: whatever is unclear counts as failed.

import { describe, expect, test } from "bun:test";
import { countsOfExit, countsOfReport } from "./counts.ts";

describe("by exit code or last line", () => {
  test.each([
    ["", 0, 1, 0, ""],
    ["some words\n", 0, 1, 0, ""],
    ["some words\n", 1, 0, 1, "ended with 1"],
    ["a\n12 passed, 0 failed\n", 0, 12, 0, ""],
    ["a\n12 passed, 3 failed\n\n", 1, 12, 3, ""],
    ["12 passed, 3 failed", 0, 12, 3, ""],
    ["12 passed, 0 failed\n", 139, 12, 1, "ended with 139 though no test failed"],
    ["12 passed, 0 failed\nand more\n", 0, 1, 0, ""],
    ["x 12 passed, 0 failed\n", 1, 0, 1, "ended with 1"],
  ])("%j, %p", (output, code, passed, failed, problem) => {
    expect(countsOfExit(output, code)).toEqual({ passed, failed, problem });
  });
});

describe("by report", () => {
  const report = (tests: number, failures: number, skipped: number) =>
    `<?xml version="1.0"?>\n<testsuites name="bun test" tests="${tests}" assertions="2" ` +
    `failures="${failures}" skipped="${skipped}" time="0.1">\n  <testsuite tests="9"/>\n` +
    "</testsuites>\n";

  test.each([
    [report(3, 0, 0), 0, 3, 0, ""],
    [report(3, 1, 0), 1, 2, 1, ""],
    [report(3, 0, 1), 0, 2, 1, "1 skipped"],
    [report(3, 1, 1), 1, 1, 2, "1 skipped"],
    [report(3, 0, 0), 1, 3, 1, "ended with 1 though no test failed"],
    [report(0, 0, 0), 0, 0, 1, "ran no test"],
    ["", 0, 0, 1, "ended with 0 and without a report"],
    ["", 139, 0, 1, "ended with 139 and without a report"],
    [report(3, 0, 0).slice(0, -20), 139, 0, 1, "ended with 139 and without a report"],
  ])("%#", (text, code, passed, failed, problem) => {
    expect(countsOfReport(text, code)).toEqual({ passed, failed, problem });
  });
});
