// Key: what there is to say of one key of the settings file.
// Neighbours: `schema` has the table of them all; `delivery` and `proof` have parts of it.
// Invariant: a key's fallback is an allowed value of it.

import { Kind, PATH_BYTES_MAX, type Value } from "./value.ts";

/** When a changed value takes effect. */
export enum Applies {
  AT_ONCE,
  RESTART,
}

/** One key of the settings file. */
export interface Key {
  /** Section it belongs to; `led.NAME` stands for the section of any lamp. */
  readonly section: string;
  readonly name: string;
  readonly value: Value;
  /** Value when the key is left out, as written; "" for none, null when it must be given. */
  readonly fallback: string | null;
  readonly applies: Applies;
  /** One sentence. */
  readonly meaning: string;
}

export const BOOLEAN: Value = { kind: Kind.BOOLEAN };
export const PORT: Value = { kind: Kind.PORT };
export const PATH: Value = { kind: Kind.PATH, bytesMax: PATH_BYTES_MAX };

/** Whole numbers of a unit in words, "" for a plain number. */
export function integer(min: number, max: number, unit: string): Value {
  return { kind: Kind.INTEGER, min, max, unit };
}

/** One of some words. */
export function choices(...words: string[]): Value {
  return { kind: Kind.CHOICE, choices: words };
}
