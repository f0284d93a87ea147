// The power-cut model: cuts the power after every operation of a recorded run of the store:
//   bun test/soak/cut.ts [--seed N] [--turns N] [--fill BYTES] [--every N] [--from N]
//     [--variants N] [--fault sync|syncFilled|syncEmptied|guard|header]
// Neighbours: `script` is the run, `disk` what a cut leaves, `judge` what must be there then.
// Invariant: prints one line of counts; exit 1 with the cut and the seed when a promise is broken.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Prng } from "../../src/kit/prng.ts";
import { cutEnvironment, cutLibrary } from "../native/cut.ts";
import { Disk, Fate, Operation, parseRecord, type Step } from "./disk.ts";
import { judge, Promises } from "./judge.ts";

const FILL_BYTES = 256 * 1024;

/** How a walk over a record goes. */
export interface Walk {
  readonly seed: number;
  /** Cuts after each so many changes of the disk. */
  readonly every: number;
  /** The first of them. */
  readonly from?: number;
  /** Mixed disks for each cut, beside all lost and all kept. */
  readonly variants: number;
}

/** What a walk came to. */
export interface Walked {
  readonly changes: number;
  readonly cuts: number;
  readonly disks: number;
  readonly fills: number;
  /** The first broken promise, with where it was; "" when there is none. */
  readonly failure: string;
}

/** Runs the script and gives its record. */
export function recordRun(seed: number, turns: number, fillBytes = FILL_BYTES, fault = ""): Step[] {
  const folder = mkdtempSync(join(tmpdir(), "azimuth-cut-"));
  const data = join(folder, "data");
  const record = join(folder, "record");
  mkdirSync(data);
  const words = [data, `${seed}`, `${turns}`, `${fillBytes}`, cutLibrary(), fault];
  const command = [process.execPath, join(import.meta.dir, "script.ts"), ...words];
  const run = Bun.spawnSync(command, {
    env: cutEnvironment({ folder: data, record }),
    stderr: "pipe",
  });
  const bytes = readFileSync(record);
  rmSync(folder, { recursive: true, force: true });
  if (run.exitCode !== 0) throw new Error(`the script failed: ${run.stderr.toString()}`);
  return parseRecord(bytes);
}

/** Cuts a record at one place after another. */
export function walk(steps: readonly Step[], { seed, every, from = 0, variants }: Walk): Walked {
  const base = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const folder = mkdtempSync(join(base, "azimuth-cut-"));
  const disk = new Disk();
  const promises = new Promises();
  const prng = new Prng(seed);
  const fates = [Fate.LOST, Fate.KEPT, ...Array(variants).fill(Fate.MIXED)] as Fate[];
  const walked = { changes: 0, cuts: 0, disks: 0, fills: 0, failure: "" };
  let isOpen = false;
  for (const [at, step] of steps.entries()) {
    const isChanged = disk.apply(step);
    if (step.operation === Operation.SIZE && step.offset === 0) walked.fills++;
    if (step.operation === Operation.MARK) promises.take(step.inode, step.offset);
    isOpen ||= step.operation === Operation.MARK;
    if (isChanged) walked.changes++;
    // Promises made before the next change are to be kept by this disk.
    const next = steps[at + 1]?.operation;
    const isBeforeChange = next !== Operation.MARK && next !== Operation.BEGIN;
    const isDue = isOpen && isBeforeChange && (walked.changes - from) % every === 0;
    if (!isDue || walked.failure !== "") continue;
    walked.cuts++;
    for (const fate of fates) {
      walked.disks++;
      const problem = judge(folder, disk.cut(fate, prng), promises, seed);
      if (problem === "") continue;
      walked.failure = `cut ${at} (${Fate[fate]}, after ${Operation[step.operation]}): ${problem}`;
      break;
    }
  }
  rmSync(folder, { recursive: true, force: true });
  return walked;
}

function number(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  console.error(`cut: --${name} ${text}: not a number; allowed: 0 to 999999999999999`);
  process.exit(2);
}

function main(): void {
  const text = { type: "string" } as const;
  const names = ["seed", "turns", "fill", "every", "from", "variants", "fault"] as const;
  const options = Object.fromEntries(names.map((name) => [name, text]));
  const values = parseArgs({ options }).values as Partial<Record<(typeof names)[number], string>>;
  const seed = number("seed", values.seed, 1);
  const turns = number("turns", values.turns, 400);
  const started = performance.now();
  const steps = recordRun(seed, turns, number("fill", values.fill, FILL_BYTES), values.fault);
  const walked = walk(steps, {
    seed,
    every: Math.max(1, number("every", values.every, 1)),
    from: number("from", values.from, 0),
    variants: number("variants", values.variants, 3),
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(
    `cut: seed ${seed}, ${turns} turns, ${walked.changes} changes of the disk, ` +
      `${walked.fills} times emptied, ${walked.cuts} cuts, ${walked.disks} disks, ` +
      `${walked.failure === "" ? 0 : 1} failures, ${seconds} s`,
  );
  if (walked.failure === "") return;
  console.error(walked.failure);
  process.exit(1);
}

if (import.meta.main) main();
