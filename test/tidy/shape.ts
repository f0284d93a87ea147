// Shape: how long and wide a file may be, how it begins, what it is called and where it stands.
// Neighbours: `functions` measures functions; `test/tidy.test.ts` lists the exceptions.
// Invariant: every limit of the house stands here once.

import { functionsOf } from "./functions.ts";
import { type Finding, isScript, linesOf, type Source } from "./source.ts";
import { scan } from "./tokens.ts";

const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;
const LINE_COLUMNS_MAX = 100;
const HEADER_LINES_MIN = 3;
const HEADER_LINES_MAX = 6;

/** What may stand at the top of the tree; all else belongs into one of the folders. */
const TOP = new Set(
  (
    ".git .gitignore .gitattributes .editorconfig .ci .npmrc README.md LICENSE Makefile " +
    "package.json bun.lock bunfig.toml biome.json src native conf test build node_modules .cache"
  ).split(" "),
);

const CODE = /^(src|test|native)\/.*\.(ts|c|h)$/;
const NARROW = /^((src|test|native)\/.*\.(ts|c|h)|Makefile|\.ci\/.*|conf\/(?!README\.md$).*)$/;
/** One lower-case noun; in `src` and `test` also the few files that tools want by name. */
const SCRIPT_NAME = /^[a-z][a-z0-9]*(\.test|\.d)?\.(ts|c|h)$/;
const OTHER_NAME = /^(README\.md|tsconfig\.json|package\.json|[a-z0-9.-]+\.(txt|json|pem|bin))$/;
const LOCK_NAME = /^(bun\.lock|package-lock\.json)$/;

/** Entries at the top of the tree that are not on the list. */
export function checkTop(names: readonly string[]): Finding[] {
  return names
    .filter((name) => !TOP.has(name))
    .map((path) => ({ path, line: 0, problem: "not on the list of what stands at the top" }));
}

/** Lengths of the file and its lines. */
export function checkSize(source: Source): Finding[] {
  const { path } = source;
  const lines = linesOf(source.text);
  const found: Finding[] = [];
  if (CODE.test(path) && lines.length > FILE_LINES_MAX) {
    found.push({ path, line: 0, problem: `${lines.length} lines, at most ${FILE_LINES_MAX}` });
  }
  if (!NARROW.test(path)) return found;
  lines.forEach((text, index) => {
    const columns = [...text].length;
    if (columns <= LINE_COLUMNS_MAX) return;
    const problem = `${columns} columns, at most ${LINE_COLUMNS_MAX}`;
    found.push({ path, line: index + 1, problem });
  });
  return found;
}

/** Lengths of the functions. */
export function checkFunctions(source: Source): Finding[] {
  if (!isScript(source)) return [];
  return functionsOf(scan(source.text)).flatMap(({ firstLine, lastLine, isList }) => {
    const lines = lastLine - firstLine + 1;
    if (isList || lines <= FUNCTION_LINES_MAX) return [];
    const problem = `a function of ${lines} lines, at most ${FUNCTION_LINES_MAX}`;
    return [{ path: source.path, line: firstLine, problem }];
  });
}

/** The comment that begins a file: duty, neighbours, invariant. */
export function checkHeader(source: Source): Finding[] {
  if (!/\.(ts|c|h)$/.test(source.path)) return [];
  const lines = linesOf(source.text);
  if (lines[0]?.startsWith("#!")) lines.shift();
  const count = lines[0]?.startsWith("/*") ? blockLines(lines) : commentLines(lines);
  if (count >= HEADER_LINES_MIN && count <= HEADER_LINES_MAX) return [];
  const range = `${HEADER_LINES_MIN} to ${HEADER_LINES_MAX}`;
  const problem = `begins with ${count} lines of comment, not ${range}`;
  return [{ path: source.path, line: 1, problem }];
}

/** Lines of text in the block comment that begins a file; its bare delimiters do not count. */
function blockLines(lines: readonly string[]): number {
  const end = lines.findIndex((line) => line.includes("*/"));
  return lines.slice(0, end + 1).filter((line) => /[^/*\s]/.test(line)).length;
}

function commentLines(lines: readonly string[]): number {
  const end = lines.findIndex((line) => !/^\/\/ *\S/.test(line));
  return end < 0 ? lines.length : end;
}

/** Names of files and folders below `src` and `test`. */
export function checkName({ path }: Source): Finding[] {
  if (!/^(src|test)\//.test(path)) return [];
  const parts = path.split("/");
  const name = parts.pop()!;
  const isSound =
    parts.every((folder) => /^[a-z][a-z0-9]*$/.test(folder)) &&
    (/\.(ts|c|h)$/.test(name) ? SCRIPT_NAME.test(name) : isOther(path, name));
  const problem = "not a single lower-case noun";
  return isSound ? [] : [{ path, line: 0, problem }];
}

function isOther(path: string, name: string): boolean {
  return OTHER_NAME.test(name) || (path.startsWith("test/") && LOCK_NAME.test(name));
}

/** Where the test of a source file must be; a command is tested as a process. */
export function mirrorOf(path: string): string {
  if (path.startsWith("src/command/")) return "test/main.test.ts";
  return path.replace(/^src\//, "test/").replace(/\.ts$/, ".test.ts");
}

/** Source files without the test that mirrors them, but for `exceptions`. */
export function checkMirror(paths: readonly string[], exceptions: readonly string[]): Finding[] {
  const known = new Set(paths);
  return paths
    .filter((path) => /^src\/.*(?<!\.d)\.ts$/.test(path) && !exceptions.includes(path))
    .filter((path) => !known.has(mirrorOf(path)))
    .map((path) => ({ path, line: 0, problem: `has no ${mirrorOf(path)}` }));
}
