// Step: the list of what `make test` does, one row each, in this order.
// Neighbours: `runner` carries a step out; `test/run.ts` prints what came of it.
// Invariant: a folder below `test` that holds tests is run without being named here.

import { readdirSync } from "node:fs";
import { join } from "node:path";

/** How a step's outcome is counted. */
export enum Counting {
  /** One passed or one failed, by exit code; or by a last line `N passed, N failed`. */
  EXIT,
  /** Each test of `bun test`, from its JUnit report. */
  TESTS,
}

/** One line of the report. */
export interface Step {
  readonly name: string;
  /** Words after the pinned Bun. */
  readonly words: readonly string[];
  readonly counting: Counting;
  /** Part of `make check` too. */
  readonly isQuick: boolean;
  /** Seconds after which the step counts as hung; generous, machines are noisy. */
  readonly limitS: number;
}

/** Seconds for most steps. */
const LIMIT_S = 300;
/** Milliseconds for one test of `bun test`, likewise. */
const TEST_LIMIT_MS = 60_000;

/** Tests that play whole stories with processes: in `make test`, too long for every commit. */
const LONG: ReadonlySet<string> = new Set([
  "demo",
  "identity",
  "registration",
  "seal",
  "soak",
  "store",
  "tpm",
  "upkeep",
  "ways",
]);

const TSC = "node_modules/typescript/bin/tsc";
const BIOME = "node_modules/@biomejs/biome/bin/biome";

const BEFORE: readonly Step[] = [
  row("types", [TSC, "-p", "test", "--pretty", "false"], true),
  row("lint", [BIOME, "check", "--error-on-warnings", "--colors=off"], true),
];
const AFTER: readonly Step[] = [
  row("simulation", ["test/sim/main.ts", "--hours", "5000"], false),
  row("fuzzing", ["test/fuzz/reader.ts", "--count", "300000"], false),
  row("frame fuzzing", ["test/fuzz/websocket.ts", "--count", "100000"], false),
  row("tpm fuzzing", ["test/fuzz/tpm.ts", "--count", "300000"], false),
  row("dps fuzzing", ["test/fuzz/dps.ts", "--count", "100000"], false),
];

/** All steps of the tree at `root`. */
export function stepsOf(root: string): readonly Step[] {
  return [...BEFORE, ...testSteps(root), ...AFTER];
}

function row(name: string, words: readonly string[], isQuick: boolean): Step {
  return { name, words, counting: Counting.EXIT, isQuick, limitS: LIMIT_S };
}

/** One step for each test file directly in `test` and each folder there; alike names are one. */
function testSteps(root: string): readonly Step[] {
  const paths = new Map<string, string[]>();
  for (const entry of readdirSync(join(root, "test"), { withFileTypes: true })) {
    const isFile = entry.isFile() && entry.name.endsWith(".test.ts");
    const isFolder = entry.isDirectory() && hasTests(join(root, "test", entry.name));
    if (!isFile && !isFolder) continue;
    const name = entry.name.replace(/\.test\.ts$/, "");
    const path = isFile ? `./test/${entry.name}` : `./test/${entry.name}/`;
    paths.set(name, [...(paths.get(name) ?? []), path].sort());
  }
  return [...paths.keys()].sort().map((name) => ({
    name,
    words: ["test", `--timeout=${TEST_LIMIT_MS}`, ...paths.get(name)!],
    counting: Counting.TESTS,
    isQuick: !LONG.has(name),
    limitS: LIMIT_S,
  }));
}

function hasTests(folder: string): boolean {
  return readdirSync(folder, { withFileTypes: true }).some((entry) => {
    if (entry.name === "node_modules") return false;
    if (entry.isDirectory()) return hasTests(join(folder, entry.name));
    return entry.name.endsWith(".test.ts");
  });
}
