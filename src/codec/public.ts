// Public: what a TPM2B_PUBLIC tells of a key (TPM 2.0 Library, part 2, 12.2.5).
// Neighbours: template.ts makes such bytes for new keys, blob.ts finds one in DPS's answer.
// Invariant: takes RSA and keyed-hash objects whose every size fits, and nothing behind them.

import { Cursor, isSame } from "./cursor.ts";

/** Algorithms (TCG Algorithm Registry, table 3). */
export enum Algorithm {
  RSA = 0x0001,
  HMAC = 0x0005,
  AES = 0x0006,
  KEYEDHASH = 0x0008,
  XOR = 0x000a,
  SHA256 = 0x000b,
  NULL = 0x0010,
  CFB = 0x0043,
}

/** Attributes of an object (part 2, 8.3). */
export enum Attribute {
  FIXED_TPM = 1 << 1,
  FIXED_PARENT = 1 << 4,
  SENSITIVE_DATA_ORIGIN = 1 << 5,
  USER_WITH_AUTH = 1 << 6,
  ADMIN_WITH_POLICY = 1 << 7,
  NO_DA = 1 << 10,
  RESTRICTED = 1 << 16,
  DECRYPT = 1 << 17,
  SIGN = 1 << 18,
}

/** Largest digest (SHA-512), RSA modulus (4096 bits) and public area that tpm2-tss takes. */
const DIGEST_BYTES_MAX = 64;
const MODULUS_BYTES_MAX = 512;
export const PUBLIC_BYTES_MAX = 612;

/** A key's public part. */
export interface PublicArea {
  readonly type: Algorithm.RSA | Algorithm.KEYEDHASH;
  readonly nameAlgorithm: number;
  /** A sum of {@link Attribute}. */
  readonly attributes: number;
  readonly policy: Uint8Array;
  /** Modulus length of an RSA key in bits; 0 for a keyed-hash object. */
  readonly keyBits: number;
  /** Scheme of a keyed-hash object, e.g. Algorithm.HMAC; NULL for an unrestricted choice. */
  readonly scheme: number;
  /** RSA modulus, or the digest that stands for a keyed-hash object. */
  readonly unique: Uint8Array;
  /** Everything from type to parameters: what a template asks for. */
  readonly head: Uint8Array;
  /** The TPMT_PUBLIC that a name is the digest of: all without the two bytes of size. */
  readonly body: Uint8Array;
}

/** Hashes with SHA-256. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/**
 * Reads a TPM2B_PUBLIC that is exactly `bytes`; views into them. Or one line that says what is
 * wrong.
 */
export function parsePublic(bytes: Uint8Array): PublicArea | string {
  const outer = new Cursor(bytes);
  const body = outer.sized(1, PUBLIC_BYTES_MAX);
  if (!outer.isDone) return "public area: its size is not that of its bytes";
  const cursor = new Cursor(body);
  const type = cursor.u16();
  const nameAlgorithm = cursor.u16();
  const attributes = cursor.u32();
  const policy = cursor.sized(0, DIGEST_BYTES_MAX);
  if (!cursor.isSound) return "public area: too short";
  let keyBits = 0;
  let scheme: number = Algorithm.NULL;
  if (type === Algorithm.RSA) keyBits = rsaBits(cursor);
  else if (type === Algorithm.KEYEDHASH) scheme = keyedHashScheme(cursor);
  else return `public area: type 0x${hex(type)}; allowed: 0x0001 (RSA), 0x0008 (keyed hash)`;
  const head = body.subarray(0, cursor.position);
  const unique = cursor.sized(0, type === Algorithm.RSA ? MODULUS_BYTES_MAX : DIGEST_BYTES_MAX);
  if (!cursor.isDone) return "public area: parameters or key do not fit its size";
  return { type, nameAlgorithm, attributes, policy, keyBits, scheme, unique, head, body };
}

/**
 * The name of a key with SHA-256 as its name algorithm (part 1, 16): algorithm and digest,
 * 34 bytes; empty for another algorithm.
 */
export function nameOf(area: PublicArea, sha256: Sha256): Uint8Array {
  if (area.nameAlgorithm !== Algorithm.SHA256) return new Uint8Array(0);
  const name = new Uint8Array(34);
  name[1] = Algorithm.SHA256;
  name.set(sha256(area.body), 2);
  return name;
}

/** True when a key made from that template has this public part: same head, a key that fits. */
export function isLike(area: PublicArea, template: PublicArea): boolean {
  const bytes = template.keyBits / 8;
  return isSame(area.head, template.head) && (bytes === 0 || area.unique.length === bytes);
}

/** TPMS_RSA_PARMS (12.2.3.5): symmetric, scheme, bits, exponent. */
function rsaBits(cursor: Cursor): number {
  // Key bits and mode of the cipher that protects children.
  if (cursor.u16() !== Algorithm.NULL) cursor.u32();
  if (cursor.u16() !== Algorithm.NULL) cursor.u16();
  const bits = cursor.u16();
  cursor.u32();
  return bits;
}

/** TPMS_KEYEDHASH_PARMS (12.2.3.3): the scheme and its hash. */
function keyedHashScheme(cursor: Cursor): number {
  const scheme = cursor.u16();
  if (scheme !== Algorithm.NULL) cursor.u16();
  if (scheme === Algorithm.XOR) cursor.u16();
  return scheme;
}

function hex(value: number): string {
  return value.toString(16).padStart(4, "0");
}
