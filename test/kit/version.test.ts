// Version, tested: the sources and the package agree.
// Neighbours: `src/kit/version.ts`, `package.json`.
// Invariant: a release that changes only one of the two fails.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { VERSION } from "../../src/kit/version.ts";

test("the version is that of the package", () => {
  const text = readFileSync(resolve(import.meta.dir, "../../package.json"), "utf8");
  expect(VERSION).toBe(JSON.parse(text).version);
  expect(VERSION).toMatch(/^\d+\.\d+\.\d+$/);
});
