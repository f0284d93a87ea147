// The command that fuzzes the store with damaged files:
//   bun test/fuzz/store.ts [--count 20000] [--seed N]
// Neighbours: `wreck` does the work.
// Invariant: prints one line of counts and the seed; exit 0, 1 with what failed, 2 on usage.

import { parseArgs } from "node:util";
import { campaign, wreckages } from "./wreck.ts";

const COUNT_DEFAULT = 20_000;

function number(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  console.error(`--${name} ${text}: not a number; allowed: 0 to 999999999999999`);
  process.exit(2);
}

function options(): { count: number; seed: number } {
  try {
    const { values } = parseArgs({
      options: { count: { type: "string" }, seed: { type: "string" } },
    });
    const seed = number("seed", values.seed, crypto.getRandomValues(new Uint32Array(1))[0]!);
    return { count: number("count", values.count, COUNT_DEFAULT), seed };
  } catch (error) {
    console.error(`usage: store.ts [--count N] [--seed N]: ${(error as Error).message}`);
    process.exit(2);
  }
}

const { count, seed } = options();
const startedMs = performance.now();
const tally = campaign(count, seed, await wreckages());
const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
console.log(
  `store fuzz: ${tally.inputs} inputs, seed ${seed}, ${tally.rebuilt} made anew, ` +
    `${tally.found} of ${tally.there} messages found, ` +
    `${tally.failure === "" ? 0 : 1} failures, ${seconds} s`,
);
if (tally.failure !== "") {
  console.error(tally.failure);
  process.exit(1);
}
