// Capability: what TPM2_GetCapability tells: handles in use, properties of the TPM.
// Neighbours: request.ts asks; the console and `azimuth tpm` show it.
// Invariant: a list is taken only when it is as long as it says, and no longer than a TPM's.

import { Cursor } from "./cursor.ts";

/** Areas that can be asked for (part 2, 6.12). */
export enum Capability {
  HANDLES = 1,
  PROPERTIES = 6,
}

/** First handle of each range (part 2, 7.4): where a list of handles begins. */
export enum HandleRange {
  LOADED_SESSIONS = 0x02000000,
  SAVED_SESSIONS = 0x03000000,
  TRANSIENT = 0x80000000,
  PERSISTENT = 0x81000000,
}

/** Properties (part 2, 6.13). */
export enum Property {
  FAMILY = 0x100,
  LEVEL = 0x101,
  REVISION = 0x102,
  DAY = 0x103,
  YEAR = 0x104,
  MANUFACTURER = 0x105,
  VENDOR_1 = 0x106,
  VENDOR_2 = 0x107,
  VENDOR_3 = 0x108,
  VENDOR_4 = 0x109,
  FIRMWARE_1 = 0x10b,
  FIRMWARE_2 = 0x10c,
  INPUT_BUFFER = 0x10d,
  PERMANENT = 0x200,
  STARTUP_CLEAR = 0x201,
  LOCKOUT_COUNTER = 0x20e,
  MAX_AUTH_FAIL = 0x20f,
  LOCKOUT_INTERVAL = 0x210,
  LOCKOUT_RECOVERY = 0x211,
}

/** First property of those that are fixed, and of those that change. */
export const FIXED_PROPERTIES = 0x100;
export const VARIABLE_PROPERTIES = 0x200;

/** In Property.PERMANENT: passwords of owner, endorsement and lockout set; lockout in force. */
export const OWNER_AUTH_SET = 1 << 0;
export const ENDORSEMENT_AUTH_SET = 1 << 1;
export const LOCKOUT_AUTH_SET = 1 << 2;
export const IN_LOCKOUT = 1 << 9;

/** More than one answer can carry; to ask for all (part 2, 10.9: 4096 bytes hold no more). */
export const COUNT_MAX = 254;
const HANDLES_MAX = 1018;
const PROPERTIES_MAX = 509;

/** The handles of an answer to HANDLES, or undefined when it is none. */
export function parseHandles(output: Uint8Array): readonly number[] | undefined {
  const cursor = opened(output, Capability.HANDLES);
  const count = cursor.u32();
  if (count > HANDLES_MAX) return undefined;
  const handles: number[] = [];
  for (let left = count; left > 0 && cursor.isSound; left--) handles.push(cursor.u32());
  return cursor.isDone ? handles : undefined;
}

/** The properties of an answer to PROPERTIES by number, or undefined when it is none. */
export function parseProperties(output: Uint8Array): ReadonlyMap<number, number> | undefined {
  const cursor = opened(output, Capability.PROPERTIES);
  const count = cursor.u32();
  if (count > PROPERTIES_MAX) return undefined;
  const properties = new Map<number, number>();
  for (let left = count; left > 0 && cursor.isSound; left--) {
    const property = cursor.u32();
    properties.set(property, cursor.u32());
  }
  return cursor.isDone ? properties : undefined;
}

/** Up to four characters packed into a property, e.g. the manufacturer: `IBM`, `STM`, `NTC`. */
export function packedText(value: number): string {
  const codes = [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
  const isShown = (code: number) => code > 0x20 && code < 0x7f;
  return String.fromCharCode(...codes.filter(isShown));
}

/** A cursor behind `moreData` and the capability, which fails when that is another. */
function opened(output: Uint8Array, capability: Capability): Cursor {
  const cursor = new Cursor(output);
  cursor.u8();
  if (cursor.u32() !== capability) cursor.isSound = false;
  return cursor;
}
