// Source: the files of the tree as the house rules see them, and what a rule finds in them.
// Neighbours: `test/tidy.test.ts` loads the tree; the rules beside this file judge it.
// Invariant: a rule sees nothing but paths and texts, so a test can plant a violation in memory.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** One file: its path from the top of the tree, with /, and its text. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

/** A broken rule and where; line 0 means the file as such. */
export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly problem: string;
}

/** Folders that are made, not written. */
const MADE = new Set([".git", "node_modules", ".cache", "build"]);

/** Every written file below `root`, in the order of their paths. */
export function loadTree(root: string): Source[] {
  const found: Source[] = [];
  const visit = (folder: string) => {
    const entries = readdirSync(join(root, folder), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory() && !MADE.has(entry.name)) visit(path);
      if (entry.isFile() && !MADE.has(entry.name))
        found.push({ path, text: readFileSync(join(root, path), "utf8") });
    }
  };
  visit("");
  return found;
}

/** `path:line: problem`, as editors understand it. */
export function formatFinding({ path, line, problem }: Finding): string {
  return line === 0 ? `${path}: ${problem}` : `${path}:${line}: ${problem}`;
}

/** True for a TypeScript file below `src` or `test`. */
export function isScript(source: Source): boolean {
  return /^(src|test)\/.*\.ts$/.test(source.path);
}

/** Lines of a text without their ends; a final newline makes no further line. */
export function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}
