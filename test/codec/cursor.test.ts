// Tests of src/codec/cursor.ts with bytes written by hand.
// Neighbours: blob, public and capability read with it.
// Invariant: expected values stand in the test beside the bytes.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Cursor, isSame, joined, sized } from "../../src/codec/cursor.ts";

function cursor(hex: string): Cursor {
  return new Cursor(Buffer.from(hex, "hex"));
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

describe("a cursor", () => {
  test("reads numbers big-endian, up to the largest", () => {
    const at = cursor("ff0102fffefdfc");
    expect([at.u8(), at.u16(), at.u32()]).toEqual([255, 0x0102, 0xfffefdfc]);
    expect([at.position, at.isSound, at.isDone]).toEqual([7, true, true]);
  });

  test("reads sized bytes, with and without their size", () => {
    const at = cursor("0002aabb0000000101");
    expect(hexOf(at.whole(1, 2))).toBe("0002aabb");
    expect(hexOf(at.sized(0, 0))).toBe("");
    expect(hexOf(at.sized(1, 1))).toBe("01");
    expect(at.isDone).toBe(true);
  });

  test.each([
    ["a number beyond the end", "0102", (at: Cursor) => at.u32()],
    ["a size beyond the end", "0003aabb", (at: Cursor) => at.sized(0, 9)],
    ["too large a size", "0002aabb", (at: Cursor) => at.sized(0, 1)],
    ["too small a size", "0002aabb", (at: Cursor) => at.whole(3, 9)],
    ["half a size", "00", (at: Cursor) => at.sized(0, 9)],
  ])("fails for good at %s", (_name, hex, read) => {
    const at = cursor(hex);
    const value = read(at);
    expect(typeof value === "number" ? value : value.length).toBe(0);
    expect(at.isSound).toBe(false);
    expect([at.u8(), at.u16(), at.sized(0, 9).length, at.isDone]).toEqual([0, 0, 0, false]);
  });

  test("is not done while something is left", () => {
    const at = cursor("0102");
    at.u8();
    expect([at.isSound, at.isDone]).toEqual([true, false]);
  });
});

test("what sized writes, a cursor reads", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), fc.uint8Array({ maxLength: 9 }), (one, two) => {
      const at = new Cursor(joined(sized(one), sized(two)));
      const isBack = isSame(at.sized(0, 600), one) && isSame(at.sized(0, 9), two);
      return isBack && at.isDone;
    }),
  );
});

test("sizes go up to 65535", () => {
  expect(hexOf(sized(new Uint8Array(65_535)).subarray(0, 3))).toBe("ffff00");
});

test("same means same length and bytes", () => {
  const bytes = (...values: number[]) => new Uint8Array(values);
  expect(isSame(bytes(), bytes())).toBe(true);
  expect(isSame(bytes(1, 2), bytes(1, 2))).toBe(true);
  expect(isSame(bytes(1, 2), bytes(1, 3))).toBe(false);
  expect(isSame(bytes(1), bytes(1, 2))).toBe(false);
});
