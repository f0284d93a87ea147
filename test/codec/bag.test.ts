// Tests of src/codec/bag.ts: bags as IoT Hub's clients write them, and bags that are none.
// Neighbours: topic.test.ts finds where a bag lies.
// Invariant: bags are written out as they travel; only the round trip uses both directions.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeBag, encodeBag, type Property } from "../../src/codec/bag.ts";

describe("written", () => {
  const cases: [string, Property[]][] = [
    ["", []],
    ["a=b", [["a", "b"]]],
    [
      "a=1&b=&c",
      [
        ["a", "1"],
        ["b", ""],
        ["c", null],
      ],
    ],
    [
      "%24.mid=boot.1&%24.ct=application%2Fjson",
      [
        ["$.mid", "boot.1"],
        ["$.ct", "application/json"],
      ],
    ],
    ["a%20b=c%2Bd%26e%3Df", [["a b", "c+d&e=f"]]],
    ["k=%21%27%28%29%2A%23%2F%3A%40%7B%7C%7D", [["k", "!'()*#/:@{|}"]]],
    ["k=-._~", [["k", "-._~"]]],
    ["%C3%A9=%F0%9F%98%80%00", [["é", "😀\0"]]],
  ];

  test.each(cases)("%s", (text, pairs) => {
    expect(encodeBag(pairs)).toBe(text);
  });

  test("the dollar of a key stays on demand, that of a value never", () => {
    expect(encodeBag([["$.ct", "$5"]], true)).toBe("$.ct=%245");
  });

  test("no key and lone surrogates are a caller's mistakes", () => {
    expect(() => encodeBag([["", "x"]])).toThrow("key");
    expect(() => encodeBag([["k", "\udc00"]])).toThrow("surrogate");
    expect(() => encodeBag([["\ud800", null]])).toThrow("surrogate");
  });
});

describe("read", () => {
  const cases: [string, [string, string | null][]][] = [
    ["", []],
    ["&", []],
    ["a=b", [["a", "b"]]],
    [
      "a&b=&c=1",
      [
        ["a", null],
        ["b", ""],
        ["c", "1"],
      ],
    ],
    [
      "a=1&&b=2&",
      [
        ["a", "1"],
        ["b", "2"],
      ],
    ],
    [
      "$.mid=1&%24.cid=2&%24%2ECT=3",
      [
        ["$.mid", "1"],
        ["$.cid", "2"],
        ["$.CT", "3"],
      ],
    ],
    ["a=b+c%2Bd%20e", [["a", "b+c+d e"]]],
    ["a=b=c%3d", [["a", "b=c="]]],
    [
      "a=1&a=2",
      [
        ["a", "1"],
        ["a", "2"],
      ],
    ],
    ["$.to=/devices/d1/messages/devicebound", [["$.to", "/devices/d1/messages/devicebound"]]],
    ["k=é%c3%A9%F0%9F%98%80", [["k", "éé😀"]]],
    ["k=%EF%BB%BFx", [["k", "\ufeffx"]]],
    ["%26%3D=%00", [["&=", "\0"]]],
  ];

  test.each(cases)("%s", (text, pairs) => {
    expect(decodeBag(text)).toEqual(pairs);
  });

  test.each([
    ["%", 0],
    ["a=%2", 2],
    ["a=b&c=%zz", 6],
    ["a=%2g", 2],
    ["a=%20%", 5],
    ["a=%80", 2],
    ["a=%C3", 2],
    ["a=x%C3%A9%E2%82", 9],
    ["a=%ED%A0%80", 2],
    ["a=%C0%80", 2],
    ["a=%C3%zz", 2],
    ["a=%zz&b=%80", 2],
    ["=b", 0],
    ["a=1&=b", 4],
    ["a=1&=", 4],
  ])("%s is bad at character %d", (text, position) => {
    expect(decodeBag(text)).toMatchObject({
      position,
      problem: expect.stringContaining(`${position}`),
    });
  });

  test("at most 65535 bytes, counted in UTF-8", () => {
    expect(decodeBag(`k=${"x".repeat(65_533)}`)).toHaveLength(1);
    expect(decodeBag(`k=${"x".repeat(65_534)}`)).toHaveProperty("problem");
    expect(decodeBag(`k=${"€".repeat(21_845)}`)).toHaveProperty("problem");
    expect(decodeBag("k=\ud800")).toHaveProperty("problem");
  });
});

describe("both", () => {
  const text = fc.string({ unit: "binary", maxLength: 12 });
  const pair = fc.tuple(
    fc.string({ unit: "binary", minLength: 1, maxLength: 12 }),
    fc.option(text, { nil: null }),
  );

  test("what is written is read back, with either dollar", () => {
    fc.assert(
      fc.property(fc.array(pair, { maxLength: 6 }), fc.boolean(), (pairs, raw) => {
        expect(decodeBag(encodeBag(pairs, raw))).toEqual(pairs);
      }),
    );
  });

  test("any text is read or refused, with a position inside it", () => {
    const unit = fc.constantFrom(..."ab=&%%2C3A980$+é");
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 24 }), (bag) => {
        const result = decodeBag(bag);
        if (Array.isArray(result)) return;
        expect(result.position).toBeGreaterThanOrEqual(0);
        expect(result.position).toBeLessThan(bag.length);
        expect(bag[result.position]).toMatch(/[%=]/);
      }),
      { numRuns: 3000 },
    );
  });
});
