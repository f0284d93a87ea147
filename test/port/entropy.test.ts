// Tests of src/port/entropy.ts.
// Neighbours: kit/prng takes the seed, message ids the boot id.
// Invariant: shape and spread only; randomness itself is the operating system's.

import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { bootId, machineId, SystemEntropy, seed } from "../../src/port/entropy.ts";

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

test("the machine's run has one name, and none where the kernel tells none", () => {
  expect(machineId()).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  expect(machineId()).toBe(machineId());
  expect(machineId("/no/such/file")).toBe("");
});

test("words are 32 bits, all of which move, and new each time, over many draws", () => {
  const entropy = new SystemEntropy();
  const words = Array.from({ length: 2000 }, () => entropy.word());
  expect(words.every((word) => Number.isInteger(word) && word >= 0 && word < 2 ** 32)).toBe(true);
  // Among 2,000 of 4 billion two are alike once in 2,000 runs, three once in millions.
  expect(new Set(words).size).toBeGreaterThan(1997);
  expect(words.reduce((ones, word) => (ones | word) >>> 0, 0)).toBe(2 ** 32 - 1);
  expect(words.reduce((ones, word) => (ones | ~word) >>> 0, 0)).toBe(2 ** 32 - 1);
});

test("a nonce is 16 bytes in base64, and new each time", () => {
  const entropy = new SystemEntropy();
  const nonces = Array.from({ length: 20 }, () => entropy.nonce());
  expect(nonces.every((nonce) => /^[A-Za-z0-9+/]{21}[AQgw]==$/.test(nonce))).toBe(true);
  expect(new Set(nonces).size).toBe(20);
});

test("SHA-1 is that of another library", () => {
  const text = "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const expected = createHash("sha1").update(text).digest("base64");
  expect(new SystemEntropy().sha1(text)).toBe(expected);
});
