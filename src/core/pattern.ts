// Pattern: the forms of names and addresses that a settings file may hold.
// Neighbours: `schema` gives them to its keys; `value` checks a text against one.
// Invariant: a form and its words say the same.

import { PLACE_WORDS, parsePlace } from "./place.ts";
import { Kind, type Value } from "./value.ts";

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
