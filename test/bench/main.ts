// Benchmarks: `bun test/bench/main.ts [codec|publish|led|latency|idle|reconnect|tpm|store|all]
// [--rounds N] [--seconds N] [--reconnects N]`, which is `make bench`.
// Neighbours: one file for each benchmark; `report` prints, `child` runs what is measured.
// Invariant: a missed aim is printed and nothing more; exit 1 is for errors, 2 for usage.

import { cpus, loadavg, release } from "node:os";
import { codec } from "./codec.ts";
import { idle } from "./idle.ts";
import { latency } from "./latency.ts";
import { led } from "./led.ts";
import { publish } from "./publish.ts";
import { reconnect } from "./reconnect.ts";
import { Report } from "./report.ts";
import { store } from "./store.ts";
import { tpm } from "./tpm.ts";

const ROUNDS = 7;
const SECONDS = 30;
const RECONNECTS = 6000;

const BENCHES: Readonly<Record<string, (report: Report) => Promise<void>>> = {
  codec: (report) => codec(report, option("rounds", ROUNDS)),
  publish: (report) => publish(report, option("rounds", ROUNDS)),
  led: (report) => led(report, option("rounds", ROUNDS)),
  latency: (report) => latency(report, option("rounds", ROUNDS)),
  idle: (report) => idle(report, option("seconds", SECONDS)),
  reconnect: (report) => reconnect(report, option("reconnects", RECONNECTS)),
  tpm: (report) => tpm(report, "all"),
  store: (report) => store(report, option("rounds", ROUNDS)),
};
const OPTIONS = ["--rounds", "--seconds", "--reconnects"];

function usage(problem: string): never {
  const names = [...Object.keys(BENCHES), "all"].join("|");
  const options = OPTIONS.map((name) => `[${name} N]`).join(" ");
  console.error(`bench: ${problem}\nusage: bun test/bench/main.ts [${names}] ${options}`);
  process.exit(2);
}

function option(name: string, fallback: number): number {
  const at = process.argv.indexOf(`--${name}`);
  if (at < 0) return fallback;
  const value = Number(process.argv[at + 1]);
  return Number.isInteger(value) && value > 0 ? value : usage(`--${name} takes a whole number > 0`);
}

/** The benchmarks asked for; all without a name. */
function wanted(): readonly string[] {
  const words = process.argv.slice(2);
  const unknown = words.find((word) => word.startsWith("-") && !OPTIONS.includes(word));
  if (unknown !== undefined) usage(`${unknown} is not an option`);
  const names = words.filter((word, index) => {
    return !word.startsWith("-") && !OPTIONS.includes(words[index - 1] ?? "");
  });
  if (names.length > 1) usage("one benchmark at a time, or all");
  const [name = "all"] = names;
  if (name === "all") return Object.keys(BENCHES);
  return Object.hasOwn(BENCHES, name) ? [name] : usage(`${name} is not a benchmark`);
}

/** Sound options of every benchmark, before the first of them has taken its minutes. */
function checkOptions(): void {
  for (const name of OPTIONS) option(name.slice(2), 1);
}

function describeMachine(): void {
  const [first] = cpus();
  const load = loadavg()[0]!.toFixed(2);
  console.log(`${cpus().length} x ${first?.model.trim()}, Linux ${release()}, load ${load}`);
  console.log(`Bun ${Bun.version}; compare ratios of one run, not figures of two`);
}

const names = wanted();
checkOptions();
describeMachine();
const report = new Report();
try {
  for (const name of names) await BENCHES[name]!(report);
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
report.summary();
