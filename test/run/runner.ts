// Runner: carries out one step and finds out what came of it, and what it left behind.
// Neighbours: `step` says what to run, `counts` reads the outcome, `leftovers` looks around.
// Invariant: when a step is over, none of its processes runs and its temporary folder is empty.

import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Counts, countsOfExit, countsOfReport } from "./counts.ts";
import { emptyFolder, endProcesses, markedProcesses } from "./leftovers.ts";
import { Counting, type Step } from "./step.ts";

/** What came of a step. */
export interface Outcome extends Counts {
  readonly output: string;
  readonly seconds: number;
}

/** Where a step runs and writes. */
export interface Place {
  /** Top of the tree. */
  readonly root: string;
  /** Folder for logs and reports. */
  readonly reports: string;
  /** The step's TMPDIR, empty before and after. */
  readonly temporary: string;
}

/** How long processes may take to go after their step has ended. */
const GRACE_MS = 2000;
const POLL_MS = 50;

/** Runs steps, one at a time. */
export class Runner {
  /** Variable that marks every process of this run; a run inside a run has another name. */
  private readonly mark = `AZIMUTH_TEST_RUN_${crypto.randomUUID().replaceAll("-", "")}`;

  constructor(private readonly place: Place) {
    mkdirSync(place.reports, { recursive: true });
  }

  /** Runs one step to its end, its limit or its hang. */
  async run(step: Step): Promise<Outcome> {
    const log = join(this.place.reports, `${step.name}.log`);
    const report = join(this.place.reports, `${step.name}.xml`);
    rmSync(report, { force: true });
    const startMs = performance.now();
    const code = await this.spawn(step, log, report);
    const seconds = (performance.now() - startMs) / 1000;
    const problems = code === undefined ? [`took longer than ${step.limitS} s`] : [];
    problems.push(...(await this.clear(code === undefined)));
    const output = readFileSync(log, "utf8");
    const counts =
      step.counting === Counting.TESTS
        ? countsOfReport(readIfThere(report), code ?? 1)
        : countsOfExit(output, code ?? 1);
    if (problems.length === 0) return { ...counts, output, seconds };
    const failed = Math.max(counts.failed, 1);
    const problem = [counts.problem, ...problems].filter((each) => each !== "").join("; ");
    return { ...counts, failed, problem, output, seconds };
  }

  /** Ends every process of this run and removes its files; for a run that is broken off. */
  stop(): void {
    endProcesses(markedProcesses(`${this.mark}=1`));
    emptyFolder(this.place.temporary);
  }

  /** The exit code, undefined when the step had to be ended. */
  private async spawn(step: Step, log: string, report: string): Promise<number | undefined> {
    const words =
      step.counting === Counting.TESTS
        ? [...step.words, "--reporter=junit", `--reporter-outfile=${report}`]
        : step.words;
    const output = openSync(log, "w");
    const child = Bun.spawn([process.execPath, ...words], {
      cwd: this.place.root,
      env: {
        ...process.env,
        [this.mark]: "1",
        TMPDIR: this.place.temporary,
        NO_COLOR: "1",
      },
      stdio: ["ignore", output, output],
    });
    closeSync(output);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      endProcesses(markedProcesses(`${this.mark}=1`));
    }, step.limitS * 1000);
    const code = await child.exited;
    clearTimeout(timer);
    return isLate ? undefined : code;
  }

  /** Waits for the step's processes to go, ends those that do not; tells what was left. */
  private async clear(isEnded: boolean): Promise<string[]> {
    const mark = `${this.mark}=1`;
    const untilMs = performance.now() + GRACE_MS;
    let left = markedProcesses(mark);
    while (left.length > 0 && performance.now() < untilMs) {
      await Bun.sleep(POLL_MS);
      left = markedProcesses(mark);
    }
    endProcesses(left);
    const files = emptyFolder(this.place.temporary);
    if (isEnded) return [];
    return [
      ...left.map(({ pid, command }) => `left process ${pid} behind: ${command}`),
      ...(files.length > 0 ? [`left temporary files behind: ${files.join(", ")}`] : []),
    ];
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
