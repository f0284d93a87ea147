// Nearest, tested: known distances, the laws of a distance, and when to keep silent.
// Neighbours: `src/core/nearest.ts`; its users are tested with their own messages.
// Invariant: expected distances were counted by hand.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { distance, nearest } from "../../src/core/nearest.ts";

describe("distance", () => {
  test.each([
    ["", "", 0],
    ["", "abc", 3],
    ["abc", "", 3],
    ["interval", "interval", 0],
    ["interval", "intervall", 1],
    ["interval", "inteval", 1],
    ["interval", "intarval", 1],
    ["interval", "intreval", 1],
    ["kitten", "sitting", 3],
    ["ab", "ba", 1],
    ["ca", "abc", 3],
  ])("%p to %p is %p", (a, b, expected) => {
    expect(distance(a, b)).toBe(expected);
  });

  const word = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 8 });

  test("is symmetric, zero only for equals, and bounded by the longer word", () => {
    fc.assert(
      fc.property(word, word, (a, b) => {
        const apart = distance(a, b);
        expect(distance(b, a)).toBe(apart);
        expect(apart === 0).toBe(a === b);
        expect(apart).toBeLessThanOrEqual(Math.max(a.length, b.length));
        expect(apart).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      }),
    );
  });

  test("one edit is never further than 1", () => {
    fc.assert(
      fc.property(word, fc.nat(8), fc.constantFrom("a", "z"), (text, place, letter) => {
        const at = Math.min(place, text.length);
        expect(distance(text, text.slice(0, at) + letter + text.slice(at))).toBe(1);
        if (at >= text.length) return;
        expect(distance(text, text.slice(0, at) + text.slice(at + 1))).toBe(1);
        const swapped = text.slice(0, at) + (text[at + 1] ?? "") + text[at] + text.slice(at + 2);
        expect(distance(text, swapped)).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe("nearest", () => {
  const known = ["type", "keep-alive", "mqtt-port", "https-port", "led"];

  test.each([
    ["keepalive", "keep-alive"],
    ["keep-alvie", "keep-alive"],
    ["KEEP-ALIVE", "keep-alive"],
    ["mqttport", "mqtt-port"],
    ["http-port", "https-port"],
    ["typ", "type"],
    ["let", "led"],
  ])("%p is meant as %p", (word, expected) => {
    expect(nearest(word, known)).toBe(expected);
  });

  test("a third of the letters may differ, not more", () => {
    expect(nearest("kexx-axive", known)).toBe("keep-alive");
    expect(nearest("kexx-axxve", known)).toBe("");
  });

  test.each(["", "password", "lamp", "xyz", "x".repeat(65), `keep-alive${"e".repeat(60)}`])(
    "%p is meant as nothing",
    (word) => {
      expect(nearest(word, known)).toBe("");
    },
  );

  test("of equally near words the first is taken", () => {
    expect(nearest("cat", ["bat", "hat"])).toBe("bat");
    expect(nearest("cat", ["hat", "bat"])).toBe("hat");
  });
});
