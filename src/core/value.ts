// Value: the kinds of values that a settings file may hold: what is allowed, in words and in fact.
// Neighbours: `schema` gives each key its kind, `sheet` checks what was written against it.
// Invariant: no message repeats a value that could be, or hold, a secret.

/** What sort of value a key takes. */
export enum Kind {
  BOOLEAN,
  INTEGER,
  PORT,
  CHOICE,
  TEXT,
  PATH,
  SECRET,
}

/** A kind with its bounds. */
export type Value =
  | { readonly kind: Kind.BOOLEAN }
  | {
      readonly kind: Kind.INTEGER;
      /** Unit in words, e.g. "seconds"; "" for a plain number. */
      readonly unit: string;
      readonly min: number;
      readonly max: number;
    }
  | { readonly kind: Kind.PORT }
  | { readonly kind: Kind.CHOICE; readonly choices: readonly string[] }
  | {
      readonly kind: Kind.TEXT;
      /** Full match for an allowed text, and the same in words. */
      readonly shape: Pick<RegExp, "test">;
      readonly words: string;
    }
  | { readonly kind: Kind.PATH; readonly bytesMax: number }
  | { readonly kind: Kind.SECRET; readonly words: string };

/** Longest path on Linux without its final NUL (PATH_MAX, limits.h). */
export const PATH_BYTES_MAX = 4095;
/** Longest path of a Unix socket without its final NUL (sun_path, unix(7)). */
export const SOCKET_PATH_BYTES_MAX = 107;

const TRUE_WORDS = ["1", "yes", "y", "on", "enable", "enabled"];
const FALSE_WORDS = ["0", "no", "n", "off", "disable", "disabled"];
const SHOWN_CHARS_MAX = 40;
// A run this long of letters and digits may be a key; no word of ours is as long.
const KEY_LIKE = /[A-Za-z0-9+/=]{20}|[^ -~]/;
// A connection string or a token in part or whole, or a bare key: base64 may begin like a path.
const SECRET_WITHIN = /SharedAccessKey\s*=|SharedAccessSignature|^[A-Za-z0-9+/]{40,}={1,2}$/i;

/** What may be written, in words; the end of a message and part of `conf/azimuth.ini`. */
export function allowed(value: Value): string {
  switch (value.kind) {
    case Kind.BOOLEAN:
      return "true or false";
    case Kind.INTEGER:
      return `${value.min} .. ${value.max}${value.unit === "" ? "" : ` ${value.unit}`}`;
    case Kind.PORT:
      return "port 1 .. 65535";
    case Kind.CHOICE:
      return value.choices.length === 1
        ? value.choices[0]!
        : `${value.choices.slice(0, -1).join(", ")} or ${value.choices.at(-1)}`;
    case Kind.TEXT:
    case Kind.SECRET:
      return value.words;
    case Kind.PATH:
      return value.bytesMax < PATH_BYTES_MAX
        ? `an absolute path of at most ${value.bytesMax} bytes`
        : "an absolute path";
  }
}

/** What is wrong with `text` as such a value; "" when nothing is. Never shows a secret. */
export function fault(value: Value, text: string): string {
  if (text === "") return "is empty";
  if (value.kind !== Kind.SECRET && SECRET_WITHIN.test(text)) {
    return "holds a key, which is not shown and belongs in connection-string or symmetric-key";
  }
  switch (value.kind) {
    case Kind.BOOLEAN:
      return booleanFault(text);
    case Kind.INTEGER:
      return integerFault(text, value.min, value.max, value.unit);
    case Kind.PORT:
      return integerFault(text, 1, 65_535, "");
    case Kind.CHOICE:
      return choice(value.choices, text) === "" ? `${shown(text)} is not one of them` : "";
    case Kind.TEXT:
      return value.shape.test(text) ? "" : `${shown(text)} does not have the right form`;
    case Kind.PATH:
      return pathFault(text, value.bytesMax);
    case Kind.SECRET:
      return "";
  }
}

/** Whether a sound boolean is true. Case does not matter, as in most INI files. */
export function isTrue(text: string): boolean {
  return text.toLowerCase() === "true";
}

/** The choice meant by `text` whatever its case, "" for none. */
export function choice(choices: readonly string[], text: string): string {
  const lower = text.toLowerCase();
  return choices.find((each) => each === lower) ?? "";
}

/** A name or value in quotes for a message; in its place "(not shown)" if it could be a secret. */
export function shown(text: string): string {
  if (text.length > SHOWN_CHARS_MAX || KEY_LIKE.test(text)) return "(not shown)";
  return /[a-z0-9]=/i.test(text) ? "(not shown)" : `"${text}"`;
}

function booleanFault(text: string): string {
  const lower = text.toLowerCase();
  if (lower === "true" || lower === "false") return "";
  if (TRUE_WORDS.includes(lower)) return `${shown(text)} is not a boolean here, write true`;
  if (FALSE_WORDS.includes(lower)) return `${shown(text)} is not a boolean here, write false`;
  return `${shown(text)} is not a boolean`;
}

function integerFault(text: string, min: number, max: number, unit: string): string {
  if (!/^(0|-?[1-9][0-9]*)$/.test(text)) {
    const alone = /^[0-9]+ ?[a-z]+$/i.test(text) && unit !== "";
    const hint = alone ? `, write the number of ${unit} alone` : "";
    return `${shown(text)} is not a whole decimal number${hint}`;
  }
  const number = Number(text);
  if (number < min) return `${shown(text)} is too small`;
  return number > max ? `${shown(text)} is too large` : "";
}

function pathFault(text: string, bytesMax: number): string {
  if (!text.startsWith("/")) return "does not start with /";
  if (text.includes("\0")) return "holds a NUL";
  const bytes = new TextEncoder().encode(text).length;
  return bytes > bytesMax ? `is ${bytes} bytes long` : "";
}
