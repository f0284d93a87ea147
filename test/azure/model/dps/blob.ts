/**
 * The `authenticationKey`: a key wrapped so that one TPM alone can import it. A credential for
 * EK and SRK carries the inner key; a duplicate under the SRK carries the HMAC key. Neighbours:
 * `challenge.ts` and `assignment.ts` hand it out. Facts: TPM 2.0 part 1, sections 23.3 and 24.
 * Invariant: every random byte comes from the world, each used once.
 */
import { createCipheriv, createHash, createHmac } from "node:crypto";
import type { World } from "../world.ts";
import type { PublicArea } from "./area.ts";
import { sized, u16, u32 } from "./bytes.ts";
import { oaep } from "./oaep.ts";

const KEYEDHASH = 0x0008;
const SHA256 = 0x000b;
const HMAC_SCHEME = 0x0005;
/** sign, userWithAuth, noDA: a key that may be imported into any TPM. */
const ATTRIBUTES = 0x0004_0440;
/** TPM_CC_PolicyCommandCode and TPM_CC_Duplicate. */
const DUPLICATE_ONLY = [u32(0x16c), u32(0x14b)];
const INNER_KEY_BYTES = 16;
const SEED_BYTES = 32;
/** Where the HMAC of the credential begins. */
const CREDENTIAL_HMAC_AT = 4;

/** What goes into a blob. */
export interface BlobContent {
  endorsementKey: PublicArea;
  storageRootKey: PublicArea;
  /** HMAC key, 32 bytes. */
  key: Uint8Array;
  /** Host of the hub, `''` for none: devices may ignore it. */
  uri: string;
}

const hmac = (key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer => {
  const code = createHmac("sha256", key);
  for (const part of parts) code.update(part);
  return code.digest();
};

const sha256 = (...parts: readonly Uint8Array[]): Buffer =>
  createHash("sha256").update(Buffer.concat(parts)).digest();

/** KDFa of TPM 2.0 part 1 section 11.4.10.2, SHA-256, at most 256 bits. */
function derive(key: Uint8Array, label: string, context: Uint8Array, bits: number): Buffer {
  const text = Buffer.from(`${label}\0`, "latin1");
  return hmac(key, u32(1), text, context, u32(bits)).subarray(0, bits / 8);
}

/** AES-128-CFB with an IV of zeros, as the TPM uses it. */
function cipher(key: Uint8Array, plain: Uint8Array): Buffer {
  const engine = createCipheriv("aes-128-cfb", key, Buffer.alloc(16));
  return Buffer.concat([engine.update(plain), engine.final()]);
}

/** Outer wrap of part 1 section 22.4: integrity, then the encrypted bytes. */
function wrapped(seed: Uint8Array, name: Uint8Array, plain: Uint8Array): Buffer {
  const hidden = cipher(derive(seed, "STORAGE", name, 128), plain);
  const integrity = hmac(derive(seed, "INTEGRITY", Buffer.alloc(0), 256), hidden, name);
  return Buffer.concat([sized(integrity), hidden]);
}

function policy(): Buffer {
  return sha256(Buffer.alloc(32), ...DUPLICATE_ONLY);
}

/** The whole blob: six TPM2B fields, 798 bytes and the uri for a key of 32 bytes. */
export function makeBlob(world: World, content: BlobContent): Buffer {
  const { endorsementKey, storageRootKey, key, uri } = content;
  const random = (length: number): Buffer => Buffer.from(world.randomBytes(length));
  const innerKey = random(INNER_KEY_BYTES);

  const credentialSeed = random(SEED_BYTES);
  const credential = wrapped(credentialSeed, storageRootKey.name, sized(innerKey));
  const credentialSecret = oaep(
    endorsementKey.modulus,
    "IDENTITY\0",
    credentialSeed,
    random(SEED_BYTES),
  );

  const obfuscation = random(SEED_BYTES);
  const scheme = [u16(HMAC_SCHEME), u16(SHA256)];
  const head = [u16(KEYEDHASH), u16(SHA256), u32(ATTRIBUTES), sized(policy())];
  const area = Buffer.concat([...head, ...scheme, sized(sha256(obfuscation, key))]);
  const name = Buffer.concat([u16(SHA256), sha256(area)]);
  const sensitive = sized(u16(KEYEDHASH), u16(0), sized(obfuscation), sized(key));
  const inner = cipher(innerKey, Buffer.concat([sized(sha256(sensitive, name)), sensitive]));
  const duplicateSeed = random(SEED_BYTES);
  const duplicate = wrapped(duplicateSeed, name, inner);
  const duplicateSecret = oaep(
    storageRootKey.modulus,
    "DUPLICATE\0",
    duplicateSeed,
    random(SEED_BYTES),
  );

  return Buffer.concat([
    sized(credential),
    sized(credentialSecret),
    sized(duplicate),
    sized(duplicateSecret),
    sized(area),
    sized(uri === "" ? Buffer.alloc(0) : cipher(innerKey, Buffer.from(uri))),
  ]);
}

/** Fault: the credential's HMAC is wrong, so the TPM refuses with an integrity error. */
export function spoilt(blob: Buffer): Buffer {
  const copy = Buffer.from(blob);
  copy[CREDENTIAL_HMAC_AT]! ^= 1;
  return copy;
}

/** Fault: cut off in the middle of the duplicate. */
export function shortened(blob: Buffer): Buffer {
  return blob.subarray(0, 400);
}
