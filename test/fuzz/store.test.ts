// Tests of the command that fuzzes the store with damaged files.
// Neighbours: `store.ts`; `test/port/salvage.test.ts` has thousands of inputs.
// Invariant: the same seed gives the same run.

import { expect, test } from "bun:test";
import { join } from "node:path";

function run(...words: readonly string[]) {
  const command = [process.execPath, join(import.meta.dir, "store.ts"), ...words];
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  return { exitCode, output: stdout.toString(), errors: stderr.toString() };
}

test("a short run finds nothing and counts what it did", () => {
  const { exitCode, output, errors } = run("--count", "100", "--seed", "7");
  expect([exitCode, errors]).toEqual([0, ""]);
  expect(output).toMatch(
    /^store fuzz: 100 inputs, seed 7, \d+ made anew, \d+ of 15000 messages found, 0 failures, /,
  );
});

test("the same seed gives the same run", () => {
  const counts = () => run("--count", "50", "--seed", "8").output.replace(/[\d.]+ s\n$/, "");
  expect(counts()).toBe(counts());
});

test("what it does not understand it says", () => {
  expect(run("--count", "many")).toMatchObject({ exitCode: 2 });
  expect(run("--cuont", "1").errors).toStartWith("usage: store.ts [--count N] [--seed N]: ");
});
