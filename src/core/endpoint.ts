// Endpoint: what section [endpoint] of the settings means: which type, and who we are there.
// Neighbours: `validate` calls it; `secret` finds keys and connection strings, `codec/connection`
// reads the latter.
// Invariant: pure; no text of a problem holds a secret.

import { decodeBase64 } from "../codec/base64.ts";
import { type Connection, parseConnection } from "../codec/connection.ts";
import type { Entry } from "./effects.ts";
import { REGISTRATION_ID } from "./pattern.ts";
import * as schema from "./schema.ts";
import { type FileText, listed, oneOf, secretOf } from "./secret.ts";
import type { Certificate, EndpointSettings, EndpointType } from "./settings.ts";
import { Sheet } from "./sheet.ts";
import { allowed, fault } from "./value.ts";

export type { FileText } from "./secret.ts";

const KEY_PLACE = "key";
const CONNECTION_KEYS = ["connection-string", "connection-string-file"];
const ENROLLED_KEYS = ["symmetric-key", "symmetric-key-file", "group-key-file"];
const GROUP_FILE = "group-key-file";
const CERTIFICATE_FILES = ["certificate-file", "private-key-file"];
const OWNER_FILE = "owner-password-file";
const ENDORSEMENT_FILE = "endorsement-password-file";
const SECRET_FILES = [
  ["endpoint", "connection-string-file"],
  ["endpoint", "symmetric-key-file"],
  ["endpoint", GROUP_FILE],
  ["endpoint", OWNER_FILE],
  ["endpoint", ENDORSEMENT_FILE],
  ["network", "proxy-password-file"],
] as const;
const REGISTERED: readonly EndpointType[] = ["tpm", "symmetric-key", "x509"];
/** Keys that only some types understand; those with a default do no harm beside the others. */
const OWNERS: readonly (readonly [readonly string[], readonly EndpointType[]])[] = [
  [CONNECTION_KEYS, ["sas", "x509"]],
  [[KEY_PLACE], ["sas"]],
  [["id-scope", "registration-id"], REGISTERED],
  [ENROLLED_KEYS, ["symmetric-key"]],
  [CERTIFICATE_FILES, ["x509"]],
  [[OWNER_FILE, ENDORSEMENT_FILE], ["tpm"]],
];
/** What is known of hub and device before DPS has told. */
const NO_CONNECTION = { hostName: "", host: "", port: 0, deviceId: "", moduleId: "", key: "" };
/** Longest password of a hierarchy (TPM 2.0 Library, part 2, 10.4.5: size of the digest). */
const PASSWORD_BYTES_MAX = 64;
/** Keys that DPS takes (azure-docs, iot-dps, concepts-symmetric-key-attestation). */
const KEY_BYTES_MIN = 16;
const KEY_BYTES_MAX = 64;

/** Of a common name that is told; longer ones no authority gives (RFC 5280, ub-common-name). */
const NAME_CHARS_MAX = 64;
const NAME_WORDS = "letters, digits, -, ., _ or :, the last a letter, digit or -";

/** Paths of the files that `validate` needs to see; the caller reads them beforehand. */
export function filesWanted(entries: readonly Entry[]): readonly string[] {
  const sheet = new Sheet(entries, []);
  const paths = SECRET_FILES.map(([section, key]) => sheet.text(section, key));
  return [...new Set(paths)].filter((path) => path !== "");
}

/** The endpoint, or undefined when it cannot be told; what is wrong is added to the sheet. */
export function endpointOf(
  sheet: Sheet,
  fileOf: (path: string) => FileText,
): EndpointSettings | undefined {
  const type = sheet.text("endpoint", "type").toLowerCase() as EndpointType;
  refuseStrangers(sheet, type);
  const isRegistered = type === "x509" ? isAtDps(sheet) : REGISTERED.includes(type);
  const dps = dpsOf(sheet, type, isRegistered);
  const enrolled = type === "symmetric-key" ? enrolledKeyOf(sheet, fileOf) : undefined;
  if (type === "x509") demand(sheet, CERTIFICATE_FILES);
  const tpm = tpmOf(sheet, fileOf);
  const isSealed = type === "sas" && sheet.text("endpoint", KEY_PLACE).toLowerCase() === "tpm";
  const connection = isRegistered ? NO_CONNECTION : connectionOf(sheet, type, isSealed, fileOf);
  if (connection === undefined) return undefined;
  const isOverridden = sheet.entry("endpoint", "mqtt-port") !== undefined;
  return {
    type,
    hubName: connection.hostName,
    host: connection.host,
    mqttPort:
      connection.port > 0 && !isOverridden
        ? connection.port
        : sheet.number("endpoint", "mqtt-port"),
    httpsPort: sheet.number("endpoint", "https-port"),
    deviceId: connection.deviceId,
    moduleId: connection.moduleId,
    key: enrolled ?? connection.key,
    isSealed,
    isGroup: sheet.entry("endpoint", GROUP_FILE) !== undefined,
    certificateFile: sheet.text("endpoint", "certificate-file"),
    privateKeyFile: sheet.text("endpoint", "private-key-file"),
    certificate: undefined,
    caFile: sheet.text("endpoint", "ca-file"),
    keepAliveS: sheet.number("endpoint", "keep-alive"),
    modelId: sheet.text("endpoint", "model-id"),
    ...dps,
    ...tpm,
  };
}

/** Reports keys that the type does not understand. */
function refuseStrangers(sheet: Sheet, type: EndpointType): void {
  for (const [names, types] of OWNERS) {
    if (types.includes(type)) continue;
    for (const name of names) {
      if (sheet.entry("endpoint", name) === undefined) continue;
      const text = `does not go with type ${type}; allowed: with type ${listed(types, "or")}`;
      sheet.add("endpoint", name, text);
    }
  }
}

/**
 * An endpoint of type x509 with what its certificate says. DPS takes a certificate only for the
 * registration id that is its common name (azure-docs, iot-dps, concepts-x509-attestation).
 */
export function certified(
  endpoint: EndpointSettings,
  certificate: Certificate,
): EndpointSettings | { readonly key: string; readonly problem: string } {
  const { idScope, registrationId } = endpoint;
  if (idScope === "") return { ...endpoint, certificate };
  const { commonName } = certificate;
  const name = `"${commonName.replace(/[^ -~]/g, "?").slice(0, NAME_CHARS_MAX)}"`;
  if (fault(REGISTRATION_ID, commonName) !== "") {
    const problem = `the common name ${name} of the certificate can be no registration id`;
    return { key: "certificate-file", problem: `${problem}; allowed: ${NAME_WORDS}` };
  }
  if (!["", commonName.toLowerCase()].includes(registrationId.toLowerCase())) {
    const problem = `is not the common name ${name} of the certificate; allowed: that, or no name`;
    return { key: "registration-id", problem };
  }
  return { ...endpoint, certificate, registrationId: commonName };
}

/** Whether a certificate is for DPS or for the hub of a connection string; both is reported. */
function isAtDps(sheet: Sheet): boolean {
  const isDirect = CONNECTION_KEYS.some((name) => sheet.entry("endpoint", name) !== undefined);
  if (!isDirect) return true;
  const isBoth = sheet.entry("endpoint", "id-scope") !== undefined;
  if (isBoth) oneOf(sheet, ["id-scope", ...CONNECTION_KEYS]);
  if (sheet.entry("endpoint", "registration-id") !== undefined) {
    const text = "does not go with a connection string; allowed: with id-scope";
    sheet.add("endpoint", "registration-id", text);
  }
  return false;
}

function dpsOf(sheet: Sheet, type: EndpointType, isRegistered: boolean) {
  // Endorsement keys and certificates give a name, a key gives none.
  const needed = type === "symmetric-key" ? ["id-scope", "registration-id"] : ["id-scope"];
  if (isRegistered) demand(sheet, needed);
  const registrationId = sheet.text("endpoint", "registration-id");
  // Of a group the id is what our key is derived from, and DPS knows it in lower case.
  const isGroup = sheet.entry("endpoint", GROUP_FILE) !== undefined;
  return {
    dpsHost: sheet.text("endpoint", "dps-host"),
    dpsPort: sheet.number("endpoint", "dps-port"),
    idScope: isRegistered ? sheet.text("endpoint", "id-scope") : "",
    registrationId: isGroup ? registrationId.toLowerCase() : registrationId,
  };
}

/** Reports those of the keys that are missing. */
function demand(sheet: Sheet, names: readonly string[]): void {
  for (const name of names) {
    if (!sheet.isMissing("endpoint", name)) continue;
    const words = allowed(schema.keyOf("endpoint", name)!.value);
    sheet.add("endpoint", name, `is missing; allowed: ${words}`);
  }
}

/** The settings of type tpm; those of other types have them too, and nobody looks at them. */
function tpmOf(sheet: Sheet, fileOf: (path: string) => FileText) {
  return {
    tpm: sheet.text("endpoint", "tpm"),
    isHidden: sheet.isTrue("endpoint", "tpm-parameter-encryption"),
    ownerPassword: passwordOf(sheet, OWNER_FILE, fileOf),
    endorsementPassword: passwordOf(sheet, ENDORSEMENT_FILE, fileOf),
  };
}

/** The password in the file that a key names; "" without one. */
function passwordOf(sheet: Sheet, key: string, fileOf: (path: string) => FileText): string {
  if (!sheet.isSound("endpoint", key)) return "";
  const content = fileOf(sheet.text("endpoint", key));
  if ("problem" in content) {
    sheet.add("endpoint", key, content.problem);
    return "";
  }
  const bytes = new TextEncoder().encode(content.text).length;
  if (bytes > PASSWORD_BYTES_MAX) {
    const rule = `allowed: up to ${PASSWORD_BYTES_MAX}`;
    sheet.add("endpoint", key, `the password in that file is ${bytes} bytes long; ${rule}`);
  }
  return content.text;
}

/** The key of an enrollment, or of its group; undefined when there is no sound one. */
function enrolledKeyOf(sheet: Sheet, fileOf: (path: string) => FileText): string | undefined {
  const secret = secretOf(sheet, ENROLLED_KEYS, fileOf);
  if (secret === undefined) return undefined;
  const bytes = decodeBase64(secret.text);
  const isSound =
    bytes !== undefined && bytes.length >= KEY_BYTES_MIN && bytes.length <= KEY_BYTES_MAX;
  if (isSound) return secret.text;
  const words = allowed(schema.keyOf("endpoint", ENROLLED_KEYS[0]!)!.value);
  const text = `${secret.where}is no key${bytes === undefined ? "" : " of a sound length"}`;
  sheet.add("endpoint", secret.name, `${text}; allowed: ${words}`);
  return undefined;
}

/** The connection string, from whichever of the two keys is given. */
function connectionOf(
  sheet: Sheet,
  type: EndpointType,
  isSealed: boolean,
  fileOf: (path: string) => FileText,
): Connection | undefined {
  const secret = secretOf(sheet, CONNECTION_KEYS, fileOf);
  if (secret === undefined) return undefined;
  const { name, text, where } = secret;
  // A key that is still in the other file: azimuth seal was cut off between the two.
  const connection = parseConnection(text, isSealed);
  if ("problem" in connection) {
    sheet.add("endpoint", name, `${where}${connection.problem}`);
    return undefined;
  }
  if (isSealed && name === CONNECTION_KEYS[0] && connection.key !== "") {
    const beside = `${KEY_PLACE} = tpm of line ${sheet.line("endpoint", KEY_PLACE)}`;
    const problem = `holds SharedAccessKey beside ${beside}; allowed: one of them (azimuth seal)`;
    sheet.add("endpoint", name, problem);
  }
  if (connection.x509 === (type === "x509")) return connection;
  const problem = connection.x509
    ? "x509=true goes with type x509; allowed: a connection string with SharedAccessKey"
    : "SharedAccessKey does not go with type x509; allowed: a connection string with x509=true";
  sheet.add("endpoint", name, `${where}${problem}`);
  return undefined;
}
