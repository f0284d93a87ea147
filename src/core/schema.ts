// Schema: every section and key of the settings file, in one table.
// Neighbours: `key` says what a row holds, `value` knows the kinds; `sheet` and `validate` check a
// file against this table; `conf/azimuth.ini` is its printed form, compared with it by
// `test/conf.test.ts`.
// Invariant: every fallback is an allowed value of its key.

import { KEEP_ALIVE_S_DEFAULT, KEEP_ALIVE_S_MAX, KEEP_ALIVE_S_MIN } from "../limits.ts";
import { CARE_KEYS } from "./care.ts";
import { DELIVERY_KEYS } from "./delivery.ts";
import { Applies, BOOLEAN, choices, integer, type Key, PATH, PORT } from "./key.ts";
import { HOST, ID_SCOPE, MODEL_ID, PROXY, PROXY_USER, REGISTRATION_ID, TPM } from "./pattern.ts";
import { PROOF_KEYS } from "./proof.ts";
import { allowed, Kind, SOCKET_PATH_BYTES_MAX, type Value } from "./value.ts";

export { Applies, type Key } from "./key.ts";
export { LAMP_NAME, LAMP_NAMES_RESERVED, TARGETS } from "./pattern.ts";

/** Section of a lamp in the table; in a file NAME is the lamp's own. */
export const LAMP_SECTION = "led.NAME";
/** What every lamp's section begins with. */
export const LAMP_PREFIX = "led.";

const CONNECTION: Value = {
  kind: Kind.SECRET,
  words: "HostName=NAME;DeviceId=ID;SharedAccessKey=KEY, as the hub shows it for the device",
};

const TARGET: Value = {
  kind: Kind.TEXT,
  shape: /^[ -~]+$/,
  words: "for leds a name in /sys/class/leds, for sysfs a line number, for file an absolute path",
};

/** The table; sections and keys in the order of `conf/azimuth.ini`. */
export const KEYS: readonly Key[] = [
  {
    section: "endpoint",
    name: "type",
    value: choices("sas", "tpm", "symmetric-key", "x509"),
    fallback: "sas",
    applies: Applies.RESTART,
    meaning:
      "How the device proves who it is; sas: with the shared key of its connection string, " +
      "tpm: with a key in its TPM, which DPS gives it, symmetric-key: with the key of its " +
      "enrollment at DPS, x509: with a certificate, at DPS or at the hub.",
  },
  {
    section: "endpoint",
    name: "connection-string",
    value: CONNECTION,
    fallback: "",
    applies: Applies.RESTART,
    meaning:
      "For sas: the device's connection string, give exactly one of this and the next key; for " +
      "x509 in place of id-scope, with x509=true in place of SharedAccessKey.",
  },
  {
    section: "endpoint",
    name: "connection-string-file",
    value: PATH,
    fallback: "",
    applies: Applies.RESTART,
    meaning: "File that holds the connection string and nothing else; owned by azimuth, mode 0600.",
  },
  {
    section: "endpoint",
    name: "key",
    value: choices("connection-string", "tpm"),
    fallback: "connection-string",
    applies: Applies.RESTART,
    meaning:
      "For sas: where the device's key is; connection-string: there, " +
      "tpm: in the TPM, where azimuth seal puts it, and not in the connection string.",
  },
  {
    section: "endpoint",
    name: "id-scope",
    value: ID_SCOPE,
    fallback: "",
    applies: Applies.RESTART,
    meaning:
      "For tpm, symmetric-key and x509: ID scope of the Device Provisioning Service; needed " +
      "there, but for x509 with a connection string.",
  },
  {
    section: "endpoint",
    name: "registration-id",
    value: REGISTRATION_ID,
    fallback: "",
    applies: Applies.RESTART,
    meaning:
      "With id-scope: name of the enrollment; mac for the MAC address of the first network " +
      "interface; left out it is for tpm the name that Microsoft's clients make of the " +
      "endorsement key, for x509 the certificate's common name.",
  },
  {
    section: "endpoint",
    name: "dps-host",
    value: HOST,
    fallback: "global.azure-devices-provisioning.net",
    applies: Applies.RESTART,
    meaning: "With id-scope: host of the Device Provisioning Service.",
  },
  {
    section: "endpoint",
    name: "dps-port",
    value: PORT,
    fallback: "443",
    applies: Applies.RESTART,
    meaning: "With id-scope: HTTPS port of the Device Provisioning Service.",
  },
  ...PROOF_KEYS,
  {
    section: "endpoint",
    name: "tpm",
    value: TPM,
    fallback: "/dev/tpmrm0",
    applies: Applies.RESTART,
    meaning: "For tpm, and for sas with key = tpm: where the TPM is.",
  },
  {
    section: "endpoint",
    name: "tpm-parameter-encryption",
    value: BOOLEAN,
    fallback: "true",
    applies: Applies.RESTART,
    meaning:
      "For tpm: hide keys from whoever listens on the TPM's bus, which makes a registration " +
      "a little slower.",
  },
  {
    section: "endpoint",
    name: "owner-password-file",
    value: PATH,
    fallback: "",
    applies: Applies.RESTART,
    meaning: "For tpm: file that holds the password of the TPM's owner hierarchy, if it has one.",
  },
  {
    section: "endpoint",
    name: "endorsement-password-file",
    value: PATH,
    fallback: "",
    applies: Applies.RESTART,
    meaning:
      "For tpm: file that holds the password of the TPM's endorsement hierarchy, if it has one.",
  },
  {
    section: "endpoint",
    name: "ca-file",
    value: PATH,
    fallback: "",
    applies: Applies.RESTART,
    meaning: "PEM file of trusted roots in place of those that Azure publishes for its hubs.",
  },
  {
    section: "endpoint",
    name: "mqtt-port",
    value: PORT,
    fallback: "8883",
    applies: Applies.RESTART,
    meaning: "Port of MQTT over TLS; given here, it overrides one in the connection string.",
  },
  {
    section: "endpoint",
    name: "https-port",
    value: PORT,
    fallback: "443",
    applies: Applies.RESTART,
    meaning:
      "Port of the hub's HTTPS side: for MQTT over WebSocket, and asked to find out why " +
      "a connection was refused.",
  },
  {
    section: "endpoint",
    name: "keep-alive",
    value: integer(KEEP_ALIVE_S_MIN, KEEP_ALIVE_S_MAX, "seconds"),
    fallback: String(KEEP_ALIVE_S_DEFAULT),
    applies: Applies.RESTART,
    meaning: "Longest silence towards the hub, which hangs up after one and a half times as long.",
  },
  {
    section: "endpoint",
    name: "model-id",
    value: MODEL_ID,
    fallback: "",
    applies: Applies.RESTART,
    meaning: "IoT Plug and Play model that the device announces.",
  },
  {
    section: "network",
    name: "transport",
    value: choices("mqtts", "wss", "auto"),
    fallback: "auto",
    applies: Applies.RESTART,
    meaning:
      "How the hub is reached; mqtts: MQTT over TLS, port 8883, wss: MQTT over WebSocket, " +
      "port 443, auto: by mqtts, and by wss where a site blocks that.",
  },
  {
    section: "network",
    name: "proxy",
    value: PROXY,
    fallback: "",
    applies: Applies.RESTART,
    meaning:
      "HTTP proxy that hub and DPS are reached through; where it ends silent connections, " +
      "set keep-alive below its time.",
  },
  {
    section: "network",
    name: "proxy-user",
    value: PROXY_USER,
    fallback: "",
    applies: Applies.RESTART,
    meaning: "User name at the proxy.",
  },
  {
    section: "network",
    name: "proxy-password-file",
    value: PATH,
    fallback: "",
    applies: Applies.RESTART,
    meaning: "File that holds the password at the proxy; owned by azimuth, mode 0600.",
  },
  ...DELIVERY_KEYS,
  {
    section: LAMP_SECTION,
    name: "driver",
    value: choices("leds", "sysfs", "file"),
    fallback: null,
    applies: Applies.AT_ONCE,
    meaning:
      "How the pin is reached; leds: the kernel's LED class, sysfs: a GPIO line by number, " +
      "file: a plain file, for trying things out.",
  },
  {
    section: LAMP_SECTION,
    name: "target",
    value: TARGET,
    fallback: null,
    applies: Applies.AT_ONCE,
    meaning: "Which pin it is.",
  },
  {
    section: LAMP_SECTION,
    name: "active",
    value: choices("high", "low"),
    fallback: "high",
    applies: Applies.AT_ONCE,
    meaning: "Level that lights the lamp.",
  },
  {
    section: LAMP_SECTION,
    name: "initial",
    value: choices("off", "on"),
    fallback: "off",
    applies: Applies.AT_ONCE,
    meaning: "State of the lamp until the twin says otherwise.",
  },
  ...CARE_KEYS,
  {
    section: "agent",
    name: "control-socket",
    value: { kind: Kind.PATH, bytesMax: SOCKET_PATH_BYTES_MAX },
    fallback: "/run/azimuth/control.sock",
    applies: Applies.RESTART,
    meaning: "Unix socket on which azimuth status, connect, led and the like reach the agent.",
  },
  {
    section: "agent",
    name: "state-dir",
    value: PATH,
    fallback: "/var/lib/azimuth",
    applies: Applies.RESTART,
    meaning: "Folder for what outlives a restart: messages that wait, and what DPS decided.",
  },
  {
    section: "agent",
    name: "log-level",
    value: choices("error", "warning", "notice", "info", "debug"),
    fallback: "info",
    applies: Applies.AT_ONCE,
    meaning: "Least important messages that are still logged.",
  },
];

/** The sections of the table, each once, in its order. */
export const SECTIONS: readonly string[] = [...new Set(KEYS.map((key) => key.section))];

/** The row of the table that a section of a file is held against: `led.LED1` -> `led.NAME`. */
export function patternOf(section: string): string {
  return section.startsWith(LAMP_PREFIX) ? LAMP_SECTION : section;
}

/** The key `name` of a section as written in a file, or undefined. */
export function keyOf(section: string, name: string): Key | undefined {
  const pattern = patternOf(section);
  return KEYS.find((key) => key.section === pattern && key.name === name);
}

/** All keys of a section as written in a file, in the table's order. */
export function keysOf(section: string): readonly Key[] {
  const pattern = patternOf(section);
  return KEYS.filter((key) => key.section === pattern);
}

const APPLIES: Record<Applies, string> = {
  [Applies.AT_ONCE]: "",
  [Applies.RESTART]: "; wants a restart",
};

/** What is allowed, the default, and what a change costs beyond a reload, in one sentence. */
export function facts(key: Key): string {
  const absent = key.fallback === null ? "required" : "may be left out";
  const standard = key.fallback ? `default ${key.fallback}` : absent;
  return `Allowed: ${allowed(key.value)}; ${standard}${APPLIES[key.applies]}.`;
}
