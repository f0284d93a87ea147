// Tidy: the house rules, held against every file of the tree.
// Neighbours: the rules and their own tests are in `test/tidy`; exceptions are listed here.
// Invariant: an exception has a reason, and is itself checked to be needed still.

import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { functionsOf } from "./tidy/functions.ts";
import { checkImports } from "./tidy/imports.ts";
import * as shape from "./tidy/shape.ts";
import { type Finding, formatFinding, loadTree, type Source } from "./tidy/source.ts";
import { scan } from "./tidy/tokens.ts";
import { checkPurity, checkTexts } from "./tidy/words.ts";

const root = resolve(import.meta.dir, "..");
const tree = loadTree(root);
const paths = tree.map((source) => source.path);

/** Source files that need no test of their own: they hold types and values, no behaviour. */
const WITHOUT_BEHAVIOUR: readonly string[] = [
  "src/codec/packet.ts",
  "src/core/cause.ts",
  "src/core/hardware.ts",
  "src/core/service.ts",
  "src/core/state.ts",
  "src/core/step.ts",
  "src/core/upkeep.ts",
  "src/kit/store.ts",
  "src/kit/version.ts",
];

/** More findings than this help nobody. */
const SHOWN_MAX = 40;

function expectNone(findings: readonly Finding[]): void {
  const said = findings.map(formatFinding);
  const more = said.length - SHOWN_MAX;
  expect(more > 0 ? [...said.slice(0, SHOWN_MAX), `and ${more} more`] : said).toEqual([]);
}

test("the tree is seen", () => {
  expect(paths).toContain("src/limits.ts");
  expect(paths).toContain("test/tidy.test.ts");
  expect(paths).toContain("package.json");
});

test("the top of the tree holds what it should and nothing else", () => {
  expectNone(shape.checkTop(readdirSync(root)));
});

describe("every file", () => {
  const rules: readonly (readonly [string, (source: Source) => Finding[]])[] = [
    ["imports one way", checkImports],
    ["keeps the pure rooms pure", checkPurity],
    ["is short and narrow", shape.checkSize],
    ["has short functions", shape.checkFunctions],
    ["begins with its duty", shape.checkHeader],
    ["is called a noun", shape.checkName],
    ["holds no leftovers, paths, hosts or keys", checkTexts],
  ];

  for (const [name, rule] of rules) {
    test(name, () => {
      expectNone(tree.flatMap(rule));
    });
  }
});

test("every source file has its test", () => {
  expectNone(shape.checkMirror(paths, WITHOUT_BEHAVIOUR));
});

test("a file that is excused from a test has no function", () => {
  for (const path of WITHOUT_BEHAVIOUR) {
    const source = tree.find((each) => each.path === path);
    expect(source).toBeDefined();
    expect(functionsOf(scan(source!.text))).toEqual([]);
  }
});
