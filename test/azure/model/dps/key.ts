/**
 * Symmetric keys of enrollments: their form, and the key of one device under a group's key.
 * Neighbours: `attestation.ts` holds them, `gate.ts` checks signatures. Facts: DPS symmetric key
 * guide. Invariant: a key never reaches a message.
 */
import { createHmac } from "node:crypto";
import type { World } from "../world.ts";
import { fromBase64 } from "./bytes.ts";
import { malformed } from "./errors.ts";

const KEY_BYTES_MIN = 16;
const KEY_BYTES_MAX = 64;
const KEY_BYTES_MADE = 64;

/** Key of a device under a group's key (base64 both): HMAC-SHA256 over the registration id. */
export function deviceKey(groupKey: string, registrationId: string): string {
  const key = Buffer.from(groupKey, "base64");
  return createHmac("sha256", key).update(registrationId).digest("base64");
}

/** A new key of `length` bytes, base64. */
export function makeKey(world: World, length = KEY_BYTES_MADE): string {
  return Buffer.from(world.randomBytes(length)).toString("base64");
}

/** The key given, or the one that was there, or a new one; throws 400. */
export function keyOf(given: unknown, old: string, name: string, world: World): string {
  if (given === undefined || given === null || given === "") {
    return old || makeKey(world);
  }
  const bytes = typeof given === "string" ? fromBase64(given) : undefined;
  if (bytes === undefined || bytes.length < KEY_BYTES_MIN || bytes.length > KEY_BYTES_MAX) {
    throw malformed(`${name} must be base64 of ${KEY_BYTES_MIN} to ${KEY_BYTES_MAX} bytes`);
  }
  return given as string;
}
