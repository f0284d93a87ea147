// Tests of src/port/entropy.ts.
// Neighbours: kit/prng takes the seed, message ids the boot id.
// Invariant: shape and spread only; randomness itself is the operating system's.

import { expect, test } from "bun:test";
import { bootId, seed } from "../../src/port/entropy.ts";

test("a seed is an integer of 53 bits, all of which move", () => {
  const seen = new Set<number>();
  let ones = 0n;
  let zeros = 0n;
  for (let round = 0; round < 200; round += 1) {
    const number = seed();
    expect(Number.isSafeInteger(number) && number >= 0).toBe(true);
    seen.add(number);
    ones |= BigInt(number);
    zeros |= ~BigInt(number) & (2n ** 53n - 1n);
  }
  expect(seen.size).toBe(200);
  expect(ones).toBe(2n ** 53n - 1n);
  expect(zeros).toBe(2n ** 53n - 1n);
});

test("a boot id is 8 hexadecimal characters and new each time", () => {
  expect(bootId()).toMatch(/^[0-9a-f]{8}$/);
  expect(new Set(Array.from({ length: 20 }, bootId)).size).toBe(20);
});
