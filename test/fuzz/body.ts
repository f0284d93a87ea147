// Body: what DPS answers, as JSON with something wrong in it, or nothing.
// Neighbours: `dps.ts` and `trial.ts` feed them to the agent; `mutant` damages bytes.
// Invariant: the same generator gives the same bodies; no body is longer than the agent reads.

import type { WebAnswer } from "../../src/core/effects.ts";
import type { Prng } from "../../src/kit/prng.ts";
import { mutant } from "./mutant.ts";

/** Longest body that the HTTPS port reads. */
const BYTES_MAX = 16 * 1024;
const DEPTH = 1500;

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const HUB = "hub7.example";
const NAMES = [HUB, "a-1.azure-devices.net", "gateway-7", "gw:1%_*?!(),=@$'.x"];
/** Names that no hub or no device has, and texts that break what handles texts. */
const ODD_TEXTS = [
  "",
  " ",
  "hub..example",
  "-hub.example",
  "hub.example:8883",
  "hub.example\r\nAuthorization: x",
  "gateway/7",
  "gateway 7",
  "#",
  "gateway+7",
  "ü",
  "a\0b",
  "\ud800",
  "x\udfffy",
  "\u202eevil",
  "\u001b[2J",
  "../../x?y#z",
  `x${"\u{1f600}".repeat(150)}`,
  "x".repeat(129),
  `${"x".repeat(60)}.`.repeat(5),
  "y".repeat(5000),
];
const STATUSES = ["unassigned", "assigning", "assigned", "failed", "disabled", "Assigned"];
const ODD_VALUES: readonly Json[] = [null, true, false, 0, -1, 1e21, 401002, 0.5, [], {}, [[]]];
const ODD_KEYS = ["__proto__", "constructor", "toString", "Status", "status", "tpm", ""];

/** JSON that `JSON.stringify` does not write. */
const ODD_JSON = [
  "1e999",
  '"\\ud800"',
  "[".repeat(DEPTH) + "]".repeat(DEPTH),
  `${'{"a":'.repeat(DEPTH)}1${"}".repeat(DEPTH)}`,
  '{"status":"assigned","status":1}',
  "\ufeff{}",
  "nul",
  "",
];

function pick<T>(list: readonly T[], prng: Prng): T {
  return list[prng.below(list.length)]!;
}

/** The bodies that azure.md 1.3 lists, with this key in them. */
function sound(key: string, prng: Prng): Json {
  const operationId = "4.0123456789abcdef.00000000-0000-4000-8000-000000000000";
  const tpm = { authenticationKey: key };
  const place = { assignedHub: HUB, deviceId: "gateway-7", substatus: "initialAssignment" };
  const registrationId = "gateway-7";
  switch (prng.below(6)) {
    case 0:
      return { message: "Authorization required", authenticationKey: key, keyName: "registration" };
    case 1:
      return { operationId, status: "assigning" };
    case 2:
      return {
        operationId,
        status: "assigned",
        registrationState: { tpm, registrationId, status: "assigned", ...place },
      };
    case 3: {
      const failure = { errorCode: 400208, errorMessage: "IoT Hub not found" };
      const registrationState = { registrationId, status: "failed", ...failure };
      return { operationId, status: "failed", registrationState };
    }
    case 4:
      return { operationId, status: "disabled", registrationState: { status: "disabled" } };
    default:
      return { errorCode: 401002, trackingId: "t", message: "Unauthorized", info: {} };
  }
}

/** All objects and arrays in a value, itself first. */
function branches(value: Json): (Json[] | { [key: string]: Json })[] {
  if (typeof value !== "object" || value === null) return [];
  return [value, ...Object.values(value).flatMap(branches)];
}

function oddValue(prng: Prng): Json {
  switch (prng.below(4)) {
    case 0:
      return structuredClone(pick(ODD_VALUES, prng));
    case 1:
      return pick(STATUSES, prng);
    case 2:
      return pick(NAMES, prng);
    default:
      return pick(ODD_TEXTS, prng);
  }
}

/** Sets a member, one named `__proto__` too. */
function define(branch: object, key: string, value: Json): void {
  const how = { enumerable: true, writable: true, configurable: true };
  Object.defineProperty(branch, key, { value, ...how });
}

/** Changes one member somewhere in the value. */
function spoil(value: Json, prng: Prng): void {
  const all = branches(value);
  if (all.length === 0) return;
  const branch = pick(all, prng) as { [key: string]: Json };
  const keys = Object.keys(branch);
  const key = keys.length === 0 ? pick(ODD_KEYS, prng) : pick(keys, prng);
  const member = Object.hasOwn(branch, key) ? branch[key]! : null;
  switch (prng.below(6)) {
    case 0:
      delete branch[key];
      return;
    case 1:
      define(branch, pick(ODD_KEYS, prng), member);
      return;
    case 2:
      define(branch, key, [member]);
      return;
    case 3:
      define(branch, key, { inner: member });
      return;
    default:
      define(branch, key, oddValue(prng));
  }
}

/** A text of JSON, or nearly, that begins as `value`. */
export function textOf(value: Json, prng: Prng): string {
  for (let left = prng.below(4); left > 0; left--) spoil(value, prng);
  const text = JSON.stringify(value);
  switch (prng.below(8)) {
    case 0:
      return mutant(Buffer.from(text), prng).toString();
    case 1: {
      const at = text.indexOf(":", prng.below(text.length)) + 1;
      const odd = pick(ODD_JSON, prng);
      return (at === 0 ? odd : text.slice(0, at) + odd + text.slice(at)).slice(0, BYTES_MAX);
    }
    case 2: {
      // The value of a member in another's place.
      const at = text.indexOf(":", prng.below(text.length)) + 1;
      const end = text.indexOf(",", at);
      return at === 0 || end < 0
        ? text
        : text.slice(0, at) + pick(ODD_JSON, prng) + text.slice(end);
    }
    default:
      return text;
  }
}

const HTTP = [200, 202, 401, 0, 204, 301, 400, 403, 404, 409, 412, 429, 500, 503, 599, 999];
/** What the port makes of `Retry-After` and of `Date`. */
const WAITS_S = [Number.NaN, 0, 1, 3, 300, 999_999];
const DATES_S = [Number.NaN, 1_800_000_000, 1_800_000_000.5, 0, -62_135_596_800, 8_640_000_000_000];

/** An answer that may be anything. @param blob a key before it is damaged */
export function mutantAnswer(blob: Buffer, prng: Prng): WebAnswer {
  const key = prng.chance(0.3) ? mutant(blob, prng) : blob;
  const body = textOf(sound(key.toString("base64"), prng), prng);
  // The first three are those of a registration that goes well.
  const status = prng.chance(0.7) ? HTTP[prng.below(3)]! : pick(HTTP, prng);
  const retryAfterS = pick(WAITS_S, prng);
  const dateS = pick(DATES_S, prng);
  return { status, dateS, retryAfterS, body, problem: status === 0 ? "nobody there" : "" };
}

/** An answer as the service gives it: a challenge, or "assigning", or "assigned". */
export function soundAnswer(step: "challenge" | "assigning" | "assigned", blob: Buffer): WebAnswer {
  const more = { dateS: 1_800_000_000, retryAfterS: 3, problem: "" };
  const key = blob.toString("base64");
  if (step === "challenge") {
    return { status: 401, body: JSON.stringify({ authenticationKey: key }), ...more };
  }
  if (step === "assigning") {
    return { status: 202, body: JSON.stringify({ operationId: "4.op", status: step }), ...more };
  }
  const registrationState = { tpm: { authenticationKey: key }, assignedHub: HUB, deviceId: "gw" };
  return { status: 200, body: JSON.stringify({ status: step, registrationState }), ...more };
}
