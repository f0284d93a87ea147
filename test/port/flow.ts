// Flow: the procedures of an identity in single operations, as the provision machine does them.
// Neighbours: tests and figures of the TPM port.
// Invariant: what a procedure makes and does not return it flushes, on every path; an operation
// that fails ends it with an error that says which and with what code.

import type { Blob } from "../../src/codec/blob.ts";
import { splitBlob } from "../../src/codec/blob.ts";
import { outcomeText } from "../../src/codec/outcome.ts";
import * as request from "../../src/codec/request.ts";
import { ENDORSEMENT_TEMPLATE, STORAGE_TEMPLATE } from "../../src/codec/template.ts";
import type { Answered, Desk } from "./desk.ts";

const RC_NOTHING_THERE = 0x18b;
const RC_STARTED = 0x100;

/** Performs, and throws when it is refused. */
export async function done(desk: Desk, asked: request.TpmRequest): Promise<Answered> {
  const answer = await desk.perform(asked);
  if (answer.rc === 0) return answer;
  const name = request.TpmOperation[asked.operation];
  throw new Error(`${name}: ${outcomeText(answer.rc)}`);
}

/** What a connection to a raw TPM begins with. */
export async function start(desk: Desk): Promise<void> {
  const { rc } = await desk.perform(request.startup());
  if (rc !== 0 && rc !== RC_STARTED) throw new Error(`STARTUP: ${outcomeText(rc)}`);
  const swept = await desk.flushAll();
  if (swept.rc !== 0) throw new Error(`flush all: ${outcomeText(swept.rc)}`);
}

/** A parent key: what is there, or a new one made from the TCG's template. */
export interface Parent {
  readonly publicArea: Uint8Array;
  readonly isCreated: boolean;
}

async function readOrCreate(
  desk: Desk,
  handle: number,
  hierarchy: number,
  template: Uint8Array,
): Promise<Parent> {
  const read = await desk.perform(request.readPublic(handle));
  if (read.rc === 0) return { publicArea: firstOf(read.output), isCreated: false };
  if (read.rc !== RC_NOTHING_THERE) throw new Error(`READ_PUBLIC: ${outcomeText(read.rc)}`);
  const made = await done(desk, request.createPrimary(hierarchy, template));
  try {
    await done(desk, request.persist(made.handle, handle));
  } finally {
    await desk.perform(request.flush(made.handle));
  }
  return { publicArea: made.output, isCreated: true };
}

export function endorsementKey(desk: Desk): Promise<Parent> {
  const { ENDORSEMENT_HANDLE, ENDORSEMENT } = request;
  return readOrCreate(desk, ENDORSEMENT_HANDLE, ENDORSEMENT, ENDORSEMENT_TEMPLATE);
}

export function storageKey(desk: Desk): Promise<Parent> {
  return readOrCreate(desk, request.STORAGE_HANDLE, request.OWNER, STORAGE_TEMPLATE);
}

/** Brings the key of a blob in, without keeping it: its transient handle. */
export async function openBlob(desk: Desk, bytes: Uint8Array, isHidden = true): Promise<number> {
  const blob = splitBlob(bytes);
  if (typeof blob === "string") throw new Error(blob);
  const hiding = isHidden ? await done(desk, request.startHmac(request.STORAGE_HANDLE)) : null;
  const session = hiding?.handle ?? request.NO_SESSION;
  try {
    const inner = await activate(desk, blob, session);
    const { STORAGE_HANDLE } = request;
    const imported = await done(desk, request.importKey(STORAGE_HANDLE, inner, blob, session));
    const loading = request.load(STORAGE_HANDLE, imported.output, blob.publicArea);
    return (await done(desk, loading)).handle;
  } finally {
    if (hiding !== null) await desk.perform(request.flush(session));
  }
}

async function activate(desk: Desk, blob: Blob, session: number): Promise<Uint8Array> {
  const { ENDORSEMENT_HANDLE, STORAGE_HANDLE } = request;
  const policy = await done(desk, request.startPolicy());
  try {
    await done(desk, request.policySecret(request.ENDORSEMENT, policy.handle, session));
    const { handle } = policy;
    const asked = request.activate(STORAGE_HANDLE, ENDORSEMENT_HANDLE, handle, blob, session);
    return (await done(desk, asked)).output;
  } finally {
    await desk.perform(request.flush(policy.handle));
  }
}

/**
 * Makes the transient `key` the identity, in an order that never leaves the TPM without one: the
 * spare handle has the new key before the old one goes, and what an earlier cut has left at the
 * spare handle goes only when there is another.
 */
export async function keep(desk: Desk, key: number): Promise<void> {
  const { IDENTITY_HANDLE, SPARE_HANDLE } = request;
  const isSpareTaken = await isThere(desk, SPARE_HANDLE);
  const isTaken = await isThere(desk, IDENTITY_HANDLE);
  if (isTaken) {
    if (isSpareTaken) await done(desk, request.evict(SPARE_HANDLE));
    await done(desk, request.persist(key, SPARE_HANDLE));
    await done(desk, request.evict(IDENTITY_HANDLE));
  }
  await done(desk, request.persist(key, IDENTITY_HANDLE));
  await done(desk, request.flush(key));
  if (isTaken || isSpareTaken) await done(desk, request.evict(SPARE_HANDLE));
}

/** Where the identity is after whatever happened; 0 when there is none. */
export async function find(desk: Desk): Promise<number> {
  const { IDENTITY_HANDLE, SPARE_HANDLE } = request;
  if (await isThere(desk, IDENTITY_HANDLE)) return IDENTITY_HANDLE;
  return (await isThere(desk, SPARE_HANDLE)) ? SPARE_HANDLE : 0;
}

async function isThere(desk: Desk, handle: number): Promise<boolean> {
  const { rc } = await desk.perform(request.readPublic(handle));
  if (rc !== 0 && rc !== RC_NOTHING_THERE) throw new Error(`READ_PUBLIC: ${outcomeText(rc)}`);
  return rc === 0;
}

/** The HMAC of the key at `handle`. */
export async function sign(desk: Desk, handle: number, text: string): Promise<Buffer> {
  const { output } = await done(desk, request.hmac(handle, Buffer.from(text)));
  return Buffer.from(output.subarray(2));
}

/** The first TPM2B of an output. */
function firstOf(output: Uint8Array): Uint8Array {
  return output.subarray(0, 2 + output[0]! * 256 + output[1]!);
}
