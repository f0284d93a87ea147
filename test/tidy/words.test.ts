// Words, tested: each forbidden word, path, host and key is planted and found.
// Neighbours: `words.ts`.
// Invariant: planted words are put together from halves, so that searches of the tree for the
// real thing do not end here.

import { describe, expect, test } from "bun:test";
import { checkPurity, checkTexts } from "./words.ts";

describe("pure rooms", () => {
  const problems = (path: string, text: string) =>
    checkPurity({ path, text }).map(({ line, problem }) => `${line}: ${problem}`);

  test.each([
    ["const a = Bun.file(b);", "Bun"],
    ["async function a() {}", "async"],
    ["await a;", "await"],
    ["let a: Promise<void>;", "Promise"],
    ["const a = new Date();", "Date"],
    ["const a = Math.random();", "Math.random"],
    ["setTimeout(a, 1);", "setTimeout"],
    ["setInterval(a, 1);", "setInterval"],
    ["queueMicrotask(a);", "queueMicrotask"],
    ["const a = process.pid;", "process"],
    ["console.log(a);", "console"],
    ["const a = performance.now();", "performance"],
    ["const a = globalThis;", "globalThis"],
    ["const a = crypto.randomUUID();", "crypto"],
    ["fetch(a);", "fetch"],
    ["const a = `$" + "{Date.now()}`;", "Date"],
    ['import "node:fs";', '"node:fs"'],
    ['import "bun:ffi";', '"bun:ffi"'],
  ])("%j", (text, word) => {
    for (const path of ["src/kit/a.ts", "src/codec/a.ts", "src/core/a.ts", "src/graph/a.ts"]) {
      expect(problems(path, `\n${text}`)).toEqual([`2: ${word} in a pure room`]);
    }
    expect(problems("src/turn.ts", text)).toHaveLength(1);
    expect(problems("src/limits.ts", text)).toHaveLength(1);
    expect(problems("src/port/a.ts", text)).toEqual([]);
    expect(problems("src/main.ts", text)).toEqual([]);
    expect(problems("test/core/a.test.ts", text)).toEqual([]);
  });

  test.each([
    "// Date, Promise and console",
    "/** async */",
    'const a = "setTimeout process";',
    "const a = /Date/;",
    "const a = Math.floor(1);",
    "this.process(a); b?.fetch(c);",
    "const dateS = 1; const processed = 2;",
  ])("%j is none", (text) => {
    expect(problems("src/core/a.ts", text)).toEqual([]);
  });
});

describe("texts", () => {
  const problems = (path: string, text: string) =>
    checkTexts({ path, text }).map(({ line, problem }) => `${line}: ${problem}`);
  const halves = (...pairs: readonly (readonly [string, string])[]) => pairs.map((p) => p.join(""));

  test("leftovers", () => {
    const words = halves(
      ["TO", "DO"],
      ["FIX", "ME"],
      ["X", "XX"],
      ["HA", "CK"],
      ["not imple", "mented"],
      ["st", "ub"],
      ["st", "ubs"],
      ["place", "holder"],
    );
    for (const word of words) {
      for (const path of ["src/a.ts", "test/a.ts", "native/a.c", "conf/a.ini"]) {
        expect(problems(path, `a\n# a ${word} here`)).toEqual(["2: unfinished by its own words"]);
      }
    }
    expect(problems("src/a.ts", "mastodon, hacked, stubborn")).toEqual([]);
  });

  test("tests that do not always run", () => {
    const calls = halves(
      ["test.sk", "ip("],
      ["test.sk", "ipIf("],
      ["it.on", "ly("],
      ["describe.to", "do("],
      ["test.i", "f("],
      ["test.fail", "ing("],
    );
    for (const call of calls) {
      expect(problems("test/a.test.ts", call)).toEqual(["1: a test that does not always run"]);
    }
    expect(problems("test/a.test.ts", "test.each(a)('b', () => {});")).toEqual([]);
    expect(problems("test/a.test.ts", `con${"test"}.only(a)`)).toEqual([]);
  });

  test("paths of one machine", () => {
    for (const path of halves(
      ["/ho", "me/a"],
      ["/ro", "ot/a"],
      ["/wo", "rk/a"],
      ["/Us", "ers/a"],
    )) {
      for (const file of ["src/a.ts", "Makefile", "README.md", "conf/a", ".ci/run"]) {
        expect(problems(file, `x "${path}"`)).toEqual(["1: an absolute path of one machine"]);
      }
    }
    expect(problems("src/a.ts", `/etc/azimuth, .${"/work"}/a, node_modules${"/root"}/a`)).toEqual(
      [],
    );
  });

  test("hosts in the lock file", () => {
    expect(problems("bun.lock", '"a": ["a@1", "https://a.example/a.tgz"]')).toHaveLength(1);
    expect(problems("package.json", '"a": "git+ssh://a.example/a"')).toHaveLength(1);
    expect(problems("test/bench/bun.lock", '"a": ["a@1", "http://a.example/a.tgz"]')).toHaveLength(
      1,
    );
    expect(problems("bun.lock", '"a": ["a@1", "", {}, "sha512-a=="]')).toEqual([]);
  });

  test("hosts of registries", () => {
    const hosts = halves(
      ["https://regis", "try.npmjs.org/a"],
      ["regis", "try.yarnpkg.com"],
      ["http://my.regis", "try:4873"],
      ["npm_config_regis", "try=a"],
    );
    for (const host of hosts) {
      expect(problems("Makefile", host)).toEqual(["1: the host of a package registry"]);
    }
    expect(problems("test/azure/hub.ts", "this.registry.get(a)")).toEqual([]);
  });

  test("keys", () => {
    const key = `${"AbC4".repeat(21)}Ab==`;
    const pem = `-----BEGIN EC PRIVATE${" KEY-----"}`;
    for (const path of ["src/a.ts", "test/codec/sas.test.ts", "conf/a.ini", "README.md"]) {
      expect(problems(path, `a = "${key}"`)).toEqual(["1: something that looks like a key"]);
      expect(problems(path, pem)).toEqual(["1: something that looks like a key"]);
    }
    expect(problems("bun.lock", `"sha512-${key}"`)).toEqual([]);
    expect(problems("test/bench/bun.lock", `"sha512-${key}"`)).toEqual([]);
    expect(problems("test/codec/vector.ts", key)).toEqual([]);
    expect(problems("src/a.ts", `text.includes("${pem}")`)).toEqual([]);
    expect(problems("src/a.ts", "bm90IGEga2V5")).toEqual([]);
  });
});
