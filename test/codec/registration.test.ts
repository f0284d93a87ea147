// Tests of src/codec/registration.ts against RFC 4648 and a decoder of another make.
// Neighbours: the provision machine names the device with it.
// Invariant: the alphabet is written here again.

import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { encodeBase32, registrationId } from "../../src/codec/registration.ts";
import { EK_TEMPLATE } from "../tpm/client.ts";

test.each([
  ["", ""],
  ["f", "my"],
  ["fo", "mzxq"],
  ["foo", "mzxw6"],
  ["foob", "mzxw6yq"],
  ["fooba", "mzxw6ytb"],
  ["foobar", "mzxw6ytboi"],
])("RFC 4648, section 10: %j", (text, expected) => {
  expect(encodeBase32(Buffer.from(text))).toBe(expected);
});

/** Bits of the digits, cut to whole bytes. */
function decoded(text: string): Buffer {
  const digits = [...text].map((digit) => "abcdefghijklmnopqrstuvwxyz234567".indexOf(digit));
  const bits = digits.map((digit) => digit.toString(2).padStart(5, "0")).join("");
  const bytes = bits.match(/.{8}/g) ?? [];
  return Buffer.from(bytes.map((byte) => Number.parseInt(byte, 2)));
}

test("any bytes come back", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const text = encodeBase32(bytes);
      return text.length === Math.ceil((bytes.length * 8) / 5) && decoded(text).equals(bytes);
    }),
  );
});

test("the id of a TPM is the digest of its whole public endorsement key", () => {
  const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
  const id = registrationId(EK_TEMPLATE, sha256);
  expect(id).toMatch(/^[a-z2-7]{52}$/);
  expect(decoded(id)).toEqual(createHash("sha256").update(EK_TEMPLATE).digest());
});
