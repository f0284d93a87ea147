// Tests of src/codec/utf8.ts against the platform's decoder and encoder, and by hand.
// Neighbours: refusal.test.ts has the ill-formed topics.
// Invariant: the judge of well-formedness is TextDecoder in its fatal mode, never our code.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { utf8, utf8Length, validUtf8, writeUtf8 } from "../../src/codec/utf8.ts";
import { hex } from "./stream.ts";

const judge = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function isWellFormed(bytes: Uint8Array): boolean {
  try {
    judge.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

describe("validUtf8", () => {
  test("agrees with the judge on every sequence of two bytes", () => {
    const bytes = new Uint8Array(2);
    for (let pair = 0; pair < 0x10000; pair += 1) {
      bytes[0] = pair >> 8;
      bytes[1] = pair;
      if ((validUtf8(bytes, 0, 2) === -1) !== isWellFormed(bytes)) expect(pair).toBe(-1);
    }
  });

  test("agrees with the judge wherever lead and continuation bytes change their meaning", () => {
    const leads = [0x7f, 0x80, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef];
    leads.push(0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff);
    const others = [0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xe1, 0xff];
    for (const lead of leads) {
      for (const second of others) {
        for (const third of others) {
          for (const fourth of others) {
            const bytes = Uint8Array.of(lead, second, third, fourth);
            for (let length = 1; length <= 4; length += 1) {
              const part = bytes.slice(0, length);
              expect([part, validUtf8(part, 0, length) === -1]).toEqual([part, isWellFormed(part)]);
            }
          }
        }
      }
    }
  });

  test("what lies before the offset is sound, what begins there is not", () => {
    const mostly = fc.oneof(fc.constantFrom(0x61, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0), fc.nat(255));
    fc.assert(
      fc.property(fc.array(mostly, { maxLength: 24 }), fc.nat(3), (list, start) => {
        const bytes = Uint8Array.from(list);
        const from = Math.min(start, bytes.length);
        const offset = validUtf8(bytes, from, bytes.length);
        const end = offset < 0 ? bytes.length : offset;
        expect(isWellFormed(bytes.subarray(from, end))).toBe(true);
        expect(isWellFormed(bytes.subarray(from))).toBe(offset < 0);
        for (let length = 1; offset >= 0 && length <= 4; length += 1) {
          if (end + length > bytes.length) break;
          expect(isWellFormed(bytes.subarray(end, end + length))).toBe(false);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ["61 62 80", 2],
    ["61 c3", 1],
    ["e2 82 ac e2 82", 3],
    ["f0 9f 98 80 ed a0 80", 4],
    ["c3 a9 c0 80", 2],
  ])("%s is bad at %d", (text, offset) => {
    const bytes = hex(text);
    expect(validUtf8(bytes, 0, bytes.length)).toBe(offset);
  });
});

describe("writing", () => {
  test("every code point as the platform's encoder has it", () => {
    const encoder = new TextEncoder();
    for (let plane = 0; plane < 0x110000; plane += 0x1000) {
      if (plane === 0xd000) continue;
      const points = Array.from({ length: 0x1000 }, (_, offset) => plane + offset);
      const text = String.fromCodePoint(...points);
      const expected = encoder.encode(text);
      expect(utf8Length(text)).toBe(expected.length);
      expect(Buffer.compare(utf8(text), expected)).toBe(0);
    }
    const rest = Array.from({ length: 0x800 }, (_, offset) => 0xd000 + offset);
    const text = String.fromCodePoint(...rest);
    expect(Buffer.compare(utf8(text), encoder.encode(text))).toBe(0);
  });

  test("writes in place and says where it stopped", () => {
    const bytes = new Uint8Array(8).fill(0x2e);
    expect(writeUtf8("é€", bytes, 2)).toBe(7);
    expect([...bytes]).toEqual([0x2e, 0x2e, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0x2e]);
  });

  test.each(["\ud800", "a\udc00", "\ud83da", "\udc00\ud800", "\ud800\ud800\udc00"])(
    "a lone surrogate has no length (%j)",
    (text) => {
      expect(text.isWellFormed()).toBe(false);
      expect(utf8Length(text)).toBe(-1);
      expect(() => utf8(text)).toThrow("surrogate");
    },
  );

  test("any string: the length is -1 exactly when the string is ill-formed", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.nat(2), (text, cut) => {
        const torn = text.slice(cut);
        const length = torn.isWellFormed() ? new TextEncoder().encode(torn).length : -1;
        expect(utf8Length(torn)).toBe(length);
      }),
    );
  });
});
