// Memo, tested: what is kept is there after a restart, whole, for its owner alone.
// Neighbours: `src/port/memo.ts`; the identity machine decides what is kept.
// Invariant: the folder of each test is its own and is gone after it.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileMemo } from "../../src/port/memo.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "azimuth-store-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A file, and a promise of what it tells about its first `count` saves. */
function open(path: string, count = 1) {
  const { promise, resolve } = Promise.withResolvers<string[]>();
  const told: string[] = [];
  const onSaved = (problem: string): void => {
    told.push(problem);
    if (told.length === count) resolve(told);
  };
  return { file: new FileMemo({ onSaved }, path), told, saved: promise };
}

test("nothing is kept at first, and that is no problem", () => {
  const { file } = open(join(folder, "deep", "a.json"));
  expect([file.text, file.problem]).toEqual(["", ""]);
});

test("what was saved is there for the next start, mode 0600, in a new folder", async () => {
  const path = join(folder, "deep", "a.json");
  const { file, told, saved } = open(path);
  file.save("one");
  expect(told).toEqual([]);
  expect(await saved).toEqual([""]);
  expect(open(path).file.text).toBe("one");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, "deep")).mode & 0o777).toBe(0o700);
  expect(readdirSync(join(folder, "deep"))).toEqual(["a.json"]);
});

test("of several saves in a row each is answered, and the last one stays", async () => {
  const path = join(folder, "a.json");
  const { file, saved } = open(path, 4);
  for (const text of ["one", "two", "three", "four"]) file.save(text);
  expect(await saved).toEqual(["", "", "", ""]);
  expect(open(path).file.text).toBe("four");
});

test("what is left of a cut save is written over, and never read", async () => {
  const path = join(folder, "a.json");
  writeFileSync(path, "old");
  writeFileSync(`${path}.new`, "ha", { mode: 0o644 });
  const { file, saved } = open(path);
  expect(file.text).toBe("old");
  file.save("new");
  await saved;
  expect(open(path).file.text).toBe("new");
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("a folder that is none is one line, before and after", async () => {
  const path = join(folder, "file", "a.json");
  writeFileSync(join(folder, "file"), "");
  const { file, saved } = open(path);
  expect(file.problem).toBe(
    `${path}: cannot be read: ENOTDIR: state-dir names a file; allowed: a folder`,
  );
  file.save("one");
  expect(await saved).toEqual([
    expect.stringMatching(/^.*a\.json: (ENOTDIR|EEXIST): state-dir names a file;/),
  ]);
});

test("a file that is too long to be ours is not used", () => {
  const path = join(folder, "a.json");
  writeFileSync(path, "x".repeat(16 * 1024 + 1));
  const { file } = open(path);
  expect([file.text, file.problem]).toEqual(["", `${path}: longer than 16 KB; not used`]);
  mkdirSync(join(folder, "b"));
  expect(open(join(folder, "b")).file.problem).toContain(
    "cannot be read: EISDIR: a folder is in its place; remove it",
  );
});
