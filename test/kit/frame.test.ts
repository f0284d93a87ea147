// Tests of src/kit/frame.ts with heads written by hand.
// Neighbours: the chips cut with it, the courier checks with it.
// Invariant: expected lengths come from the bytes as they stand in the test.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FRAME_UNSOUND, frameBytes } from "../../src/kit/frame.ts";

function head(hex: string): number {
  const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
  return frameBytes(bytes, bytes.length);
}

describe("the length of a response", () => {
  test.each([
    ["8001 0000000a 00000000", 10],
    ["8002 0000000a", 10],
    ["8001 00001000 00000101 ffff", 4096],
  ])("%s is %p", (hex, bytes) => {
    expect(head(hex)).toBe(bytes);
  });

  test.each(["", "80", "8001", "8001 000000", "8002 0000000"])("%j: not yet known", (hex) => {
    expect(head(hex.length % 2 === 0 ? hex : hex.slice(0, -1))).toBe(0);
  });

  test.each([
    "00c4 0000000a",
    "8000 0000000a",
    "8003",
    "0180",
    "8001 00000009",
    "8001 00000000",
    "8002 00001001",
    "8001 ffffffff",
    "8001 8000000a",
  ])("%s is none", (hex) => {
    expect(head(hex)).toBe(FRAME_UNSOUND);
  });

  test("does not look beyond the bytes that came", () => {
    const bytes = Buffer.from("80010000000a", "hex");
    expect([0, 1, 2, 3, 4, 5, 6].map((length) => frameBytes(bytes, length))).toEqual([
      0, 0, 0, 0, 0, 0, 10,
    ]);
  });

  test("is none, unknown or within bounds for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
        const length = frameBytes(bytes, bytes.length);
        const isBound = length >= 10 && length <= 4096;
        return length === 0 ? bytes.length < 6 : length === FRAME_UNSOUND || isBound;
      }),
    );
  });
});
