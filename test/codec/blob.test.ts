// Tests of src/codec/blob.ts with blobs that node:crypto made, and with damaged ones.
// Neighbours: `test/fuzz/tpm.ts` does more of the damage; `test/port/tpm.test.ts` has a TPM take
// the same blobs.
// Invariant: what a blob holds is known from its making, not from its reading.

import { describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { BLOB_BYTES_MAX, splitBlob } from "../../src/codec/blob.ts";
import { EK_TEMPLATE, SRK_TEMPLATE } from "../tpm/client.ts";
import { makeBlob } from "../tpm/maker.ts";

/** A parent's public area with a real modulus. */
function parent(template: Uint8Array): Buffer {
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const modulus = Buffer.from(publicKey.export({ format: "jwk" }).n!, "base64url");
  return Buffer.concat([template.subarray(0, -256), modulus]);
}

const keys = { endorsementKey: parent(EK_TEMPLATE), storageKey: parent(SRK_TEMPLATE) };
const { blob } = makeBlob({ ...keys, key: Buffer.alloc(32, 7), text: "0123456789abcdef" });

/** Sizes of the parts with a key of 32 bytes, each with its two bytes of size. */
const SIZES = [54, 258, 144, 258, 82, 18];
const STARTS = SIZES.map((_, index) => SIZES.slice(0, index).reduce((sum, size) => sum + size, 0));

function split(bytes: Uint8Array) {
  const result = splitBlob(bytes);
  if (typeof result === "string") throw new Error(result);
  return result;
}

describe("a blob", () => {
  test("is split where its parts end", () => {
    expect(blob).toHaveLength(814);
    const { credential, secret, duplicate, seed, publicArea } = split(blob);
    const parts = [credential, secret, duplicate, seed, publicArea];
    parts.forEach((part, index) => {
      const start = STARTS[index]!;
      expect(Buffer.from(part)).toEqual(Buffer.from(blob.subarray(start, start + SIZES[index]!)));
    });
  });

  test("may have an empty text, or none", () => {
    const end = STARTS[5]!;
    const empty = Buffer.concat([blob.subarray(0, end), Buffer.alloc(2)]);
    expect(split(empty).publicArea).toHaveLength(82);
    expect(split(blob.subarray(0, end)).publicArea).toHaveLength(82);
  });

  test("that ends anywhere else is refused", () => {
    const ends = new Set([STARTS[5]!, blob.length]);
    for (let length = 0; length < blob.length; length++) {
      if (ends.has(length)) continue;
      expect(splitBlob(blob.subarray(0, length))).toStartWith("authentication key: ");
    }
  });

  const WORDS = [
    "no sound TPM2B_ID_OBJECT at its start",
    "no sound secret for the endorsement key",
    "no sound TPM2B_PRIVATE",
    "no sound secret for the storage root key",
    "no sound TPM2B_PUBLIC",
    "more bytes behind it than it tells",
  ];
  test.each(WORDS.map((words, index) => [words, index] as const))("%s", (words, index) => {
    for (const size of [0xffff, 0x0800]) {
      const bytes = Buffer.from(blob);
      bytes.writeUInt16BE(size, STARTS[index]!);
      expect(splitBlob(bytes)).toBe(`authentication key: ${words}`);
    }
  });

  test("with an empty part is refused", () => {
    for (let index = 0; index < 5; index++) {
      const [start, size] = [STARTS[index]!, SIZES[index]!];
      const empty = [blob.subarray(0, start), Buffer.alloc(2), blob.subarray(start + size)];
      expect(splitBlob(Buffer.concat(empty))).toBe(`authentication key: ${WORDS[index]}`);
    }
  });

  test("whose credential has no proof, or nothing but one, is refused", () => {
    for (const size of [0, 52 - 2, 65]) {
      const bytes = Buffer.from(blob);
      bytes.writeUInt16BE(size, 2);
      expect(splitBlob(bytes)).toBe(`authentication key: ${WORDS[0]}`);
    }
  });

  test("that is longer than all parts at their largest is refused by its length", () => {
    expect(splitBlob(new Uint8Array(BLOB_BYTES_MAX + 1))).toBe(
      `authentication key: ${BLOB_BYTES_MAX + 1} bytes; allowed: up to ${BLOB_BYTES_MAX}`,
    );
  });

  test("of another kind of key is refused", () => {
    const start = STARTS[4]!;
    const other = Buffer.concat([blob.subarray(0, start), SRK_TEMPLATE]);
    expect(splitBlob(other)).toBe("authentication key: holds no HMAC key");
    const unknown = Buffer.from(blob);
    unknown.writeUInt16BE(0x0023, start + 2);
    expect(splitBlob(unknown)).toStartWith("authentication key: public area: type 0x0023");
  });

  test("spoiled in any way is refused, or split into parts that are its bytes in order", () => {
    const spoiled = fc.array(fc.tuple(fc.nat(blob.length - 1), fc.nat(255)), { maxLength: 4 });
    fc.assert(
      fc.property(spoiled, (pokes) => {
        const bytes = Buffer.from(blob);
        for (const [at, value] of pokes) bytes[at] = value;
        const result = splitBlob(bytes);
        if (typeof result === "string") return true;
        const { credential, secret, duplicate, seed, publicArea } = result;
        const whole = Buffer.concat([credential, secret, duplicate, seed, publicArea]);
        return whole.equals(bytes.subarray(0, whole.length));
      }),
    );
  });
});
