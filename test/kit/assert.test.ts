// Assert, tested: what holds passes, what does not ends the step with its words.
// Neighbours: `src/kit/assert.ts`.
// Invariant: the error is of a kind of its own, so that nothing else is mistaken for it.

import { expect, test } from "bun:test";
import { assert, Broken, unreachable } from "../../src/kit/assert.ts";

test("what holds passes", () => {
  expect(() => assert(true, "never said")).not.toThrow();
});

test("what does not hold ends the step, in words", () => {
  expect(() => assert(false, "one connection at a time")).toThrow(Broken);
  expect(() => assert(false, "one connection at a time")).toThrow("one connection at a time");
  expect(new Broken("x").name).toBe("Broken");
});

test("a state that should not be is named", () => {
  expect(() => unreachable(7 as never)).toThrow("unreachable state 7");
});
