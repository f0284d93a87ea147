// Imports, tested: a planted import across each wall of the house is found.
// Neighbours: `imports.ts`.
// Invariant: for every refusal there is a near neighbour that is allowed.

import { describe, expect, test } from "bun:test";
import { checkImports, importsOf } from "./imports.ts";
import { scan } from "./tokens.ts";

function problems(path: string, from: string): string[] {
  const text = `// a\nimport { a } from ${JSON.stringify(from)};\n`;
  return checkImports({ path, text }).map(({ line, problem }) => `${line}: ${problem}`);
}

describe("allowed", () => {
  test.each([
    ["src/kit/ring.ts", "./assert.ts"],
    ["src/limits.ts", "./kit/assert.ts"],
    ["src/codec/reader.ts", "../limits.ts"],
    ["src/codec/reader.ts", "../kit/assert.ts"],
    ["src/core/agent.ts", "../codec/reader.ts"],
    ["src/core/agent.ts", "./effects.ts"],
    ["src/graph/node.ts", "../codec/bag.ts"],
    ["src/graph/node.ts", "../core/effects.ts"],
    ["src/turn.ts", "./core/agent.ts"],
    ["src/turn.ts", "./graph/node.ts"],
    ["src/command/run.ts", "../port/tls.ts"],
    ["src/command/run.ts", "../turn.ts"],
    ["src/command/run.ts", "node:fs"],
    ["src/port/tls.ts", "../core/effects.ts"],
    ["src/port/tls.ts", "../limits.ts"],
    ["src/port/tls.ts", "node:fs"],
    ["src/port/tls.ts", "bun"],
    ["src/port/settings.ts", "ini"],
    ["src/port/barcode.ts", "qr"],
    ["src/port/calendar.ts", "croner"],
    ["src/port/tpm.ts", "bun:ffi"],
    ["src/port/gpio.ts", "bun:ffi"],
    ["src/port/console.ts", "bun:ffi"],
    ["src/port/watchdog.ts", "bun:ffi"],
    ["src/port/store.ts", "bun:sqlite"],
    ["test/core/agent.test.ts", "../../src/core/agent.ts"],
    ["test/core/agent.test.ts", "bun:test"],
    ["test/port/tls.test.ts", "../../src/port/tls.ts"],
    ["test/conf.test.ts", "../src/port/settings.ts"],
    ["test/sim/world.ts", "../../src/turn.ts"],
    ["test/sim/world.ts", "../azure/model/hub.ts"],
    ["test/azure/model/hub.ts", "./twin.ts"],
    ["test/azure/model/hub.ts", "mqtt-packet"],
  ])("%s imports %s", (path, from) => {
    expect(problems(path, from)).toEqual([]);
  });
});

describe("refused", () => {
  test.each([
    ["src/kit/ring.ts", "../limits.ts", "kit may not import limits (src/limits.ts)"],
    ["src/limits.ts", "./codec/reader.ts", "limits may not import codec (src/codec/reader.ts)"],
    ["src/codec/a.ts", "../core/agent.ts", "codec may not import core (src/core/agent.ts)"],
    ["src/core/a.ts", "../graph/node.ts", "core may not import graph (src/graph/node.ts)"],
    ["src/core/a.ts", "../turn.ts", "core may not import turn (src/turn.ts)"],
    ["src/core/a.ts", "../port/tls.ts", "core may not import port (src/port/tls.ts)"],
    ["src/graph/a.ts", "../core/agent.ts", "graph may not import core (src/core/agent.ts)"],
    ["src/turn.ts", "./port/tls.ts", "turn may not import port (src/port/tls.ts)"],
    ["src/turn.ts", "./main.ts", "turn may not import main (src/main.ts)"],
    ["src/hall/a.ts", "../limits.ts", "hall is no room of the house"],
    ["src/core/a.ts", "../../test/a.ts", "src may not import test/a.ts"],
    ["src/core/a.ts", "./b", "import of ./b without its extension"],
    ["src/core/a.ts", "node:fs", "node:fs only in ports and commands"],
    ["src/turn.ts", "bun", "bun only in ports and commands"],
    ["src/port/tls.ts", "ini", "ini does not belong here"],
    ["src/main.ts", "ini", "ini does not belong here"],
    ["src/main.ts", "qr", "qr does not belong here"],
    ["src/core/schedule.ts", "croner", "croner does not belong here"],
    ["src/main.ts", "bun:ffi", "bun:ffi does not belong here"],
    ["src/port/tls.ts", "bun:ffi", "bun:ffi does not belong here"],
    ["src/core/a.ts", "bun:sqlite", "bun:sqlite does not belong here"],
    ["src/port/tls.ts", "mqtt-packet", "mqtt-packet is no dependency of the product"],
    ["src/port/tls.ts", "bun:jsc", "bun:jsc is no dependency of the product"],
    [
      "test/core/a.test.ts",
      "../../src/port/tls.ts",
      "this test may not import the port src/port/tls.ts",
    ],
    ["test/sim/a.ts", "../../src/port/tls.ts", "this test may not import the port src/port/tls.ts"],
    ["test/sim/a.ts", "../../conf/a.json", "a test may not import conf/a.json"],
  ])("%s imports %s", (path, from, problem) => {
    expect(problems(path, from)).toEqual([`2: ${problem}`]);
  });

  test("a port that knows another port, or a machine", () => {
    const problem = "only kit, limits and src/core/effects.ts";
    for (const from of ["./clock.ts", "../core/agent.ts", "../codec/reader.ts", "../turn.ts"]) {
      expect(problems("src/port/tls.ts", from)[0]).toEndWith(problem);
    }
  });

  test("local Azure that knows the product", () => {
    const [problem] = problems("test/azure/model/hub.ts", "../../../src/codec/reader.ts");
    expect(problem).toStartWith("2: local Azure may not import src/codec/reader.ts");
  });
});

test("every way to import is seen, and nothing in comments or texts", () => {
  const text = `
    import "a";
    import b from "b";
    import type { c } from "c";
    export { d } from "d";
    export * from "e";
    const f = await import("f");
    const g = require("g");
    let h: import("h").H;
    // import "i";
    const j = 'import "j"';
    f("k", from, "l");
  `;
  expect(
    importsOf(scan(text))
      .map((each) => each.from)
      .join(""),
  ).toBe("abcdefgh");
});

test("other files are none of its business", () => {
  expect(checkImports({ path: "conf/a.ts", text: 'import "x";' })).toEqual([]);
});
