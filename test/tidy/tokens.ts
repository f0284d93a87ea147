// Tokens: a TypeScript text as tokens without comments, with its brackets matched.
// Neighbours: `functions` and `imports` read these; the scanner is TypeScript's own.
// Invariant: words in comments, strings, templates and regular expressions are no tokens of code.

import { SyntaxKind } from "typescript/unstable/ast";
import { computeLineStarts, createScanner } from "typescript/unstable/ast/scanner";

/** One token; `text` as written. */
export interface Token {
  readonly kind: SyntaxKind;
  readonly text: string;
  /** Line of its first character, from 1. */
  readonly line: number;
  /** Value of a string literal, "" for other tokens. */
  readonly value: string;
}

/** Tokens and, for each bracket, the index of its partner; -1 for what is no bracket. */
export interface Code {
  readonly tokens: readonly Token[];
  readonly partners: readonly number[];
  /** Index of the innermost bracket that is open at each token, -1 at the top. */
  readonly parents: readonly number[];
}

const CLOSING = new Map([
  [SyntaxKind.OpenBraceToken, SyntaxKind.CloseBraceToken],
  [SyntaxKind.OpenParenToken, SyntaxKind.CloseParenToken],
  [SyntaxKind.OpenBracketToken, SyntaxKind.CloseBracketToken],
  [SyntaxKind.TemplateHead, SyntaxKind.TemplateTail],
]);
const CLOSERS = new Set(CLOSING.values());
// After one of these a slash divides; after anything else it begins a regular expression.
const OPERAND_END = new Set([
  SyntaxKind.Identifier,
  SyntaxKind.PrivateIdentifier,
  SyntaxKind.NumericLiteral,
  SyntaxKind.BigIntLiteral,
  SyntaxKind.StringLiteral,
  SyntaxKind.RegularExpressionLiteral,
  SyntaxKind.NoSubstitutionTemplateLiteral,
  SyntaxKind.TemplateTail,
  SyntaxKind.CloseParenToken,
  SyntaxKind.CloseBracketToken,
  SyntaxKind.CloseBraceToken,
  SyntaxKind.ThisKeyword,
  SyntaxKind.SuperKeyword,
  SyntaxKind.TrueKeyword,
  SyntaxKind.FalseKeyword,
  SyntaxKind.NullKeyword,
  SyntaxKind.PlusPlusToken,
  SyntaxKind.MinusMinusToken,
]);

/** Scans a text. Throws on brackets that do not match: such a text does not compile either. */
export function scan(text: string): Code {
  const tokens = tokensOf(text);
  const partners: number[] = new Array(tokens.length).fill(-1);
  const parents: number[] = new Array(tokens.length).fill(-1);
  const open: number[] = [];
  tokens.forEach((token, index) => {
    if (CLOSERS.has(token.kind)) {
      const partner = open.pop() ?? -1;
      const opening = tokens[partner];
      if (opening === undefined || CLOSING.get(opening.kind) !== token.kind) {
        throw new Error(`line ${token.line}: ${token.text} closes ${opening?.text ?? "nothing"}`);
      }
      partners[partner] = index;
      partners[index] = partner;
    }
    parents[index] = open.at(-1) ?? -1;
    if (CLOSING.has(token.kind)) open.push(index);
  });
  if (open.length > 0) throw new Error(`line ${tokens[open.at(-1)!]!.line}: bracket left open`);
  return { tokens, partners, parents };
}

function tokensOf(text: string): Token[] {
  const scanner = createScanner(true, undefined, text);
  const starts = computeLineStarts(text);
  const tokens: Token[] = [];
  const braces: boolean[] = [];
  let line = 1;
  for (;;) {
    let kind = scanner.scan();
    if (kind === SyntaxKind.EndOfFile) return tokens;
    const isSlash = kind === SyntaxKind.SlashToken || kind === SyntaxKind.SlashEqualsToken;
    if (isSlash && !isOperandEnd(tokens, tokens.length - 1)) kind = scanner.reScanSlashToken();
    if (kind === SyntaxKind.CloseBraceToken && braces.pop() === true) {
      kind = scanner.reScanTemplateToken(false);
    }
    if (kind === SyntaxKind.OpenBraceToken) braces.push(false);
    if (kind === SyntaxKind.TemplateHead || kind === SyntaxKind.TemplateMiddle) braces.push(true);
    const start = scanner.getTokenStart();
    if (scanner.getTokenEnd() === start) throw new Error(`line ${line}: not TypeScript`);
    while (line < starts.length && starts[line]! <= start) line++;
    const value = kind === SyntaxKind.StringLiteral ? scanner.getTokenValue() : "";
    tokens.push({ kind, text: scanner.getTokenText(), line, value });
  }
}

/** Whether an operand ends at the token, so that a slash after it divides. */
function isOperandEnd(tokens: readonly Token[], index: number): boolean {
  const token = tokens[index];
  if (token === undefined) return false;
  // `x! / 2` against `!/x/.test(y)`
  if (token.kind === SyntaxKind.ExclamationToken) return isOperandEnd(tokens, index - 1);
  return OPERAND_END.has(token.kind);
}
