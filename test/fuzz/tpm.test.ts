// Tests of the command that fuzzes the readers of TPM bytes.
// Neighbours: `tpm.ts` and what it uses.
// Invariant: a few thousand inputs; `make fuzz` has the millions.

import { expect, test } from "bun:test";
import { join } from "node:path";

function run(...words: readonly string[]) {
  const command = [process.execPath, join(import.meta.dir, "tpm.ts"), ...words];
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  return { exitCode, output: stdout.toString(), errors: stderr.toString() };
}

test("readers and judge agree, and each accepts something", () => {
  const { exitCode, output, errors } = run("--count", "20000", "--seed", "7");
  expect([exitCode, errors]).toEqual([0, ""]);
  expect(output).toMatch(
    /^tpm fuzz: 20000 inputs, seed 7, accepted (\d{3,} [a-z ]+, ){5}0 failures, [\d.]+ s\n$/,
  );
});

test("the same seed gives the same run", () => {
  const counts = () => run("--count", "2000", "--seed", "8").output.replace(/[\d.]+ s\n$/, "");
  expect(counts()).toBe(counts());
});

test("what it does not understand it says", () => {
  expect(run("--count", "many")).toMatchObject({ exitCode: 2 });
  expect(run("--cuont", "1").errors).toStartWith("usage: tpm.ts [--count N] [--seed N]: ");
});
