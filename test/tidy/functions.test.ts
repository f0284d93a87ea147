// Functions, tested: every way to write one is found, and nothing else is taken for one.
// Neighbours: `functions.ts`; `shape.test.ts` tests the limit.
// Invariant: in each text below a function body stands on lines of its own.

import { describe, expect, test } from "bun:test";
import { functionsOf } from "./functions.ts";
import { scan } from "./tokens.ts";

function extents(text: string): string[] {
  return functionsOf(scan(text)).map(({ firstLine, lastLine }) => `${firstLine}-${lastLine}`);
}

describe("a function", () => {
  test.each([
    "function a() {\n}",
    "async function* a<T>(b: T) {\n}",
    "function a(): number {\n}",
    "function a(): { b: number } {\n}",
    "function a(): Map<string, { b: number }> {\n}",
    "function a(): (B | C)[] {\n}",
    "function a(): (B | C) {\n}",
    "function a(): () => void {\n}",
    "function a(b: unknown): b is string {\n}",
    "function a(b: unknown): asserts b {\n}",
    "const a = function () {\n};",
    "const a = () => {\n};",
    "const a = async (b: number) => {\n};",
    "const a = (b: number): Promise<void> => {\n};",
    "const a = b => {\n};",
    "a(b, (c) => {\n});",
    "const a = () => ({\n});",
    "const a = () => [\n];",
    "const a = { b() {\n} };",
    "const a = { get b() {\n} };",
    "const a = { [b]() {\n} };",
    "const a = { 'b'() {\n} };",
    "class A { b() {\n} }",
    "class A { constructor(private b: C) {\n} }",
    "class A { static async b(): Promise<C> {\n} }",
    "class A { set b(c: D) {\n} }",
    "class A { b = () => {\n}; }",
    "case b: function a() {\n}",
    "export default function () {\n}",
  ])("%j", (text) => {
    expect(extents(text)).toEqual(["1-2"]);
  });

  test("begins where its parameters begin", () => {
    expect(extents("function a(\n  b: number,\n): void {\n}")).toEqual(["1-4"]);
    expect(extents("const a = (\n  b: number,\n): void => {\n}")).toEqual(["1-4"]);
  });

  test("within another is found as well", () => {
    expect(extents("function a() {\n  const b = () => {\n  };\n}")).toEqual(["1-4", "2-3"]);
  });
});

describe("no function", () => {
  test.each([
    "if (a) {\n}",
    "if (a) {\n} else if (b(c)) {\n} else {\n}",
    "for (const a of b()) {\n}",
    "for await (const a of b) {\n}",
    "while (a) {\n}",
    "do {\n} while (a);",
    "switch (a) { case b(c): {\n} }",
    "try {\n} catch {\n} finally {\n}",
    "try {\n} catch (a) {\n}",
    "class A {\n}",
    "class A extends B(C) {\n}",
    "class A<T extends B> implements C<T> {\n}",
    "class A { static {\n} }",
    "interface A {\n}",
    "type A = {\n};",
    "enum A {\n}",
    "const a = {\n};",
    "const a: B = {\n};",
    "const a = { b: {\n} };",
    "a({\n});",
    "a(b, {\n});",
    "const a = b ? c(d) : {\n};",
    "return {\n};",
    "throw {\n};",
    "import {\n} from 'a';",
    "const {\n} = a;",
    "const a = b as {\n};",
    "const a = `$" + "{b(\n)}`;",
    "a();\n{\n}",
  ])("%j", (text) => {
    expect(extents(text)).toEqual([]);
  });

  test("after one does not become one", () => {
    expect(extents("function a(): B {\n}\nclass C {\n}")).toEqual(["1-2"]);
    expect(extents("function a(): B {\n}\nexport const c = {\n};")).toEqual(["1-2"]);
    expect(extents("class A { b(): C {\n}\n static {\n} }")).toEqual(["1-2"]);
  });
});

test("the function given to describe is a list, those inside it are not", () => {
  const isList = (text: string) => functionsOf(scan(text)).map((each) => each.isList);
  expect(isList("describe('a', () => { test('b', () => { }); });")).toEqual([true, false]);
  expect(isList("describe.each([1])('a', (b) => { });")).toEqual([true]);
  expect(isList("test('a', () => { describe; });")).toEqual([false]);
  expect(isList("f(describe, () => { });")).toEqual([false]);
});
