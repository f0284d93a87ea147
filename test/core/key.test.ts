// Key, tested: the values that keys are made of say in words what they allow.
// Neighbours: `src/core/key.ts`; `schema.test` has the keys themselves.
// Invariant: the words are those that a person reads in `conf/azimuth.ini`.

import { expect, test } from "bun:test";
import { BOOLEAN, choices, integer, PATH, PORT } from "../../src/core/key.ts";
import { allowed, fault } from "../../src/core/value.ts";

test.each([
  [BOOLEAN, "true or false", "true", "yes"],
  [PORT, "port 1 .. 65535", "8883", "0"],
  [PATH, "an absolute path", "/etc/x", "etc/x"],
  [integer(2, 5, "seconds"), "2 .. 5 seconds", "5", "6"],
  [integer(0, 9, ""), "0 .. 9", "0", "-1"],
  [choices("one", "two", "three"), "one, two or three", "two", "four"],
])("%p allows %s", (value, words, good, bad) => {
  expect(allowed(value)).toBe(words);
  expect(fault(value, good)).toBe("");
  expect(fault(value, bad)).not.toBe("");
});
