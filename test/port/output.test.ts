// Tests of src/port/output.ts: pipes that are full, slow or closed, and a full disk.
// Neighbours: `test/main.test.ts` runs whole commands into such places.
// Invariant: all of the text arrives, or one line says why not, or nobody was left to read it.

import { afterAll, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { put } from "../../src/port/output.ts";

const folder = mkdtempSync(join(tmpdir(), "azimuth-output-"));
const OUTPUT = resolve(import.meta.dir, "../../src/port/output.ts");

afterAll(() => rmSync(folder, { recursive: true }));

function putInto(path: string, flags: string, text: string): string {
  const descriptor = openSync(path, flags);
  try {
    return put(descriptor, text);
  } finally {
    closeSync(descriptor);
  }
}

test("a file gets the whole text", () => {
  const text = "ä line\n".repeat(20_000);
  expect(putInto(join(folder, "file"), "w", text)).toBe("");
  expect(readFileSync(join(folder, "file"), "utf8")).toBe(text);
});

test("a full disk and a descriptor that does not write are one line", () => {
  expect(putInto("/dev/full", "w", "a")).toBe("cannot write the output: no space left");
  expect(putInto("/dev/null", "r", "a")).toBe("cannot write the output: EBADF");
});

test("a pipe with a slow reader gets all, one without a reader is let be", () => {
  const script = `const { put } = await import(${JSON.stringify(OUTPUT)});
    const problem = put(1, "x".repeat(300_000) + "\\n");
    console.error(JSON.stringify(problem));`;
  const run = (reader: string) => {
    const command = `"$0" -e "$1" | ${reader}`;
    return Bun.spawnSync(["sh", "-c", command, process.execPath, script]);
  };
  const slow = run("{ sleep 0.1; wc -c; }");
  expect(slow.stdout.toString().trim()).toBe("300001");
  expect(slow.stderr.toString()).toBe('""\n');
  const gone = run("true");
  expect(gone.stderr.toString()).toBe('""\n');
});
