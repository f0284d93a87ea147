// Tests of src/codec/base64.ts: the vectors of RFC 4648, the platform's codec, and the forms
// that a lax decoder would take.
// Invariant: expected values come from the RFC and from Buffer, never from our code.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeBase64, encodeBase64 } from "../../src/codec/base64.ts";
import { utf8 } from "../../src/codec/utf8.ts";

describe("vectors of RFC 4648 section 10", () => {
  test.each([
    ["", ""],
    ["f", "Zg=="],
    ["fo", "Zm8="],
    ["foo", "Zm9v"],
    ["foob", "Zm9vYg=="],
    ["fooba", "Zm9vYmE="],
    ["foobar", "Zm9vYmFy"],
  ])("%p is %p", (text, encoded) => {
    expect(encodeBase64(utf8(text))).toBe(encoded);
    expect(decodeBase64(encoded)).toEqual(utf8(text));
  });
});

test("any bytes as the platform has them", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const text = Buffer.from(bytes).toString("base64");
      expect(encodeBase64(bytes)).toBe(text);
      expect(decodeBase64(text)).toEqual(bytes);
    }),
  );
});

test.each([
  "Z",
  "Zg",
  "Zg=",
  "Zg===",
  "Z===",
  "====",
  "=",
  "Zh==",
  "Zm9=",
  "Zm8=Zm8=",
  "Zm8=\n",
  "Zm 8",
  "Zm9v\n",
  "-_-_",
  "Zm9é",
  "Zm9Ł",
])("%p is no base64", (text) => {
  expect(decodeBase64(text)).toBeUndefined();
});

test("each byte array has one text: what decodes encodes to the same", () => {
  const digits = fc.constantFrom(..."ABCDwxyz0189+/==");
  let decoded = 0;
  fc.assert(
    fc.property(fc.string({ unit: digits, maxLength: 12 }), (text) => {
      const bytes = decodeBase64(text);
      if (bytes === undefined) return;
      decoded += 1;
      expect(encodeBase64(bytes)).toBe(text);
    }),
    { numRuns: 3000 },
  );
  expect(decoded).toBeGreaterThan(100);
});
