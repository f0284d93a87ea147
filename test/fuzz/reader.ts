// The command that fuzzes src/codec/reader.ts:
//   bun test/fuzz/reader.ts [--count 10000000] [--seed N]
// Neighbours: campaign.ts does the work.
// Invariant: prints one line of counts and the seed; exit 0, 1 with a reproducer, 2 on usage.

import { parseArgs } from "node:util";
import { Reader, Refusal } from "../../src/codec/reader.ts";
import { campaign, type Tally } from "./campaign.ts";

const COUNT_DEFAULT = 10_000_000;

function number(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  console.error(`--${name} ${text}: not a number; allowed: 0 to 999999999999999`);
  process.exit(2);
}

function summary(tally: Tally, seed: number, seconds: number): string {
  const kinds = tally.refused
    .map((count, refusal) => ({ count, name: Refusal[refusal] }))
    .filter(({ count }) => count > 0)
    .map(({ count, name }) => `${name} ${count}`);
  const refused = tally.refused.reduce((sum, count) => sum + count, 0);
  return (
    `reader fuzz: ${tally.inputs} inputs, seed ${seed}, ${tally.packets} packets, ` +
    `${tally.accepted} accepted, ${refused} refused (${kinds.join(", ")}), ` +
    `${tally.failure === undefined ? 0 : 1} failures, ${seconds.toFixed(1)} s`
  );
}

function options(): { count: number; seed: number } {
  try {
    const { values } = parseArgs({
      options: { count: { type: "string" }, seed: { type: "string" } },
    });
    const seed = number("seed", values.seed, crypto.getRandomValues(new Uint32Array(1))[0]!);
    return { count: number("count", values.count, COUNT_DEFAULT), seed };
  } catch (error) {
    console.error(`usage: reader.ts [--count N] [--seed N]: ${(error as Error).message}`);
    process.exit(2);
  }
}

const { count, seed } = options();
const started = performance.now();
const tally = campaign(count, seed, (capacity) => new Reader(capacity));
console.log(summary(tally, seed, (performance.now() - started) / 1000));
if (tally.failure !== undefined) {
  const { what, bytes, capacity } = tally.failure;
  console.error(
    `${what}; buffer of ${capacity} bytes; bytes ${Buffer.from(bytes).toString("hex")}`,
  );
  process.exit(1);
}
