// Report: runs cases one after the other, prints one line each, and keeps the sum.
// Neighbours: every group of cases gets one; `main` prints the sum as the last line.
// Invariant: a case that throws, or is not over in its time, has failed; the others still run.

const PATIENCE_MS = 90_000;
const NAME_COLUMNS = 108;

/** One thing that is shown: what, and the work that throws when it is not so. */
export type Case<T> = readonly [name: string, work: (stage: T) => Promise<void> | void];

/** Outcomes of one run. */
export class Report {
  passed = 0;
  failed = 0;

  /** `wanted`: only cases whose group and name contain this text. */
  constructor(private readonly wanted = "") {}

  /** Whether some case of these would run: a stage for none of them need not be built. */
  wants<T>(group: string, cases: readonly Case<T>[]): boolean {
    return cases.some(([name]) => this.isWanted(group, name));
  }

  /** Runs the cases of a group in order on one stage. */
  async run<T>(group: string, stage: T, cases: readonly Case<T>[]): Promise<void> {
    for (const [name, work] of cases) {
      if (!this.isWanted(group, name)) continue;
      const startMs = performance.now();
      const problem = await outcome(() => work(stage));
      const seconds = ((performance.now() - startMs) / 1000).toFixed(2);
      const title = `${group}: ${name}`.padEnd(NAME_COLUMNS);
      if (problem === "") this.passed++;
      else this.failed++;
      console.log(`${title}${problem === "" ? "passed" : "FAILED"} ${seconds.padStart(6)} s`);
      if (problem !== "") console.log(problem.replace(/^/gm, "  | "));
    }
  }

  private isWanted(group: string, name: string): boolean {
    return `${group}: ${name}`.includes(this.wanted);
  }
}

/** `""`, or why the work failed. */
async function outcome(work: () => Promise<void> | void): Promise<string> {
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`not over within ${PATIENCE_MS / 1000} s`);
    timer = setTimeout(() => reject(error), PATIENCE_MS);
  });
  try {
    await Promise.race([work(), late]);
    return "";
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : JSON.stringify(error);
  } finally {
    clearTimeout(timer);
  }
}
