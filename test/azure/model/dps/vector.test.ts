/**
 * Derived keys against the vector of the vendor's own guide to symmetric keys, and the form that
 * keys may have. Neighbours: `key.ts`.
 * Invariant: the key here is published for everybody to try.
 */
import { describe, expect, test } from "bun:test";
import { deviceKey, keyOf, makeKey } from "./key.ts";

const GROUP_KEY =
  "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
const REGISTRATION_ID = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";
const DEVICE_KEY = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";

const world = { nowMs: () => 0, randomBytes: (length: number) => new Uint8Array(length).fill(3) };

test("the key of a group's device is that of the guide", () => {
  expect(deviceKey(GROUP_KEY, REGISTRATION_ID)).toBe(DEVICE_KEY);
});

describe("a key", () => {
  test("that is given is taken, else the old one, else a new one of 64 bytes", () => {
    expect(keyOf(DEVICE_KEY, GROUP_KEY, "primaryKey", world)).toBe(DEVICE_KEY);
    expect(keyOf("", GROUP_KEY, "primaryKey", world)).toBe(GROUP_KEY);
    expect(Buffer.from(keyOf(undefined, "", "primaryKey", world), "base64")).toHaveLength(64);
    expect(Buffer.from(makeKey(world, 32), "base64")).toHaveLength(32);
  });

  for (const bytes of [15, 65]) {
    test(`of ${bytes} bytes is refused`, () => {
      const key = Buffer.alloc(bytes, 1).toString("base64");
      expect(() => keyOf(key, "", "primaryKey", world)).toThrow(/base64 of 16 to 64 bytes/);
    });
  }

  for (const key of ["not base64 at all!", 7, "QUJD RA=="]) {
    test(`${key} is refused`, () => {
      expect(() => keyOf(key, "", "secondaryKey", world)).toThrow(/^secondaryKey must be base64/);
    });
  }
});
