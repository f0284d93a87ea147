// Pattern: the forms of names and addresses that a settings file may hold.
// Neighbours: `schema` gives them to its keys; `value` checks a text against one.
// Invariant: a form and its words say the same.

import { PLACE_WORDS, parsePlace } from "./place.ts";
import { Kind, PATH_BYTES_MAX, type Value } from "./value.ts";

// Digital Twins Definition Language, "Digital Twin Model Identifier".
export const MODEL_ID: Value = {
  kind: Kind.TEXT,
  shape: /^(?=.{1,128}$)dtmi(:[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?)+;[1-9]\d{0,8}(\.[1-9]\d{0,5})?$/,
  words: "a model id like dtmi:com:example:gateway;1",
};

// azure-docs, iot-dps, "concepts-service": id scope; registration id.
export const ID_SCOPE: Value = {
  kind: Kind.TEXT,
  shape: /^[A-Za-z0-9]{1,64}$/,
  words: "letters and digits like 0ne00012AB3, as the portal shows it",
};

export const REGISTRATION_ID: Value = {
  kind: Kind.TEXT,
  shape: /^[A-Za-z0-9._:-]{0,127}[A-Za-z0-9-]$/,
  words: "mac, or up to 128 letters, digits, -, ., _ or :, the last a letter, digit or -",
};

export const HOST: Value = {
  kind: Kind.TEXT,
  shape: /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/,
  words: "a host name",
};

export const TPM: Value = {
  kind: Kind.TEXT,
  shape: { test: (text) => parsePlace(text) !== undefined },
  words: PLACE_WORDS,
};

/** Not shown in messages: in spite of its words it may hold a password. */
export const PROXY: Value = { kind: Kind.SECRET, words: "http://HOST:PORT" };

// RFC 7617, 2.
export const PROXY_USER: Value = {
  kind: Kind.TEXT,
  shape: /^[^\x00-\x1f\x7f:]{1,255}$/,
  words: "up to 255 characters, none of them a colon",
};

/** Highest GPIO line number taken; the kernel's own numbers stay far below (Linux, gpio.h). */
const GPIO_LINE_MAX = 65_535;

/** Rule for the name of a lamp, which is also its property in the twin. */
export const LAMP_NAME: Value = {
  kind: Kind.TEXT,
  shape: /^[A-Za-z][A-Za-z0-9_-]{0,31}$/,
  words: "a letter, then up to 31 letters, digits, _ or -",
};

/** Names that mean something else in a twin or in what the agent reports of itself. */
export const LAMP_NAMES_RESERVED: readonly string[] = [
  "agent",
  "desired",
  "diagnosis",
  "properties",
  "reported",
  "sequence",
  "tags",
  "telemetry",
  "time",
  "uptimeS",
  "value",
];

/** What the target of a lamp may be, by its driver. */
export const TARGETS: Readonly<Record<"leds" | "sysfs" | "file", Value>> = {
  leds: {
    kind: Kind.TEXT,
    shape: /^(?!\.{1,2}$)[!-.0-~]{1,255}$/,
    words: "the name of a directory in /sys/class/leds",
  },
  sysfs: { kind: Kind.INTEGER, min: 0, max: GPIO_LINE_MAX, unit: "" },
  file: { kind: Kind.PATH, bytesMax: PATH_BYTES_MAX },
};
