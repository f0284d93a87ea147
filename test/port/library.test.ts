// Library, tested: which libazimuth.so is taken of those that there are.
// Neighbours: `src/port/library.ts`; `conf.test.ts` holds the Makefile to the same places.
// Invariant: each place is found when those before it are empty.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findLibrary } from "../../src/port/library.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "azimuth-places-"));
});
afterEach(() => rmSync(root, { recursive: true }));

test("beside the executable, then in the tree, then below the prefix", () => {
  const find = () => findLibrary(join(root, "usr/bin/azimuth"), join(root, "tree/src"));
  const places = [
    join(root, "usr/bin/libazimuth.so"),
    join(root, "tree/build/libazimuth.so"),
    join(root, "usr/lib/azimuth/libazimuth.so"),
  ];
  expect(find).toThrow(
    `libazimuth.so is missing; looked for ${places.join(", ")}; ` +
      "make build makes it (Debian packages gcc, libc6-dev, libtss2-dev)",
  );
  for (const place of places.toReversed()) {
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, "");
    expect(find()).toBe(place);
  }
});

test("a built executable names no folder inside of itself", () => {
  const folder = join(root, "bin");
  expect(() => findLibrary(join(folder, "azimuth"), "/$bunfs/root")).toThrow(
    `looked for ${join(folder, "libazimuth.so")}, ${join(root, "lib/azimuth/libazimuth.so")}; `,
  );
});
