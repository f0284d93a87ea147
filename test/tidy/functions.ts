// Functions: where each function of a TypeScript text begins and ends.
// Neighbours: `tokens` matches the brackets; `shape` holds the lengths against the limit.
// Invariant: blocks, classes, types and object literals are not taken for functions.

import { SyntaxKind } from "typescript/unstable/ast";
import type { Code } from "./tokens.ts";

/** A function with a body in braces, or an arrow whose value spans a bracket. */
export interface Extent {
  readonly firstLine: number;
  readonly lastLine: number;
  /** True for the function given to `describe`, which is a list of tests and not a function. */
  readonly isList: boolean;
}

// What stands before `(…) {` when that is no function.
const CONTROL = new Set(["if", "for", "while", "switch", "catch", "with", "await"]);
// What cannot be part of a return type, so that a walk back over one ends here.
const NO_TYPE = new Set(
  (
    "; = ? class interface enum extends implements namespace module export import const let var " +
    "function return else do try finally static if for while switch case default catch => && || ??"
  ).split(" "),
);

// What a return type cannot end with.
const NO_TYPE_END = new Set([":", ",", "<", "|", "&"]);

/** All functions of a text, those inside others too, in the order of their bodies. */
export function functionsOf(code: Code): Extent[] {
  const found: Extent[] = [];
  code.tokens.forEach((token, index) => {
    const isBrace = token.kind === SyntaxKind.OpenBraceToken;
    const isArrow = code.tokens[index - 1]?.kind === SyntaxKind.EqualsGreaterThanToken;
    const isValue = isArrow && code.partners[index]! > index;
    if (!isBrace && !isValue) return;
    const start = isArrow ? arrowStart(code, index - 1) : parameters(code, index - 1);
    if (start < 0) return;
    const lastLine = code.tokens[code.partners[index]!]!.line;
    const firstLine = code.tokens[start]!.line;
    found.push({ firstLine, lastLine, isList: isArrow && isDescribe(code, start) });
  });
  return found;
}

/** The token at which the parameters of the arrow at `arrow` begin. */
function arrowStart(code: Code, arrow: number): number {
  const before = code.tokens[arrow - 1]!;
  if (before.kind === SyntaxKind.CloseParenToken) return code.partners[arrow - 1]!;
  const start = typeStart(code, arrow - 1);
  return start < 0 ? arrow - 1 : start;
}

/** The opening parenthesis of the parameters of the body whose `{` follows `last`, or -1. */
function parameters(code: Code, last: number): number {
  const token = code.tokens[last];
  if (token === undefined) return -1;
  if (token.kind !== SyntaxKind.CloseParenToken) return typeStart(code, last);
  const open = code.partners[last]!;
  const before = code.tokens[open - 1];
  const isControl = before === undefined || CONTROL.has(before.text);
  const isHeritage = code.tokens[open - 2]?.text === "extends";
  if (!isControl && !isHeritage && before.kind !== SyntaxKind.ColonToken) return open;
  // `f(): (A | B) {`: what stands in parentheses is the return type.
  return before?.kind === SyntaxKind.ColonToken ? typeStart(code, last) : -1;
}

/** Walks back over a return type that ends at `last`, to the `(` of the parameters; else -1. */
function typeStart(code: Code, last: number): number {
  if (NO_TYPE_END.has(code.tokens[last]!.text)) return -1;
  let index = last;
  while (index > 0) {
    const token = code.tokens[index]!;
    const partner = code.partners[index]!;
    if (partner > index) return -1;
    if (partner >= 0) {
      const after = code.tokens[index + 1]!;
      const isEnd = token.kind === SyntaxKind.CloseParenToken && after.text === ":";
      if (isEnd) return CONTROL.has(code.tokens[partner - 1]?.text ?? "") ? -1 : partner;
      const isStatement = token.kind === SyntaxKind.CloseBraceToken && index !== last;
      if (isStatement && !["|", "&", "[", ">", ","].includes(after.text)) return -1;
      index = partner - 1;
      continue;
    }
    const isFunctionType = token.text === "=>" && index !== last;
    if (NO_TYPE.has(token.text) && !isFunctionType) return -1;
    index--;
  }
  return -1;
}

function isDescribe(code: Code, start: number): boolean {
  const call = code.parents[start]!;
  if (call < 1) return false;
  const callee = code.tokens[call - 1]!;
  if (callee.text === "describe") return true;
  // `describe.each(table)(name, () => …)`
  const table = code.partners[call - 1]!;
  return table > 2 && table < call && code.tokens[table - 3]!.text === "describe";
}
