// Connection strings of IoT Hub devices: `HostName=…;DeviceId=…;SharedAccessKey=…`.
// Neighbours: validate in core turns one into settings; base64.ts checks the key.
// Invariant: a problem is one line that repeats no value, so it can never show a key that was
// put in the wrong place; an unknown name is repeated only if it cannot be a key.

import { decodeBase64 } from "./base64.ts";

/** A device (or module) and how to reach its hub. */
export interface Connection {
  /** The hub's host name without port: what is signed and what stands in the user name. */
  readonly hostName: string;
  /** The host to dial: the gateway's when GatewayHostName is given, else the hub's. */
  readonly host: string;
  /** The port given with `host`, 0 when none is. */
  readonly port: number;
  readonly deviceId: string;
  /** "" for a device. */
  readonly moduleId: string;
  /** The device key in base64; secret. "" with `x509`, or when it is elsewhere. */
  readonly key: string;
  /** The device proves itself by a certificate. */
  readonly x509: boolean;
}

/** Why a text is no device connection string, in one line without any of its values. */
export interface ConnectionProblem {
  readonly problem: string;
}

interface Address {
  readonly host: string;
  readonly port: number;
}

const NAMES = ["HostName", "DeviceId", "ModuleId", "SharedAccessKey", "GatewayHostName", "x509"];
const ALLOWED = `allowed: ${NAMES.join(", ")}`;

// Names of other people's strings that deserve a better answer than "unknown".
const MISTAKEN = new Map([
  [
    "sharedaccesskeyname",
    "this is a service connection string (it has SharedAccessKeyName); allowed: the device's own",
  ],
  [
    "sharedaccesssignature",
    "SharedAccessSignature is a token that expires; allowed: SharedAccessKey, tokens come from it",
  ],
]);

/** Longest device or module id, in characters (IoT Hub, identity registry). */
const ID_LENGTH_MAX = 128;
const ID = /^[A-Za-z0-9\-:.+%_#*?!(),=@$']+$/;
/** The hub takes such a name, but no client can publish to its topics (MQTT-3.3.2-2). */
const WILDCARD = /[+#]/;
const ID_ALLOWED = "allowed: ASCII letters, digits and - : . % _ * ? ! ( ) , = @ $ '";

/** Longest host name and longest label in it (RFC 1123 section 2.1). */
const HOST_LENGTH_MAX = 253;
const LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const PORT = /^[1-9]\d{0,4}$/;
const PORT_MAX = 65_535;

/** Whether a text can be the id of a device that MQTT can address. */
export function isDeviceId(text: string): boolean {
  return text.length <= ID_LENGTH_MAX && ID.test(text) && !WILDCARD.test(text);
}

/** Whether a text can be a host name without port. */
export function isHostName(text: string): boolean {
  return text.length <= HOST_LENGTH_MAX && text.split(".").every((label) => LABEL.test(label));
}

/**
 * Reads a device connection string; names in any order and any case, each at most once.
 * @param isKeyElsewhere it may do without SharedAccessKey: the key is in the TPM
 */
export function parseConnection(
  text: string,
  isKeyElsewhere = false,
): Connection | ConnectionProblem {
  const fields = new Map<string, string>();
  const problem = collect(text, fields) ?? lacking(fields, isKeyElsewhere) ?? faulty(fields);
  if (problem !== undefined) return { problem };
  const hub = address("HostName", fields.get("HostName"));
  if (typeof hub === "string") return { problem: hub };
  const dialled = address("GatewayHostName", fields.get("GatewayHostName"), hub);
  if (typeof dialled === "string") return { problem: dialled };
  return {
    hostName: hub.host,
    host: dialled.host,
    port: dialled.port,
    deviceId: fields.get("DeviceId") ?? "",
    moduleId: fields.get("ModuleId") ?? "",
    key: fields.get("SharedAccessKey") ?? "",
    x509: isX509(fields),
  };
}

// Puts the entries into `fields` under the names of NAMES; empty ones are passed over.
function collect(text: string, fields: Map<string, string>): string | undefined {
  const entries = text.trim().split(";");
  for (let index = 0; index < entries.length; index += 1) {
    const entry = entries[index]!.trim();
    if (entry === "") continue;
    const equals = entry.indexOf("=");
    const given = equals < 0 ? "" : entry.slice(0, equals);
    const value = entry.slice(equals + 1);
    const name = NAMES.find((known) => known.toLowerCase() === given.toLowerCase());
    if (name === undefined) return unknown(given, value, index + 1);
    if (value === "") return `${name} is empty`;
    if (fields.has(name)) return `${name} is given twice`;
    fields.set(name, value);
  }
  return undefined;
}

// A name is repeated only when it is a word with a value behind it: a key that lost its name
// has digits, or nothing but padding behind its first equals sign.
function unknown(given: string, value: string, number: number): string {
  const mistaken = MISTAKEN.get(given.toLowerCase());
  if (mistaken !== undefined) return mistaken;
  const isWord = /^[A-Za-z]{1,32}$/.test(given) && /[A-Za-z0-9]/.test(value);
  return isWord ? `unknown name ${given}; ${ALLOWED}` : `entry ${number} has no name; ${ALLOWED}`;
}

function lacking(fields: Map<string, string>, isKeyElsewhere: boolean): string | undefined {
  if (!fields.has("HostName")) return "HostName is missing";
  if (!fields.has("DeviceId")) return "DeviceId is missing";
  if (fields.has("SharedAccessKey")) {
    return isX509(fields) ? "SharedAccessKey and x509=true exclude each other" : undefined;
  }
  if (isX509(fields) || isKeyElsewhere) return undefined;
  return "SharedAccessKey is missing (or x509=true, or key = tpm after azimuth seal)";
}

function faulty(fields: Map<string, string>): string | undefined {
  for (const name of ["DeviceId", "ModuleId"]) {
    const id = fields.get(name);
    if (id === undefined) continue;
    if (id.length > ID_LENGTH_MAX) {
      return `${name} has ${id.length} characters; allowed: 1 to ${ID_LENGTH_MAX}`;
    }
    if (!ID.test(id)) return `${name} has a character that no id may have; ${ID_ALLOWED}`;
    if (WILDCARD.test(id)) return `${name} has + or #, which MQTT cannot address; ${ID_ALLOWED}`;
  }
  const key = fields.get("SharedAccessKey");
  if (key !== undefined && decodeBase64(key) === undefined) {
    return "SharedAccessKey is not base64; allowed: A-Z a-z 0-9 + / and = at its end, unbroken";
  }
  const x509 = fields.get("x509");
  if (x509 !== undefined && !/^(?:true|false)$/i.test(x509)) {
    return "x509 is neither true nor false";
  }
  return undefined;
}

function isX509(fields: Map<string, string>): boolean {
  return fields.get("x509")?.toLowerCase() === "true";
}

// Host and port of `text`, or what is wrong with it; `absent` when the name was not given.
function address(name: string, text = "", absent: Address | string = ""): Address | string {
  if (text === "") return absent;
  const colon = text.indexOf(":");
  const host = colon < 0 ? text : text.slice(0, colon);
  if (!isHostName(host)) {
    return `${name} is no host name; allowed: labels of letters, digits and inner hyphens`;
  }
  if (colon < 0) return { host, port: 0 };
  const digits = text.slice(colon + 1);
  if (!PORT.test(digits) || Number(digits) > PORT_MAX) {
    return `${name} has no port behind its colon; allowed: 1 to ${PORT_MAX}`;
  }
  return { host, port: Number(digits) };
}
