// The soaks: `bun test/soak/main.ts [messages|provision|power] [--seed N] [--hours N]
// [--cycles N] [--signatures N]`, which is `make soak`.
// Neighbours: one file for each soak; benchmarks measure, soaks also fail.
// Invariant: exit 1 with one line for each problem, 2 for usage.

import { messages } from "./messages.ts";
import { power } from "./power.ts";
import { provision } from "./provision.ts";

const HOURS = 1;
const SEED = 1;
const CYCLES = 1000;
const SIGNATURES = 100_000;
/** Fewer give no line to look at. */
const SAMPLES_MIN = 10;
const OPTIONS = ["--seed", "--hours", "--cycles", "--signatures"];

const SOAKS: Readonly<Record<string, () => Promise<readonly string[]>>> = {
  messages: () => messages(option("seed", SEED), option("hours", HOURS)),
  provision: () =>
    provision(option("cycles", CYCLES, SAMPLES_MIN), option("signatures", SIGNATURES, SAMPLES_MIN)),
  power,
};

function usage(problem: string): never {
  const names = Object.keys(SOAKS).join("|");
  const options = OPTIONS.map((name) => `[${name} N]`).join(" ");
  console.error(`soak: ${problem}\nusage: bun test/soak/main.ts [${names}] ${options}`);
  process.exit(2);
}

function option(name: string, fallback: number, least = 0): number {
  const at = process.argv.indexOf(`--${name}`);
  if (at < 0) return fallback;
  const value = Number(process.argv[at + 1]);
  if (Number.isFinite(value) && value > 0 && value >= least) return value;
  return usage(`--${name} takes a positive number${least > 0 ? `, ${least} or more` : ""}`);
}

/** The soak that is asked for. */
function wanted(): string {
  const words = process.argv.slice(2);
  const unknown = words.find((word) => word.startsWith("-") && !OPTIONS.includes(word));
  if (unknown !== undefined) usage(`${unknown} is not an option`);
  const names = words.filter((word, index) => {
    return !word.startsWith("-") && !OPTIONS.includes(words[index - 1] ?? "");
  });
  const [name = "messages"] = names;
  if (names.length > 1) usage("one soak at a time");
  return Object.hasOwn(SOAKS, name) ? name : usage(`${name} is not a soak`);
}

const problems = await SOAKS[wanted()]!();
for (const problem of problems) console.error(`soak: ${problem}`);
process.exit(problems.length === 0 ? 0 : 1);
