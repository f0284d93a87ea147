// Key, tested: there and back, order, and that doubles hold it.
// Neighbours: `src/kit/key.ts`.
// Invariant: holds at both ends of both ranges.

import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  keyOf,
  messageBytes,
  PRIORITIES,
  priorityOf,
  SEQUENCE_END,
  sequenceOf,
} from "../../src/kit/key.ts";

const priorities = fc.integer({ min: 0, max: PRIORITIES - 1 });
const sequences = fc.integer({ min: 0, max: SEQUENCE_END - 1 });

test("priority and sequence come back", () => {
  fc.assert(
    fc.property(priorities, sequences, (priority, sequence) => {
      const key = keyOf(priority, sequence);
      expect([priorityOf(key), sequenceOf(key)]).toEqual([priority, sequence]);
    }),
  );
});

test("the ends are exact", () => {
  const last = keyOf(PRIORITIES - 1, SEQUENCE_END - 1);
  expect(Number.isSafeInteger(last)).toBe(true);
  expect([priorityOf(last), sequenceOf(last)]).toEqual([9, 2 ** 49 - 1]);
  expect(keyOf(3, SEQUENCE_END - 1) + 1).toBe(keyOf(4, 0));
});

test("a message weighs more than its bytes", () => {
  expect(messageBytes(10, 200)).toBeGreaterThan(210);
});
