// Request: an operation of the TPM with its handles and bytes, ready for the port.
// Neighbours: core makes them and hands them to the TPM port; native/azimuth.h has the same
// numbers and says what each takes and gives.
// Invariant: numbers never change their meaning; bytes are as on the wire, sizes included.

import type { Blob } from "./blob.ts";
import { Capability, COUNT_MAX, type HandleRange } from "./capability.ts";
import { joined, sized } from "./cursor.ts";

/** Operations, as in native/azimuth.h. */
export enum TpmOperation {
  STARTUP = 0,
  CAPABILITY = 1,
  READ_PUBLIC = 2,
  CREATE_PRIMARY = 3,
  EVICT = 4,
  FLUSH = 5,
  START_POLICY = 6,
  START_HMAC = 7,
  POLICY_SECRET = 8,
  ACTIVATE = 9,
  IMPORT = 10,
  LOAD = 11,
  CREATE = 12,
  HMAC = 13,
}

/** What the TPM port performs. */
export interface TpmRequest {
  readonly operation: TpmOperation;
  /** Handles or numbers, as the operation wants them. */
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
  /** May hold secrets. */
  readonly input: Uint8Array;
}

/** Hierarchies (part 2, 7.4). */
export const OWNER = 0x40000001;
export const ENDORSEMENT = 0x4000000b;

/** Where Microsoft's clients keep their keys, and so do we: EK, SRK and device key. */
export const ENDORSEMENT_HANDLE = 0x81010001;
export const STORAGE_HANDLE = 0x81000001;
export const IDENTITY_HANDLE = 0x81000100;
/** Holds the new device key while the old one is replaced, so that there always is one. */
export const SPARE_HANDLE = 0x81000101;

/** "No session": passwords go in clear, parameters are not hidden. */
export const NO_SESSION = 0;

/** Longest text that one HMAC takes (TPM_PT_INPUT_BUFFER of the TCG profile). */
export const HMAC_BYTES_MAX = 1024;

const NOTHING = new Uint8Array(0);

/** TPM2_Startup(CLEAR); 0x100 when it was done before. */
export function startup(): TpmRequest {
  return request(TpmOperation.STARTUP);
}

/** Asks for properties from number `first`; the output is for `parseProperties`. */
export function readProperties(first: number): TpmRequest {
  return request(TpmOperation.CAPABILITY, NOTHING, Capability.PROPERTIES, first, COUNT_MAX);
}

/** Asks for the handles of a range; the output is for `parseHandles`. */
export function readHandles(range: HandleRange): TpmRequest {
  return request(TpmOperation.CAPABILITY, NOTHING, Capability.HANDLES, range, COUNT_MAX);
}

/** The output is TPM2B_PUBLIC and TPM2B_NAME; 0x18b when there is nothing. */
export function readPublic(handle: number): TpmRequest {
  return request(TpmOperation.READ_PUBLIC, NOTHING, handle);
}

/** Makes a key in `hierarchy` (OWNER, ENDORSEMENT): its transient handle and TPM2B_PUBLIC. */
export function createPrimary(
  hierarchy: number,
  template: Uint8Array,
  session = NO_SESSION,
): TpmRequest {
  return request(TpmOperation.CREATE_PRIMARY, template, hierarchy, session);
}

/** Keeps the transient `object` at `handle` for good. */
export function persist(object: number, handle: number, session = NO_SESSION): TpmRequest {
  return request(TpmOperation.EVICT, NOTHING, object, handle, session);
}

/** Removes the persistent object at `handle`. */
export function evict(handle: number, session = NO_SESSION): TpmRequest {
  return request(TpmOperation.EVICT, NOTHING, handle, handle, session);
}

/** Frees a transient object or a session. */
export function flush(handle: number): TpmRequest {
  return request(TpmOperation.FLUSH, NOTHING, handle);
}

/** Starts a policy session: its handle. */
export function startPolicy(): TpmRequest {
  return request(TpmOperation.START_POLICY);
}

/** Starts a session whose salt is encrypted to `key`: its handle. */
export function startHmac(key: number): TpmRequest {
  return request(TpmOperation.START_HMAC, NOTHING, key);
}

/** Proves the password of `hierarchy` to the session `policy`. */
export function policySecret(hierarchy: number, policy: number, session = NO_SESSION): TpmRequest {
  return request(TpmOperation.POLICY_SECRET, NOTHING, hierarchy, policy, session);
}

/** Opens the credential of a blob: the inner key as TPM2B_DIGEST, secret. */
export function activate(
  storageKey: number,
  endorsementKey: number,
  policy: number,
  blob: Blob,
  session = NO_SESSION,
): TpmRequest {
  const input = joined(blob.credential, blob.secret);
  return request(TpmOperation.ACTIVATE, input, storageKey, endorsementKey, policy, session);
}

/** Turns the duplicate of a blob into a TPM2B_PRIVATE for `parent`. `inner` is a TPM2B_DIGEST. */
export function importKey(
  parent: number,
  inner: Uint8Array,
  blob: Blob,
  session = NO_SESSION,
): TpmRequest {
  const input = joined(inner, blob.publicArea, blob.duplicate, blob.seed);
  return request(TpmOperation.IMPORT, input, parent, session);
}

/** Loads a TPM2B_PRIVATE with its TPM2B_PUBLIC: a transient handle. */
export function load(
  parent: number,
  privateArea: Uint8Array,
  publicArea: Uint8Array,
  session = NO_SESSION,
): TpmRequest {
  return request(TpmOperation.LOAD, joined(privateArea, publicArea), parent, session);
}

/** Makes a key of `template` whose value is `secret`: TPM2B_PRIVATE and TPM2B_PUBLIC to load. */
export function create(
  parent: number,
  secret: Uint8Array,
  template: Uint8Array,
  session = NO_SESSION,
): TpmRequest {
  // TPM2B_SENSITIVE_CREATE (part 2, 11.1.16): no password, the value.
  const sensitive = sized(joined(sized(NOTHING), sized(secret)));
  return request(TpmOperation.CREATE, joined(sensitive, template), parent, session);
}

/** HMAC with the key at `key` over at most HMAC_BYTES_MAX bytes: a TPM2B_DIGEST. */
export function hmac(key: number, data: Uint8Array, session = NO_SESSION): TpmRequest {
  return request(TpmOperation.HMAC, sized(data), key, session);
}

function request(
  operation: TpmOperation,
  input: Uint8Array = NOTHING,
  a = 0,
  b = 0,
  c = 0,
  d = 0,
): TpmRequest {
  return { operation, a, b, c, d, input };
}
