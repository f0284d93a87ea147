// Shape, tested: files that are too long, too wide, misnamed or untested are planted and found.
// Neighbours: `shape.ts`.
// Invariant: each limit is tested at its edge, from both sides.

import { describe, expect, test } from "bun:test";
import * as shape from "./shape.ts";
import { type Finding, formatFinding } from "./source.ts";

function said(findings: readonly Finding[]): string[] {
  return findings.map(formatFinding);
}

test("the top of the tree", () => {
  expect(shape.checkTop(["src", "test", "README.md", "Makefile", ".ci", ".git"])).toEqual([]);
  expect(said(shape.checkTop(["src", "docs", "tsconfig.json"]))).toEqual([
    "docs: not on the list of what stands at the top",
    "tsconfig.json: not on the list of what stands at the top",
  ]);
});

describe("size", () => {
  const lines = (count: number) => "a\n".repeat(count);

  test("400 lines and no more", () => {
    expect(shape.checkSize({ path: "src/a.ts", text: lines(400) })).toEqual([]);
    for (const path of ["src/a.ts", "test/a.ts", "native/a.c"]) {
      expect(said(shape.checkSize({ path, text: lines(401) }))).toEqual([
        `${path}: 401 lines, at most 400`,
      ]);
    }
    expect(shape.checkSize({ path: "src/README.md", text: lines(500) })).toEqual([]);
  });

  test("100 columns and no more, counted in characters", () => {
    const narrow = `a\n${"ä".repeat(100)}\n${"😀".repeat(100)}`;
    expect(shape.checkSize({ path: "src/a.ts", text: narrow })).toEqual([]);
    for (const path of ["src/a.ts", "test/a.ts", "native/a.h", "Makefile", "conf/a.ini"]) {
      const [finding] = shape.checkSize({ path, text: `a\n${"b".repeat(101)}\nc` });
      expect(formatFinding(finding!)).toBe(`${path}:2: 101 columns, at most 100`);
    }
    expect(shape.checkSize({ path: "README.md", text: "b".repeat(101) })).toEqual([]);
  });
});

describe("functions", () => {
  const body = (count: number) => `function a() {\n${"b();\n".repeat(count - 2)}}\n`;

  test("70 lines and no more", () => {
    expect(shape.checkFunctions({ path: "src/a.ts", text: body(70) })).toEqual([]);
    expect(said(shape.checkFunctions({ path: "test/a.ts", text: `\n${body(71)}` }))).toEqual([
      "test/a.ts:2: a function of 71 lines, at most 70",
    ]);
  });

  test("a describe may be longer, a test in it may not", () => {
    const list = (inner: string) => `describe("a", () => {\n${inner}${"b();\n".repeat(80)}});\n`;
    expect(shape.checkFunctions({ path: "test/a.ts", text: list("") })).toEqual([]);
    const long = `test("b", () => {\n${"c();\n".repeat(70)}});\n`;
    expect(said(shape.checkFunctions({ path: "test/a.ts", text: list(long) }))).toEqual([
      "test/a.ts:2: a function of 72 lines, at most 70",
    ]);
  });
});

describe("header", () => {
  const problems = (text: string) => said(shape.checkHeader({ path: "src/a.ts", text }));
  const comment = (count: number) => "// a\n".repeat(count);

  test("3 to 6 lines", () => {
    expect(problems(`${comment(3)}\ncode();`)).toEqual([]);
    expect(problems(`${comment(6)}\n// more\ncode();`)).toEqual([]);
    expect(problems(`#!/usr/bin/env bun\n${comment(3)}\ncode();`)).toEqual([]);
    expect(problems("/**\n * a\n * b\n * c\n */\ncode();")).toEqual([]);
    expect(problems("/* a\n   b\n   c */\ncode();")).toEqual([]);
  });

  test("fewer, more or none", () => {
    const text = (count: number) => [
      `src/a.ts:1: begins with ${count} lines of comment, not 3 to 6`,
    ];
    expect(problems(`${comment(2)}\n// more\ncode();`)).toEqual(text(2));
    expect(problems(`${comment(7)}code();`)).toEqual(text(7));
    expect(problems("code();\n// a\n// b\n// c\n")).toEqual(text(0));
    expect(problems("\n// a\n// b\n// c\n")).toEqual(text(0));
    expect(problems("//\n//\n//\ncode();")).toEqual(text(0));
    expect(problems("/**\n * a\n * b\n */\ncode();")).toEqual(text(2));
    expect(problems("")).toEqual(text(0));
  });
});

describe("names", () => {
  test.each([
    "src/codec/reader.ts",
    "src/main.ts",
    "src/port/ini.d.ts",
    "src/README.md",
    "src/tsconfig.json",
    "test/codec/utf8.test.ts",
    "test/bench/peers/package.json",
    "test/bench/peers/package-lock.json",
    "conf/90-azimuth.rules",
  ])("%s is fine", (path) => {
    expect(shape.checkName({ path, text: "" })).toEqual([]);
  });

  test.each([
    "src/codec/Reader.ts",
    "src/codec/packet-reader.ts",
    "src/codec/packet_reader.ts",
    "src/Codec/reader.ts",
    "src/codec/reader.spec.ts",
    "src/codec/reader.js",
    "src/codec/notes",
    "test/codec/reader.test.tsx",
    "src/package-lock.json/a.ts",
  ])("%s is not", (path) => {
    expect(said(shape.checkName({ path, text: "" }))).toEqual([
      `${path}: not a single lower-case noun`,
    ]);
  });
});

test("mirror", () => {
  const paths = [
    "src/limits.ts",
    "src/core/agent.ts",
    "src/core/link.ts",
    "src/port/ini.d.ts",
    "src/README.md",
    "test/core/agent.test.ts",
    "test/link.test.ts",
  ];
  expect(said(shape.checkMirror(paths, ["src/limits.ts"]))).toEqual([
    "src/core/link.ts: has no test/core/link.test.ts",
  ]);
});
