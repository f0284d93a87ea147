// Cut: loaded before the program, ends it by SIGKILL at one of the calls that replace its files.
// Neighbours: `seal.test.ts` counts the calls up; `src/port/original.ts` makes them.
// Invariant: counting begins with the removal of what an earlier cut left beside a file; the call
// at which the program ends is not made any more.

import fs from "node:fs";

const AT = Number(process.env.CUT_AT);
const CALLS = [
  "rmSync",
  "openSync",
  "writeFileSync",
  "fchownSync",
  "fchmodSync",
  "fsyncSync",
  "closeSync",
  "renameSync",
] as const;

let count = 0;

for (const name of CALLS) {
  const call = fs[name] as (...words: unknown[]) => unknown;
  const counted = (...words: unknown[]): unknown => {
    const isFirst = name === "rmSync" && String(words[0]).endsWith(".new");
    if (count > 0 || isFirst) count++;
    if (count === AT) process.kill(process.pid, "SIGKILL");
    return call(...words);
  };
  Object.assign(fs, { [name]: counted });
}
