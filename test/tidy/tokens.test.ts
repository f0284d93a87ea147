// Tokens, tested: what is code and what is not, and that brackets find their partners.
// Neighbours: `tokens.ts`; the rules that read tokens have tests of their own.
// Invariant: a text that the scanner could misread is planted here.

import { describe, expect, test } from "bun:test";
import { scan } from "./tokens.ts";

function words(text: string): string {
  return scan(text)
    .tokens.map((token) => token.text)
    .join(" ");
}

describe("code and not code", () => {
  test.each([
    ["a(); // b\n/* c */ d();", "a ( ) ; d ( ) ;"],
    ['a = "b // c";', 'a = "b // c" ;'],
    ["a = `b $" + "{c} d`;", "a = `b $" + "{ c } d` ;"],
    ["a = `$" + "{`x$" + "{b}`}`;", "a = `$" + "{ `x$" + "{ b }` }` ;"],
    ["a = `$" + "{ {b: 1}.b }`;", "a = `$" + "{ { b : 1 } . b }` ;"],
    ["/[{/]/.test(a)", "/[{/]/ . test ( a )"],
    ["if (!/[#{]/.test(a)) b()", "if ( ! /[#{]/ . test ( a ) ) b ( )"],
    ["a = b / c / d", "a = b / c / d"],
    ["a = b! / c", "a = b ! / c"],
    ["a = f() / 2; b = [1][0] / 2", "a = f ( ) / 2 ; b = [ 1 ] [ 0 ] / 2"],
    ["return /{/", "return /{/"],
    ["class A { #b = 1 }", "class A { #b = 1 }"],
  ])("%j", (text, expected) => {
    expect(words(text)).toBe(expected);
  });
});

test("lines count from 1, through templates and comments too", () => {
  const { tokens } = scan("a\n/*\n*/ b `\n\n` c\n\n// d\ne");
  const lines = tokens.map((token) => [token.text.trim(), token.line]);
  expect(lines).toEqual([
    ["a", 1],
    ["b", 3],
    ["`\n\n`", 3],
    ["c", 5],
    ["e", 8],
  ]);
});

test("partners and parents", () => {
  const { partners, parents } = scan("f ( [ a ] , { } )");
  expect(partners).toEqual([-1, 8, 4, -1, 2, -1, 7, 6, 1].slice(0, 9));
  expect(parents).toEqual([-1, -1, 1, 2, 1, 1, 1, 1, -1]);
});

test("the value of a string is told without its quotes", () => {
  expect(scan("a('b\\u0063')").tokens[2]!.value).toBe("bc");
});

test("brackets that do not match are refused", () => {
  expect(() => scan("a(\n")).toThrow("line 1: bracket left open");
  expect(() => scan("a\n)")).toThrow("line 2: ) closes nothing");
  expect(() => scan("a(]")).toThrow("line 1: ] closes (");
});
