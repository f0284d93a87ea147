// Imports: what each file may import; the one-way rule between the rooms of the house.
// Neighbours: `tokens` finds the imports; `words` keeps the pure rooms pure by other means.
// Invariant: whatever is not allowed here by name is forbidden.

import { SyntaxKind } from "typescript/unstable/ast";
import { type Finding, isScript, type Source } from "./source.ts";
import { type Code, scan } from "./tokens.ts";

/** One import: what stands in quotes, and its line. */
export interface Import {
  readonly from: string;
  readonly line: number;
}

/** Rooms of `src` that each room may import from, beside itself. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  kit: [],
  limits: ["kit"],
  codec: ["kit", "limits"],
  core: ["kit", "limits", "codec"],
  graph: ["kit", "limits", "codec"],
  turn: ["kit", "limits", "codec", "core", "graph"],
  port: ["kit", "limits"],
  command: ["kit", "limits", "codec", "core", "graph", "turn", "port"],
  main: ["kit", "codec", "core", "command"],
};
/** The shape of the world: the one file of core that ports and the graph know. */
const SHAPE = "src/core/effects.ts";

/** Who may load what stands outside the tree; every package and `bun:` module has a row. */
const OUTSIDE: Readonly<Record<string, RegExp>> = {
  croner: /^src\/port\/calendar\.ts$/,
  ini: /^src\/port\/settings\.ts$/,
  qr: /^src\/port\/barcode\.ts$/,
  "bun:ffi": /^src\/port\/(tpm|gpio|console|watchdog)\.ts$/,
  "bun:sqlite": /^src\/port\/(store|vault|salvage)\.ts$/,
};
const RUNTIME = /^(node:|bun$)/;
const MAY_USE_RUNTIME = /^src\/(main\.ts|command\/|port\/)/;

/** Parts of `test` that may load ports: they measure or show the real thing. */
const TESTS_WITH_PORTS =
  /^test\/(port|bench|demo|soak|gateway|fuzz\/store|conf\.test\.ts|main\.test\.ts)/;

/** Every import, export from, dynamic import and require of a text. */
export function importsOf(code: Code): Import[] {
  const found: Import[] = [];
  code.tokens.forEach((token, index) => {
    if (token.kind !== SyntaxKind.StringLiteral) return;
    const before = code.tokens[index - 1]?.text;
    const call = before === "(" ? code.tokens[index - 2]?.text : "";
    const isImport = before === "from" || before === "import";
    if (!isImport && call !== "import" && call !== "require") return;
    found.push({ from: token.value, line: token.line });
  });
  return found;
}

/** Checks every import of one file. */
export function checkImports(source: Source): Finding[] {
  if (!isScript(source)) return [];
  return importsOf(scan(source.text)).flatMap(({ from, line }) => {
    const problem = from.startsWith(".")
      ? insideProblem(source.path, from)
      : outsideProblem(source.path, from);
    return problem === "" ? [] : [{ path: source.path, line, problem }];
  });
}

function insideProblem(path: string, from: string): string {
  if (!/\.(ts|json)$/.test(from)) return `import of ${from} without its extension`;
  const target = resolve(path, from);
  if (path.startsWith("test/")) return testProblem(path, target);
  if (!target.startsWith("src/")) return `src may not import ${target}`;
  const own = roomOf(path);
  const other = roomOf(target);
  const allowed = BELOW[own];
  if (allowed === undefined) return `${own} is no room of the house`;
  if (own === "port") {
    const isAllowed = allowed.includes(other) || target === SHAPE;
    return isAllowed ? "" : `a port may not import ${target}: only kit, limits and ${SHAPE}`;
  }
  if (own === other || allowed.includes(other)) return "";
  if (own === "graph" && target === SHAPE) return "";
  return `${own} may not import ${other} (${target})`;
}

function testProblem(path: string, target: string): string {
  if (path.startsWith("test/azure/") && target.startsWith("src/")) {
    return `local Azure may not import ${target}: it would share our mistakes`;
  }
  if (target.startsWith("src/port/") && !TESTS_WITH_PORTS.test(path)) {
    return `this test may not import the port ${target}`;
  }
  return target.startsWith("src/") || target.startsWith("test/")
    ? ""
    : `a test may not import ${target}`;
}

function outsideProblem(path: string, from: string): string {
  if (path.startsWith("test/")) return "";
  const owner = OUTSIDE[from];
  if (owner !== undefined) return owner.test(path) ? "" : `${from} does not belong here`;
  if (RUNTIME.test(from)) {
    return MAY_USE_RUNTIME.test(path) ? "" : `${from} only in ports and commands`;
  }
  return `${from} is no dependency of the product`;
}

/** `src/codec/reader.ts` -> `codec`, `src/limits.ts` -> `limits`. */
function roomOf(path: string): string {
  return path.split("/")[1]!.replace(/\.ts$/, "");
}

function resolve(path: string, from: string): string {
  const parts = path.split("/").slice(0, -1);
  for (const part of from.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}
