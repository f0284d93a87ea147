// Counts: how many tests passed and failed, read from what a step has written.
// Neighbours: `runner` calls it when a step has ended.
// Invariant: a step that ran no test, or whose report is broken, has failed.

/** Tests passed and failed. A skipped test proves nothing and counts as failed. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  /** "" or what is wrong beyond failed tests, in one line. */
  readonly problem: string;
}

/** Counts of a step that is one thing: by its last line `N passed, N failed`, or its exit code. */
export function countsOfExit(output: string, code: number): Counts {
  const last = output.trimEnd().split("\n").at(-1) ?? "";
  const [, passed, failed] = /^(\d+) passed, (\d+) failed$/.exec(last) ?? [];
  if (passed === undefined || failed === undefined) {
    const problem = code === 0 ? "" : `ended with ${code}`;
    return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, problem };
  }
  return checked({ passed: Number(passed), failed: Number(failed), problem: "" }, code);
}

/** Counts of `bun test` from its JUnit report, "" when there is none. */
export function countsOfReport(report: string, code: number): Counts {
  const head = /<testsuites [^>]*>/.exec(report)?.[0];
  const number = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(head ?? "")?.[1]);
  const tests = number("tests");
  const failures = number("failures");
  const skipped = number("skipped");
  if (!Number.isInteger(tests + failures + skipped) || !report.includes("</testsuites>")) {
    return { passed: 0, failed: 1, problem: `ended with ${code} and without a report` };
  }
  if (tests === 0) return { passed: 0, failed: 1, problem: "ran no test" };
  const problem = skipped === 0 ? "" : `${skipped} skipped`;
  const passed = tests - failures - skipped;
  return checked({ passed, failed: failures + skipped, problem }, code);
}

/** An exit code that does not go with the counts is one more failure. */
function checked(counts: Counts, code: number): Counts {
  if (code === 0 || counts.failed > 0) return counts;
  return { ...counts, failed: 1, problem: `ended with ${code} though no test failed` };
}
