// Row: what the table of settings says about one key.
// Neighbours: `schema` is the table; `proof` has the rows that more than its own file would hold.
// Invariant: a row is data; nothing here knows which keys there are.

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

export const PATH: Value = { kind: Kind.PATH, bytesMax: PATH_BYTES_MAX };
