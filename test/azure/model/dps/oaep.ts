/**
 * RSA-OAEP with SHA-256 under a seed that is given, so that the model stays repeatable: the
 * library's own OAEP draws its seed itself. Neighbours: `blob.ts`. Facts: RFC 8017 section 7.1.
 * Invariant: the message is short enough; the label is used as it is, its NUL included.
 */
import { constants, createHash, createPublicKey, publicEncrypt } from "node:crypto";
import { u32 } from "./bytes.ts";

const HASH_BYTES = 32;
const MODULUS_BYTES = 256;

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** Exclusive or of `bytes` with the MGF1 mask that `seed` makes. */
function masked(bytes: Buffer, seed: Uint8Array): Buffer {
  const result = Buffer.from(bytes);
  for (let counter = 0; counter * HASH_BYTES < result.length; counter++) {
    const mask = sha256(seed, u32(counter));
    for (let index = 0; index < HASH_BYTES; index++) {
      const at = counter * HASH_BYTES + index;
      if (at < result.length) result[at]! ^= mask[index]!;
    }
  }
  return result;
}

/**
 * Encrypts up to 190 bytes to an RSA-2048 key (exponent 65537): 256 bytes.
 * `seed`: 32 bytes, random and never used twice.
 */
export function oaep(
  modulus: Buffer,
  label: string,
  message: Uint8Array,
  seed: Uint8Array,
): Buffer {
  const gapBytes = MODULUS_BYTES - 2 * HASH_BYTES - 2 - message.length;
  const block = Buffer.concat([
    sha256(Buffer.from(label, "latin1")),
    Buffer.alloc(gapBytes),
    Buffer.from([1]),
    message,
  ]);
  const maskedBlock = masked(block, seed);
  const maskedSeed = masked(Buffer.from(seed), maskedBlock);
  const n = modulus.toString("base64url");
  const key = createPublicKey({ key: { kty: "RSA", n, e: "AQAB" }, format: "jwk" });
  const encoded = Buffer.concat([Buffer.from([0]), maskedSeed, maskedBlock]);
  return publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, encoded);
}
