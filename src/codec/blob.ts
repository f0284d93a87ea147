// Blob: the `authenticationKey` of DPS, which brings a device key into one certain TPM.
// Neighbours: request.ts hands its parts to the TPM: credential and secret to activate, the
// others to import.
// Invariant: every size is checked against what is left and against what tpm2-tss takes, before
// a byte of it goes to the TPM.

import { Cursor } from "./cursor.ts";
import { Algorithm, PUBLIC_BYTES_MAX, parsePublic } from "./public.ts";

/** Sizes of tpm2-tss: TPMS_ID_OBJECT, TPMU_ENCRYPTED_SECRET, _PRIVATE. */
const CREDENTIAL_BYTES_MAX = 132;
const SECRET_BYTES_MAX = 512;
const PRIVATE_BYTES_MAX = 1550;
/** The longest text that a service may add (a host name and some more). */
const EXTRA_BYTES_MAX = 1024;
/** Largest blob: six parts at their largest, each with its size. */
export const BLOB_BYTES_MAX =
  6 * 2 +
  CREDENTIAL_BYTES_MAX +
  2 * SECRET_BYTES_MAX +
  PRIVATE_BYTES_MAX +
  PUBLIC_BYTES_MAX +
  EXTRA_BYTES_MAX;

/** Parts of the blob, each with its two bytes of size; views into it. */
export interface Blob {
  /** TPM2B_ID_OBJECT: the inner key, for this endorsement key and this SRK's name. */
  readonly credential: Uint8Array;
  /** TPM2B_ENCRYPTED_SECRET: the seed of the credential, for the endorsement key. */
  readonly secret: Uint8Array;
  /** TPM2B_PRIVATE: the device key, under the inner key and under the seed. */
  readonly duplicate: Uint8Array;
  /** TPM2B_ENCRYPTED_SECRET: the seed of the duplicate, for the SRK. */
  readonly seed: Uint8Array;
  /** TPM2B_PUBLIC: what kind of key it is. */
  readonly publicArea: Uint8Array;
}

/**
 * Splits the bytes of an `authenticationKey` (azure-utpm-c and the service SDKs agree on this
 * order); or one line that says what is wrong. What follows the key is read by no client.
 */
export function splitBlob(bytes: Uint8Array): Blob | string {
  if (bytes.length > BLOB_BYTES_MAX) {
    return `authentication key: ${bytes.length} bytes; allowed: up to ${BLOB_BYTES_MAX}`;
  }
  const cursor = new Cursor(bytes);
  const credential = cursor.whole(1, CREDENTIAL_BYTES_MAX);
  if (!isCredential(credential)) return "authentication key: no sound TPM2B_ID_OBJECT at its start";
  const secret = cursor.whole(1, SECRET_BYTES_MAX);
  if (!cursor.isSound) return "authentication key: no sound secret for the endorsement key";
  const duplicate = cursor.whole(1, PRIVATE_BYTES_MAX);
  if (!cursor.isSound) return "authentication key: no sound TPM2B_PRIVATE";
  const seed = cursor.whole(1, SECRET_BYTES_MAX);
  if (!cursor.isSound) return "authentication key: no sound secret for the storage root key";
  const publicArea = cursor.whole(1, PUBLIC_BYTES_MAX);
  if (!cursor.isSound) return "authentication key: no sound TPM2B_PUBLIC";
  if (!cursor.isDone) cursor.whole(0, EXTRA_BYTES_MAX);
  if (!cursor.isDone) return "authentication key: more bytes behind it than it tells";
  const area = parsePublic(publicArea);
  if (typeof area === "string") return `authentication key: ${area}`;
  if (area.type !== Algorithm.KEYEDHASH) return "authentication key: holds no HMAC key";
  return { credential, secret, duplicate, seed, publicArea };
}

/** TPMS_ID_OBJECT (part 2, 12.4.3): a digest with its size, and something encrypted behind it. */
function isCredential(whole: Uint8Array): boolean {
  const inner = new Cursor(whole.subarray(2));
  inner.sized(1, 64);
  return inner.isSound && !inner.isDone;
}
