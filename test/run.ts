// Run: everything a reviewer would want to see pass, one line a step, and the sum at the end.
// Neighbours: `make test` calls it without words, `make check` with --quick; `test/run/step.ts`
// lists the steps, and names of steps given as words run only those.
// Invariant: the last line is `N passed, N failed`; exit 0 only when nothing failed.

import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Outcome, Runner } from "./run/runner.ts";
import { type Step, stepsOf } from "./run/step.ts";

const NAME_COLUMNS = 14;
const COUNT_COLUMNS = 28;
/** Steps at a time: most of them wait for something half of their time. */
const LANES = 2;

const root = resolve(import.meta.dir, "..");

/** Steps that the words ask for, or one line that says what is wrong with them. */
function chosen(words: readonly string[]): readonly Step[] | string {
  const all = stepsOf(root);
  const isQuick = words.includes("--quick");
  const names = words.filter((word) => word !== "--quick");
  const unknown = names.find((name) => !all.some((step) => step.name === name));
  if (unknown !== undefined) {
    return `no step ${unknown}; allowed: ${all.map((step) => step.name).join(", ")}`;
  }
  return all.filter(
    (step) => (step.isQuick || !isQuick) && (names.length === 0 || names.includes(step.name)),
  );
}

function print(step: Step, outcome: Outcome): void {
  const counts =
    outcome.failed === 0
      ? `${outcome.passed} passed`
      : `${outcome.passed} passed, ${outcome.failed} FAILED`;
  const time = `${outcome.seconds.toFixed(1)} s`.padStart(8);
  console.log(`${step.name.padEnd(NAME_COLUMNS)}${counts.padEnd(COUNT_COLUMNS)}${time}`);
  if (outcome.failed === 0) return;
  for (const line of outcome.output.trimEnd().split("\n")) console.log(`  | ${line}`);
  if (outcome.problem !== "") console.log(`  ${step.name}: ${outcome.problem}`);
}

async function main(words: readonly string[]): Promise<number> {
  const steps = chosen(words);
  if (typeof steps === "string") {
    console.error(steps);
    return 2;
  }
  const lanes = Array.from({ length: Math.min(LANES, availableParallelism()) }, makeLane);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      for (const lane of lanes) lane.end();
      process.exit(1);
    });
  }
  const waiting = [...steps];
  const sum = { passed: 0, failed: 0 };
  const work = async ({ runner }: Lane): Promise<void> => {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
      const outcome = await runner.run(step);
      print(step, outcome);
      sum.passed += outcome.passed;
      sum.failed += outcome.failed;
    }
  };
  await Promise.all(lanes.map(work));
  for (const lane of lanes) lane.end();
  console.log(`${sum.passed} passed, ${sum.failed} failed`);
  return sum.failed === 0 ? 0 : 1;
}

/** Where one step after the other runs, apart from those of other lanes. */
interface Lane {
  readonly runner: Runner;
  /** Ends what runs there and removes its folder. */
  end(): void;
}

function makeLane(): Lane {
  const temporary = mkdtempSync(join(tmpdir(), "azimuth-"));
  const runner = new Runner({ root, reports: join(root, "build/test"), temporary });
  const end = (): void => {
    runner.stop();
    rmSync(temporary, { recursive: true, force: true });
  };
  return { runner, end };
}

process.exit(await main(process.argv.slice(2)));
