// Secret, tested: the one place of several where a secret stands, and what is said otherwise.
// Neighbours: `src/core/secret.ts`; `endpoint.test` has the rules for each type.
// Invariant: no problem holds the secret.

import { describe, expect, test } from "bun:test";
import { type FileText, listed, oneOf, secretOf } from "../../src/core/secret.ts";
import { Sheet } from "../../src/core/sheet.ts";
import { entries } from "./file.ts";

const NAMES = ["symmetric-key", "symmetric-key-file", "group-key-file"];
const RULE = "allowed: exactly one of symmetric-key, symmetric-key-file and group-key-file";

const sheet = (...lines: string[]): Sheet =>
  new Sheet(entries(["[endpoint]", ...lines].join("\n")), []);
const told = ({ problems }: Sheet): string[] =>
  problems.map(({ line, key, text }) => `${line} ${key}: ${text}`);
const secret = (text: string) => (): FileText => ({ text });
const never = (): FileText => {
  throw new Error("no file was to be read");
};

describe("exactly one of several keys", () => {
  test("is the one that is written", () => {
    const one = sheet("group-key-file = /g");
    expect(oneOf(one, NAMES)).toMatchObject({ key: "group-key-file", value: "/g", line: 2 });
    expect(told(one)).toEqual([]);
  });

  test("none is told at the first of them, an empty one is none", () => {
    const none = sheet("symmetric-key =");
    expect(oneOf(none, NAMES)).toBeUndefined();
    expect(told(none)).toEqual([`2 symmetric-key: is missing; ${RULE}`]);
  });

  test("of several all but the first in the file are too many", () => {
    const all = sheet("group-key-file = /g", "symmetric-key = k", "symmetric-key-file = /k");
    expect(oneOf(all, NAMES)).toBeUndefined();
    expect(told(all)).toEqual([
      `3 symmetric-key: cannot stand beside group-key-file of line 2; ${RULE}`,
      `4 symmetric-key-file: cannot stand beside group-key-file of line 2; ${RULE}`,
    ]);
  });
});

describe("a secret", () => {
  test("stands in the settings, or in a file, without white space around it", () => {
    expect(secretOf(sheet("symmetric-key = k"), NAMES, never)).toEqual({
      name: "symmetric-key",
      text: "k",
      where: "",
    });
    expect(secretOf(sheet("symmetric-key-file = /k"), NAMES, secret("\n k\n"))).toEqual({
      name: "symmetric-key-file",
      text: "k",
      where: "in that file ",
    });
  });

  test("in a file that cannot be read is none, and told", () => {
    const one = sheet("symmetric-key-file = /k");
    expect(secretOf(one, NAMES, () => ({ problem: "/k: no such file" }))).toBeUndefined();
    expect(told(one)).toEqual(["2 symmetric-key-file: /k: no such file"]);
  });

  test("in a file with a faulty name is not looked for", () => {
    const one = sheet("symmetric-key-file = k");
    expect(secretOf(one, NAMES, never)).toBeUndefined();
    expect(told(one)).toHaveLength(1);
  });
});

test("names in a row, with the word that fits", () => {
  expect(["", "a", "a and b", "a, b and c"]).toEqual([
    listed([]),
    listed(["a"]),
    listed(["a", "b"]),
    listed(["a", "b", "c"]),
  ]);
  expect(listed(["a", "b", "c"], "or")).toBe("a, b or c");
});
