// Step, tested: the list holds what it should, and finds tests by itself.
// Neighbours: `step.ts`.
// Invariant: the tree that is looked at is a small one made here, but for one look at our own.

import { expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { Counting, stepsOf } from "./step.ts";

test("folders and files with tests become steps, between the fixed ones", () => {
  const root = mkdtempSync(join(tmpdir(), "step-"));
  try {
    for (const path of [
      "b/deep/x.test.ts",
      "a/y.test.ts",
      "empty/z.ts",
      "peers/node_modules/m/n.test.ts",
      "a.test.ts",
      "c.test.ts",
      "helper.ts",
    ]) {
      mkdirSync(join(root, "test", dirname(path)), { recursive: true });
      writeFileSync(join(root, "test", path), "");
    }
    const steps = stepsOf(root);
    expect(steps.slice(0, 2).map((step) => step.name)).toEqual(["types", "lint"]);
    const found = steps.filter((step) => step.counting === Counting.TESTS);
    expect(found.map((step) => [step.name, ...step.words.slice(2)])).toEqual([
      ["a", "./test/a.test.ts", "./test/a/"],
      ["b", "./test/b/"],
      ["c", "./test/c.test.ts"],
    ]);
    expect(found.every((step) => step.isQuick)).toBe(true);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("in our own tree names are unlike, and every program named is there", () => {
  const root = resolve(import.meta.dir, "../..");
  const steps = stepsOf(root);
  const names = steps.map((step) => step.name);
  expect(new Set(names).size).toBe(names.length);
  for (const room of ["codec", "core", "tidy", "conf", "simulation"]) expect(names).toContain(room);
  for (const { counting, words } of steps) {
    if (counting === Counting.EXIT) expect(existsSync(join(root, words[0]!))).toBe(true);
  }
});
