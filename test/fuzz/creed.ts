// Creed: what must hold whatever DPS says, by a second reader that shares nothing with the first.
// Neighbours: `dps.ts` and `trial.ts` hold the agent against it; `judge` knows the blob.
// Invariant: written from the rules of IoT Hub and DNS alone.

import { blobParts } from "./judge.ts";

/** Longest line that is shown to people. */
const LINE_MAX = 1000;
const LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
/** RFC 1123, 2.1. */
const HUB = new RegExp(`^(?=.{1,253}$)${LABEL}(\\.${LABEL})*$`);
/** IoT Hub, identity registry; without what MQTT cannot address. */
const DEVICE = /^[A-Za-z0-9\-:.%_*?!(),=@$']{1,128}$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Whether a text can be shown: one line, nothing in it that steers a terminal. */
export function isLine(text: string): boolean {
  return text.length <= LINE_MAX && !/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u.test(text);
}

export const isHub = (text: string): boolean => HUB.test(text);
export const isDevice = (text: string): boolean => DEVICE.test(text);

/** A member by its path; undefined when it, or something on the way, is not there. */
function member(text: string, ...path: readonly string[]): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

/** Hub and device of a body that assigns, when both keep the rules. */
export function placeIn(text: string): { hub: string; device: string } | undefined {
  const hub = member(text, "registrationState", "assignedHub");
  const device = member(text, "registrationState", "deviceId");
  if (typeof hub !== "string" || typeof device !== "string") return undefined;
  const statuses = [member(text, "status"), member(text, "registrationState", "status")];
  if (!statuses.includes("assigned") || !isHub(hub) || !isDevice(device)) return undefined;
  return { hub, device };
}

/** What is wrong with every key that a body holds; "" when one of them is sound. */
export function keyProblem(text: string): string {
  const places = [["authenticationKey"], ["registrationState", "tpm", "authenticationKey"]];
  let problem = "no key";
  for (const path of places) {
    const key = member(text, ...path);
    if (typeof key !== "string" || key === "") continue;
    problem = "a broken key";
    if (!BASE64.test(key)) continue;
    try {
      blobParts(Buffer.from(key, "base64"));
      return "";
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
  return problem;
}

/** Whether DPS may be asked like this: the scope, the id and nothing else in the path. */
export function isRequest(
  method: string,
  path: string,
  authorization: string,
  scope: string,
  id: string,
): boolean {
  const [before, after] = [`/${scope}/registrations/${id}/`, "?api-version="];
  if (!path.startsWith(before) || !isLine(authorization)) return false;
  const rest = path.slice(before.length);
  const form = method === "PUT" ? /^register\?/ : /^operations\/[A-Za-z0-9%\-_.!~*'()]+\?/;
  return form.test(rest) && rest.split("?").length === 2 && rest.includes(after);
}
