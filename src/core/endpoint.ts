// Endpoint: what section [endpoint] of the settings means: which type, and who we are there.
// Neighbours: `validate` calls it; `codec/connection` reads the connection string.
// Invariant: pure; no text of a problem holds a secret.

import { type Connection, parseConnection } from "../codec/connection.ts";
import type { Entry } from "./effects.ts";
import * as schema from "./schema.ts";
import type { EndpointSettings } from "./settings.ts";
import { Sheet } from "./sheet.ts";
import { allowed } from "./value.ts";

/** What a file named in the settings holds, or one line that says why it could not be read. */
export type FileText = { readonly text: string } | { readonly problem: string };

const SECRET_FILE = "connection-string-file";
const SECRET_TEXT = "connection-string";
const KEY_PLACE = "key";

const OWNER_FILE = "owner-password-file";
const ENDORSEMENT_FILE = "endorsement-password-file";
const FILE_KEYS = [
  ["endpoint", SECRET_FILE],
  ["endpoint", OWNER_FILE],
  ["endpoint", ENDORSEMENT_FILE],
  ["network", "proxy-password-file"],
] as const;
/** Keys that only one type understands; those with a default do no harm beside the other. */
const SAS_KEYS = [SECRET_TEXT, SECRET_FILE];
const TPM_KEYS = ["id-scope", "registration-id", OWNER_FILE, ENDORSEMENT_FILE];
/** What type tpm knows of hub and device before DPS has told. */
const NO_CONNECTION = { hostName: "", host: "", port: 0, deviceId: "", moduleId: "", key: "" };
/** Longest password of a hierarchy (TPM 2.0 Library, part 2, 10.4.5: size of the digest). */
const PASSWORD_BYTES_MAX = 64;

/** Paths of the files that `validate` needs to see; the caller reads them beforehand. */
export function filesWanted(entries: readonly Entry[]): readonly string[] {
  const sheet = new Sheet(entries, []);
  const paths = FILE_KEYS.map(([section, key]) => sheet.text(section, key));
  return [...new Set(paths)].filter((path) => path !== "");
}

/** The endpoint, or undefined when it cannot be told; what is wrong is added to the sheet. */
export function endpointOf(
  sheet: Sheet,
  fileOf: (path: string) => FileText,
): EndpointSettings | undefined {
  const isTpm = sheet.text("endpoint", "type").toLowerCase() === "tpm";
  const [type, other, strangers] = isTpm
    ? (["tpm", "sas", SAS_KEYS] as const)
    : (["sas", "tpm", TPM_KEYS] as const);
  for (const name of strangers) {
    if (sheet.entry("endpoint", name) === undefined) continue;
    sheet.add("endpoint", name, `does not go with type ${type}; allowed: with type ${other}`);
  }
  const tpm = tpmOf(sheet, isTpm, fileOf);
  const isSealed = !isTpm && sheet.text("endpoint", KEY_PLACE).toLowerCase() === "tpm";
  const connection = isTpm ? NO_CONNECTION : connectionOf(sheet, fileOf, isSealed);
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
    key: connection.key,
    isSealed,
    caFile: sheet.text("endpoint", "ca-file"),
    keepAliveS: sheet.number("endpoint", "keep-alive"),
    modelId: sheet.text("endpoint", "model-id"),
    ...tpm,
  };
}

/** The settings of type tpm; those of type sas have them too, and nobody looks at them. */
function tpmOf(sheet: Sheet, isTpm: boolean, fileOf: (path: string) => FileText) {
  if (isTpm && sheet.isMissing("endpoint", "id-scope")) {
    const words = allowed(schema.keyOf("endpoint", "id-scope")!.value);
    sheet.add("endpoint", "id-scope", `is missing; allowed: ${words}`);
  }
  return {
    dpsHost: sheet.text("endpoint", "dps-host"),
    dpsPort: sheet.number("endpoint", "dps-port"),
    idScope: sheet.text("endpoint", "id-scope"),
    registrationId: sheet.text("endpoint", "registration-id"),
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

/** The connection string, from whichever of the two keys is given. */
function connectionOf(
  sheet: Sheet,
  fileOf: (path: string) => FileText,
  isSealed: boolean,
): Connection | undefined {
  const inline = sheet.entry("endpoint", SECRET_TEXT);
  const file = sheet.entry("endpoint", SECRET_FILE);
  const rule = `allowed: exactly one of ${SECRET_TEXT} and ${SECRET_FILE}`;
  if (inline !== undefined && file !== undefined) {
    const [first, second] = inline.line < file.line ? [inline, file] : [file, inline];
    const text = `cannot stand beside ${first.key} of line ${first.line}; ${rule}`;
    sheet.add("endpoint", second.key, text);
    return undefined;
  }
  if (inline !== undefined) {
    const connection = parsed(sheet, SECRET_TEXT, inline.value, "", isSealed);
    if (isSealed && connection !== undefined && connection.key !== "") {
      const beside = `${KEY_PLACE} = tpm of line ${sheet.line("endpoint", KEY_PLACE)}`;
      const text = `holds SharedAccessKey beside ${beside}; allowed: one of them (azimuth seal)`;
      sheet.add("endpoint", SECRET_TEXT, text);
    }
    return connection;
  }
  if (file === undefined) {
    const isMissing =
      sheet.isMissing("endpoint", SECRET_TEXT) && sheet.isMissing("endpoint", SECRET_FILE);
    if (isMissing) sheet.add("endpoint", SECRET_TEXT, `is missing; ${rule}`);
    return undefined;
  }
  if (!sheet.isSound("endpoint", SECRET_FILE)) return undefined;
  const content = fileOf(file.value);
  // A key that is still in that file: azimuth seal was cut off between the two files.
  if ("text" in content) {
    return parsed(sheet, SECRET_FILE, content.text, "in that file ", isSealed);
  }
  sheet.add("endpoint", SECRET_FILE, content.problem);
  return undefined;
}

function parsed(
  sheet: Sheet,
  key: string,
  text: string,
  where: string,
  isSealed: boolean,
): Connection | undefined {
  const connection = parseConnection(text.trim(), isSealed);
  if ("problem" in connection) {
    sheet.add("endpoint", key, `${where}${connection.problem}`);
    return undefined;
  }
  if (connection.x509) {
    const hint = "allowed: a connection string with SharedAccessKey";
    sheet.add("endpoint", key, `${where}x509=true does not go with type sas; ${hint}`);
    return undefined;
  }
  return connection;
}
