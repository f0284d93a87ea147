// Maker: the service's side of TPM attestation: the blob that brings a key into one TPM.
// Neighbours: tests hand its blobs to the product; `client` reads the keys that they are for.
// Invariant: made with node:crypto alone, after the TPM 2.0 Library, part 1, sections 23 and 24.

import {
  constants,
  createCipheriv,
  createHash,
  createHmac,
  createPublicKey,
  type KeyObject,
  publicEncrypt,
  randomBytes,
} from "node:crypto";
import { sized, u16, u32 } from "./client.ts";

/** PolicyCommandCode(TPM2_Duplicate), as the reference server gives its keys. */
const POLICY = Buffer.from(
  "bef56b8c1cc84e11edd717528d2cd99356bd2bbf8f015209c3f84aeeaba8e8a2",
  "hex",
);
const ATTRIBUTES = 0x00040440;
const INNER_KEY_BYTES = 16;
const SEED_BYTES = 32;
const EMPTY = Buffer.alloc(0);

/** What a test may ask of a blob. */
export interface Wish {
  /** TPM2B_PUBLIC of the endorsement key and of the storage root key. */
  readonly endorsementKey: Uint8Array;
  readonly storageKey: Uint8Array;
  /** The device key, at most 64 bytes. */
  readonly key: Uint8Array;
  /** Text that goes along, encrypted with the inner key. */
  readonly text?: string;
}

/** The `authenticationKey` that DPS would send, and what is secret in it. */
export interface Made {
  readonly blob: Buffer;
  readonly innerKey: Buffer;
}

export function makeBlob({ endorsementKey, storageKey, key, text = "" }: Wish): Made {
  const innerKey = randomBytes(INNER_KEY_BYTES);
  const storageName = nameOf(storageKey);

  const seed = randomBytes(SEED_BYTES);
  const identity = encrypt(kdfa(seed, "STORAGE", storageName, 128), sized(innerKey));
  const proof = hmac(kdfa(seed, "INTEGRITY", EMPTY, 256), Buffer.concat([identity, storageName]));
  const credential = sized(Buffer.concat([sized(proof), identity]));
  const secret = sized(wrap(endorsementKey, "IDENTITY", seed));

  const obfuscation = randomBytes(32);
  const unique = createHash("sha256").update(obfuscation).update(key).digest();
  const publicArea = sized(keyedHash(unique));
  const name = nameOf(publicArea);
  const parts = [u16(0x0008), u16(0), sized(obfuscation), sized(key)];
  const sensitive = sized(Buffer.concat(parts));
  const digest = createHash("sha256").update(sensitive).update(name).digest();
  const inner = encrypt(innerKey, Buffer.concat([sized(digest), sensitive]));
  const outerSeed = randomBytes(SEED_BYTES);
  const outer = encrypt(kdfa(outerSeed, "STORAGE", name, 128), inner);
  const mac = hmac(kdfa(outerSeed, "INTEGRITY", EMPTY, 256), Buffer.concat([outer, name]));
  const duplicate = sized(Buffer.concat([sized(mac), outer]));
  const outerSecret = sized(wrap(storageKey, "DUPLICATE", outerSeed));

  const extra = sized(encrypt(innerKey, Buffer.from(text)));
  const all = [credential, secret, duplicate, outerSecret, publicArea, extra];
  return { blob: Buffer.concat(all), innerKey };
}

/** An HMAC-SHA256 key's public area, without its size. */
function keyedHash(unique: Buffer): Buffer {
  const head = [u16(0x0008), u16(0x000b), u32(ATTRIBUTES), sized(POLICY)];
  return Buffer.concat([...head, u16(0x0005), u16(0x000b), sized(unique)]);
}

/** Algorithm and digest of the public area without its size. */
export function nameOf(publicArea: Uint8Array): Buffer {
  const digest = createHash("sha256").update(publicArea.subarray(2)).digest();
  return Buffer.concat([u16(0x000b), digest]);
}

/** KDFa of part 1, 11.4.10.2, with one context, for at most 256 bits. */
function kdfa(key: Buffer, label: string, context: Buffer, bits: number): Buffer {
  const words = [u32(1), Buffer.from(`${label}\0`), context, u32(bits)];
  return hmac(key, Buffer.concat(words)).subarray(0, bits / 8);
}

function hmac(key: Buffer, data: Buffer): Buffer {
  return createHmac("sha256", key).update(data).digest();
}

function encrypt(key: Buffer, data: Buffer): Buffer {
  const cipher = createCipheriv("aes-128-cfb", key, Buffer.alloc(16));
  return Buffer.concat([cipher.update(data), cipher.final()]);
}

function wrap(publicArea: Uint8Array, label: string, seed: Buffer): Buffer {
  return publicEncrypt(
    {
      key: rsaKey(publicArea),
      padding: constants.RSA_PKCS1_OAEP_PADDING,
      oaepHash: "sha256",
      oaepLabel: Buffer.from(`${label}\0`),
    },
    seed,
  );
}

/** The modulus is the last field of the area; an exponent of 0 there means 65537. */
function rsaKey(publicArea: Uint8Array): KeyObject {
  const modulus = Buffer.from(publicArea.subarray(publicArea.length - 256));
  const jwk = { kty: "RSA", n: modulus.toString("base64url"), e: "AQAB" };
  return createPublicKey({ key: jwk, format: "jwk" });
}
