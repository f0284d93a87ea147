// The closed set of IoT Hub topics: classified bytewise when they come in, built when they go
// out. Neighbours: core/twin and core/methods take the fields, bag.ts decodes a message's bag.
// Invariant: reading allocates nothing; positions index into the bytes given to read(); what
// is not exactly one of the hub's forms is UNKNOWN.

import { assert } from "../kit/assert.ts";
import { utf8 } from "./utf8.ts";

/** What an inbound topic is. */
export enum TopicKind {
  UNKNOWN,
  TWIN_ANSWER,
  DESIRED,
  METHOD,
  DEVICEBOUND,
}

/** Largest request number that twin requests use. */
export const RID_MAX = 2_147_483_647;

export const TWIN_ANSWER_FILTER = "$iothub/twin/res/#";
export const DESIRED_FILTER = "$iothub/twin/PATCH/properties/desired/#";
export const METHOD_FILTER = "$iothub/methods/POST/#";

const TWIN_ANSWER_PREFIX = utf8("$iothub/twin/res/");
const DESIRED_PREFIX = utf8("$iothub/twin/PATCH/properties/desired/");
const METHOD_PREFIX = utf8("$iothub/methods/POST/");
const RID = utf8("$rid");
const VERSION = utf8("$version");

const DOLLAR = 0x24;
const PERCENT = 0x25;
const AMPERSAND = 0x26;
const SLASH = 0x2f;
const EQUALS = 0x3d;
const QUESTION = 0x3f;

/** Filter for cloud-to-device messages; a module's lies below its device's name. */
export function deviceboundFilter(deviceId: string, moduleId = ""): string {
  return `${deviceboundPrefix(deviceId, moduleId)}#`;
}

/** Topic for telemetry; a property bag (bag.ts) may follow it directly. */
export function telemetryTopic(deviceId: string, moduleId = ""): string {
  return `${base(deviceId, moduleId)}/messages/events/`;
}

/** Topic that asks for the whole twin. */
export function twinGetTopic(rid: number): string {
  return `$iothub/twin/GET/?$rid=${checkRid(rid)}`;
}

/** Topic that patches the reported properties. */
export function twinReportedTopic(rid: number): string {
  return `$iothub/twin/PATCH/properties/reported/?$rid=${checkRid(rid)}`;
}

/** Topic that answers a method; `rid` goes back as it came, `status` is a 32-bit integer. */
export function methodAnswerTopic(status: number, rid: string): string {
  assert((status | 0) === status, "a method status is a 32-bit integer");
  return `$iothub/methods/res/${status}/?$rid=${rid}`;
}

function base(deviceId: string, moduleId: string): string {
  return moduleId === "" ? `devices/${deviceId}` : `devices/${deviceId}/modules/${moduleId}`;
}

function deviceboundPrefix(deviceId: string, moduleId: string): string {
  return `${base(deviceId, moduleId)}/messages/devicebound/`;
}

function checkRid(rid: number): number {
  assert((rid | 0) === rid && rid >= 0, "a request number is 0..2147483647");
  return rid;
}

/**
 * One inbound topic (azure.md section 4.4 forms):
 * - TWIN_ANSWER `$iothub/twin/res/{status}/?$rid={rid}[&$version={v}]`
 * - DESIRED `$iothub/twin/PATCH/properties/desired/?$version={v}`
 * - METHOD `$iothub/methods/POST/{name}/?$rid={rid}`
 * - DEVICEBOUND `devices/{id}/messages/devicebound/{bag}`
 *
 * Parameters come in any order, with the dollar plain or as `%24`; the first of a name counts,
 * unknown ones are passed over.
 */
export class Topic {
  kind: TopicKind = TopicKind.UNKNOWN;
  /** Three-digit status of a twin answer. */
  status = 0;
  /** Request number of a twin answer, -1 when it is none that a request of ours can have. */
  rid = -1;
  /** `$version`, 0..2^53-1, or -1 when absent or no decimal number. */
  version = -1;
  nameStart = 0;
  nameEnd = 0;
  ridStart = 0;
  ridEnd = 0;
  versionStart = 0;
  versionEnd = 0;
  bagStart = 0;
  bagEnd = 0;
  private readonly devicebound: Uint8Array;

  constructor(deviceId: string, moduleId = "") {
    this.devicebound = utf8(deviceboundPrefix(deviceId, moduleId));
  }

  /** Classifies `bytes[start..end)`; returns `kind`. */
  read(bytes: Uint8Array, start: number, end: number): TopicKind {
    this.kind = TopicKind.UNKNOWN;
    if (bytes[start] !== DOLLAR) {
      if (hasPrefix(bytes, start, end, this.devicebound)) {
        this.bagStart = start + this.devicebound.length;
        this.bagEnd = end;
        this.kind = TopicKind.DEVICEBOUND;
      }
    } else if (hasPrefix(bytes, start, end, TWIN_ANSWER_PREFIX)) {
      this.twinAnswer(bytes, start + TWIN_ANSWER_PREFIX.length, end);
    } else if (hasPrefix(bytes, start, end, DESIRED_PREFIX)) {
      this.desired(bytes, start + DESIRED_PREFIX.length, end);
    } else if (hasPrefix(bytes, start, end, METHOD_PREFIX)) {
      this.method(bytes, start + METHOD_PREFIX.length, end);
    }
    return this.kind;
  }

  private twinAnswer(bytes: Uint8Array, start: number, end: number): void {
    const slash = start + 3;
    if (slash >= end || bytes[slash] !== SLASH) return;
    const status = decimal(bytes, start, slash, 999);
    if (status < 100 || !this.parameters(bytes, slash + 1, end)) return;
    this.status = status;
    this.rid = decimal(bytes, this.ridStart, this.ridEnd, RID_MAX);
    this.version = decimal(bytes, this.versionStart, this.versionEnd, Number.MAX_SAFE_INTEGER);
    this.kind = TopicKind.TWIN_ANSWER;
  }

  private desired(bytes: Uint8Array, start: number, end: number): void {
    if (!this.parameters(bytes, start, end)) return;
    this.version = decimal(bytes, this.versionStart, this.versionEnd, Number.MAX_SAFE_INTEGER);
    this.kind = TopicKind.DESIRED;
  }

  private method(bytes: Uint8Array, start: number, end: number): void {
    let slash = start;
    while (slash < end && bytes[slash] !== SLASH) slash += 1;
    if (slash === start || !this.parameters(bytes, slash + 1, end)) return;
    // Without a request number there is no topic to answer on.
    if (this.ridStart === this.ridEnd) return;
    this.nameStart = start;
    this.nameEnd = slash;
    this.kind = TopicKind.METHOD;
  }

  // Finds $rid and $version behind the '?' at `start`; false when there is no '?'.
  private parameters(bytes: Uint8Array, start: number, end: number): boolean {
    if (start >= end || bytes[start] !== QUESTION) return false;
    this.ridStart = 0;
    this.ridEnd = 0;
    this.versionStart = 0;
    this.versionEnd = 0;
    let at = start + 1;
    while (at < end) {
      const key = at;
      while (at < end && bytes[at] !== AMPERSAND && bytes[at] !== EQUALS) at += 1;
      const keyEnd = at;
      while (at < end && bytes[at] !== AMPERSAND) at += 1;
      const value = Math.min(keyEnd + 1, at);
      if (this.ridEnd === 0 && isKey(bytes, key, keyEnd, RID)) {
        this.ridStart = value;
        this.ridEnd = at;
      } else if (this.versionEnd === 0 && isKey(bytes, key, keyEnd, VERSION)) {
        this.versionStart = value;
        this.versionEnd = at;
      }
      at += 1;
    }
    return true;
  }
}

function hasPrefix(bytes: Uint8Array, start: number, end: number, prefix: Uint8Array): boolean {
  if (end - start < prefix.length) return false;
  for (let index = 0; index < prefix.length; index += 1) {
    if (bytes[start + index] !== prefix[index]) return false;
  }
  return true;
}

// Every name begins with a dollar, the one character that the hub or a proxy may have encoded.
function isKey(bytes: Uint8Array, start: number, end: number, name: Uint8Array): boolean {
  const encoded =
    bytes[start] === PERCENT && bytes[start + 1] === 0x32 && bytes[start + 2] === 0x34;
  const rest = encoded ? start + 3 : start + 1;
  if (!encoded && bytes[start] !== DOLLAR) return false;
  if (end - rest !== name.length - 1) return false;
  for (let index = 1; index < name.length; index += 1) {
    if (bytes[rest + index - 1] !== name[index]) return false;
  }
  return true;
}

// Digits alone, no sign, no superfluous zero; -1 for anything else and above `max`.
function decimal(bytes: Uint8Array, start: number, end: number, max: number): number {
  if (start >= end || (bytes[start] === 0x30 && end - start > 1)) return -1;
  let value = 0;
  for (let at = start; at < end; at += 1) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
    if (value > max) return -1;
  }
  return value;
}
