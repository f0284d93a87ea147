// The command that fuzzes src/codec/reader.ts:
//   bun test/fuzz/reader.ts [--count 10000000] [--seed N]
// Neighbours: campaign.ts does the work.
// Invariant: prints one line of counts and the seed; exit 0, 1 with a reproducer, 2 on usage.

import { Reader, Refusal } from "../../src/codec/reader.ts";
import { campaign, type Tally } from "./campaign.ts";
import { optionsOf } from "./options.ts";

const COUNT_DEFAULT = 10_000_000;

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

const { count, seed } = optionsOf("reader.ts", COUNT_DEFAULT);
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
