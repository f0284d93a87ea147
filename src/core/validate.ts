// Validate: from the entries of a settings file to Settings, or to all that is wrong with them.
// Neighbours: `sheet` checks each entry by itself, `codec/connection` reads the connection string;
// `main` and `azimuth check` call it and print problems with `formatProblem`.
// Invariant: pure; all problems at once, by line; no text of a problem holds a secret.

import { type Connection, parseConnection } from "../codec/connection.ts";
import { type Entry, Level, type Problem } from "./effects.ts";
import * as schema from "./schema.ts";
import type { EndpointSettings, LampSettings, Settings } from "./settings.ts";
import { Sheet } from "./sheet.ts";
import { allowed, fault, shown } from "./value.ts";

/** What a file named in the settings holds, or one line that says why it could not be read. */
export type FileText = { readonly text: string } | { readonly problem: string };

/** The outcome: settings that need no further checks, or what is wrong, sorted by line. */
export type Validated = { readonly settings: Settings } | { readonly problems: readonly Problem[] };

const SECRET_FILE = "connection-string-file";
const SECRET_TEXT = "connection-string";

const OWNER_FILE = "owner-password-file";
const ENDORSEMENT_FILE = "endorsement-password-file";
const FILE_KEYS = [SECRET_FILE, OWNER_FILE, ENDORSEMENT_FILE];
/** Keys that only one type understands; those with a default do no harm beside the other. */
const SAS_KEYS = [SECRET_TEXT, SECRET_FILE];
const TPM_KEYS = ["id-scope", "registration-id", OWNER_FILE, ENDORSEMENT_FILE];
/** What type tpm knows of hub and device before DPS has told. */
const NO_CONNECTION = { hostName: "", host: "", port: 0, deviceId: "", moduleId: "", key: "" };
const PORT_MAX = 65_535;
/** Longest password of a hierarchy (TPM 2.0 Library, part 2, 10.4.5: size of the digest). */
const PASSWORD_BYTES_MAX = 64;

const LEVELS: Record<string, Level> = {
  error: Level.ERROR,
  warning: Level.WARNING,
  notice: Level.NOTICE,
  info: Level.INFO,
  debug: Level.DEBUG,
};

/** Paths of the files that `validate` needs to see; the caller reads them beforehand. */
export function filesWanted(entries: readonly Entry[]): readonly string[] {
  const sheet = new Sheet(entries, []);
  const paths = FILE_KEYS.map((key) => sheet.text("endpoint", key));
  return [...new Set(paths)].filter((path) => path !== "");
}

/**
 * Checks a whole settings file.
 * @param entries what the reader of the file found
 * @param problems what the reader found wrong; they come back among the problems
 * @param fileOf answers for each of {@link filesWanted}
 */
export function validate(
  entries: readonly Entry[],
  problems: readonly Problem[],
  fileOf: (path: string) => FileText,
): Validated {
  const sheet = new Sheet(entries, problems);
  const endpoint = endpointOf(sheet, fileOf);
  const lamps = lampsOf(sheet);
  if (sheet.problems.length > 0 || endpoint === undefined) {
    return { problems: [...sheet.problems].sort((a, b) => a.line - b.line) };
  }
  const settings: Settings = {
    endpoint,
    data: {
      autoOnStartup: sheet.isTrue("data", "connect.auto-on-startup"),
      retryIntervalS: sheet.number("data", "connect.retry-interval"),
      quiesceTimeoutS: sheet.number("data", "disconnect.quiesce-timeout"),
      inFlightMax: sheet.number("data", "in-flight-messages.max-number"),
    },
    telemetry: { intervalS: sheet.number("telemetry", "interval") },
    lamps,
    agent: {
      controlSocket: sheet.text("agent", "control-socket"),
      logLevel: LEVELS[sheet.text("agent", "log-level").toLowerCase()]!,
      stateFolder: sheet.text("agent", "state-dir"),
    },
  };
  return { settings };
}

/** One line for a person: `file:line: [section] key: problem; allowed: …`. */
export function formatProblem(file: string, problem: Problem): string {
  const place = problem.line === 0 ? file : `${file}:${problem.line}`;
  const section = problem.section === "" ? "" : ` [${bare(problem.section)}]`;
  const key = problem.key === "" ? "" : ` ${bare(problem.key)}`;
  const where = section === "" && key === "" ? "" : `${section}${key}:`;
  return `${place}:${where} ${problem.text}`;
}

/** A name as it was written, unless it could be a secret put in the wrong place. */
function bare(name: string): string {
  const text = shown(name);
  return text === `"${name}"` ? name : text;
}

function endpointOf(
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
  const connection = isTpm ? NO_CONNECTION : connectionOf(sheet, fileOf);
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
  const tpm = sheet.text("endpoint", "tpm");
  const port = Number(/^swtpm:[^/]*:([0-9]+)$/.exec(tpm)?.[1] ?? 1);
  if (port > PORT_MAX) sheet.add("endpoint", "tpm", `no such port; allowed: port 1 .. ${PORT_MAX}`);
  return {
    dpsHost: sheet.text("endpoint", "dps-host"),
    dpsPort: sheet.number("endpoint", "dps-port"),
    idScope: sheet.text("endpoint", "id-scope"),
    registrationId: sheet.text("endpoint", "registration-id"),
    tpm,
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
function connectionOf(sheet: Sheet, fileOf: (path: string) => FileText): Connection | undefined {
  const inline = sheet.entry("endpoint", SECRET_TEXT);
  const file = sheet.entry("endpoint", SECRET_FILE);
  const rule = `allowed: exactly one of ${SECRET_TEXT} and ${SECRET_FILE}`;
  if (inline !== undefined && file !== undefined) {
    const [first, second] = inline.line < file.line ? [inline, file] : [file, inline];
    const text = `cannot stand beside ${first.key} of line ${first.line}; ${rule}`;
    sheet.add("endpoint", second.key, text);
    return undefined;
  }
  if (inline !== undefined) return parsed(sheet, SECRET_TEXT, inline.value, "");
  if (file === undefined) {
    const isMissing =
      sheet.isMissing("endpoint", SECRET_TEXT) && sheet.isMissing("endpoint", SECRET_FILE);
    if (isMissing) sheet.add("endpoint", SECRET_TEXT, `is missing; ${rule}`);
    return undefined;
  }
  if (!sheet.isSound("endpoint", SECRET_FILE)) return undefined;
  const content = fileOf(file.value);
  if ("text" in content) return parsed(sheet, SECRET_FILE, content.text, "in that file ");
  sheet.add("endpoint", SECRET_FILE, content.problem);
  return undefined;
}

function parsed(sheet: Sheet, key: string, text: string, where: string): Connection | undefined {
  const connection = parseConnection(text.trim());
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

function lampsOf(sheet: Sheet): readonly LampSettings[] {
  const lamps: LampSettings[] = [];
  const owners = new Map<string, string>();
  for (const section of sheet.lamps) {
    requireKeys(sheet, section);
    const lamp = lampOf(sheet, section);
    lamps.push(lamp);
    if (lamp.target === "" || !sheet.isSound(section, "driver")) continue;
    const text = targetFault(lamp);
    const pin = `${lamp.driver} ${lamp.target}`;
    const owner = owners.get(pin);
    if (text !== "") sheet.add(section, "target", text);
    else if (owner !== undefined) {
      sheet.add(section, "target", `is the pin of [${owner}] too; allowed: one lamp for each pin`);
    }
    owners.set(pin, section);
  }
  return lamps;
}

function requireKeys(sheet: Sheet, section: string): void {
  for (const key of schema.keysOf(section)) {
    if (key.fallback !== null || !sheet.isMissing(section, key.name)) continue;
    sheet.add(section, key.name, `is missing; allowed: ${allowed(key.value)}`);
  }
}

function lampOf(sheet: Sheet, section: string): LampSettings {
  return {
    name: section.slice(schema.LAMP_PREFIX.length),
    driver: sheet.text(section, "driver").toLowerCase() as LampSettings["driver"],
    target: sheet.text(section, "target"),
    activeLow: sheet.text(section, "active").toLowerCase() === "low",
    initial: sheet.text(section, "initial").toLowerCase() === "on",
  };
}

/** What is wrong with the target for its driver; "" when nothing is. */
function targetFault(lamp: LampSettings): string {
  const value = schema.TARGETS[lamp.driver];
  const text = fault(value, lamp.target);
  return text === "" ? "" : `${text} for driver ${lamp.driver}; allowed: ${allowed(value)}`;
}
