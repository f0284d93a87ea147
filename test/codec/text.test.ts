// Tests of src/codec/text.ts: what a client may put into a packet.
// Neighbours: writer.test.ts shows that the writer asks these.
// Invariant: no message repeats the text that was refused.

import { describe, expect, test } from "bun:test";
import { checkFilter, checkIdentifier, checkName, checkText } from "../../src/codec/text.ts";

test("identifiers are 1..65535", () => {
  for (const sound of [1, 2, 65_535]) expect(() => checkIdentifier(sound)).not.toThrow();
  for (const wrong of [0, -1, 65_536, 1.5, Number.NaN, 2 ** 32 + 1]) {
    expect(() => checkIdentifier(wrong)).toThrow("1..65535");
  }
});

test("strings count in bytes and are 1..65535 of them", () => {
  expect(checkText("é€")).toBe(5);
  expect(checkText("x".repeat(65_535))).toBe(65_535);
  expect(() => checkText("x".repeat(65_536))).toThrow("1..65535 bytes");
  expect(() => checkText("€".repeat(21_846))).toThrow("1..65535 bytes");
  expect(() => checkText("")).toThrow("1..65535 bytes");
  expect(() => checkText("a\0b")).toThrow("U+0000");
  expect(() => checkText("\ud800")).toThrow("surrogate");
});

test("the words of a refusal hold nothing of the text", () => {
  try {
    checkText("SharedAccessSignature sig=secret\0");
    expect.unreachable();
  } catch (error) {
    expect(String(error)).not.toContain("secret");
  }
});

test("topic names hold no wildcard", () => {
  expect(checkName("$iothub/twin/GET/?$rid=1")).toBe(24);
  for (const wrong of ["a/#", "+/b", "a+b", ""]) expect(() => checkName(wrong)).toThrow();
});

describe("filters", () => {
  test.each(["#", "+", "a/#", "+/+/#", "/", "a/+/b", "$iothub/twin/res/#"])("%s", (filter) => {
    expect(checkFilter(filter)).toBe(filter.length);
  });

  test.each(["a#", "#/a", "a/#/b", "##", "a+", "+a/b", "a/++", ""])("not %p", (filter) => {
    expect(() => checkFilter(filter)).toThrow();
  });
});
