// The command that fuzzes the store with damaged files:
//   bun test/fuzz/store.ts [--count 20000] [--seed N]
// Neighbours: `wreck` does the work.
// Invariant: prints one line of counts and the seed; exit 0, 1 with what failed, 2 on usage.

import { optionsOf } from "./options.ts";
import { campaign, wreckages } from "./wreck.ts";

const COUNT_DEFAULT = 20_000;

const { count, seed } = optionsOf("store.ts", COUNT_DEFAULT);
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
