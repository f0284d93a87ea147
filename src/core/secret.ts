// Secret: a secret of section [endpoint], which stands there or in a file of its own.
// Neighbours: `endpoint` asks for connection strings and keys.
// Invariant: of several places exactly one is used; no text of a problem holds the secret.

import type { Entry } from "./effects.ts";
import type { Sheet } from "./sheet.ts";

/** What a file named in the settings holds, or one line that says why it could not be read. */
export type FileText = { readonly text: string } | { readonly problem: string };

/** A secret and where it stands. */
export interface Secret {
  /** The key of the settings, to report problems at. */
  readonly name: string;
  readonly text: string;
  /** Words before a problem: "in that file " where it does not stand in the settings. */
  readonly where: string;
}

/** The secret from whichever of the keys is given; undefined when it cannot be had, as reported. */
export function secretOf(
  sheet: Sheet,
  names: readonly string[],
  fileOf: (path: string) => FileText,
): Secret | undefined {
  const entry = oneOf(sheet, names);
  if (entry === undefined || !sheet.isSound("endpoint", entry.key)) return undefined;
  const { key: name, value } = entry;
  if (!name.endsWith("-file")) return { name, text: value.trim(), where: "" };
  const content = fileOf(value);
  if ("text" in content) return { name, text: content.text.trim(), where: "in that file " };
  sheet.add("endpoint", name, content.problem);
  return undefined;
}

/** The only one of the keys that is written; none or several are reported. */
export function oneOf(sheet: Sheet, names: readonly string[]): Entry | undefined {
  const rule = `allowed: exactly one of ${listed(names)}`;
  const written = names
    .map((name) => sheet.entry("endpoint", name))
    .filter((entry) => entry !== undefined)
    .sort((one, other) => one.line - other.line);
  const [first, ...others] = written;
  for (const { key } of others) {
    const text = `cannot stand beside ${first!.key} of line ${first!.line}; ${rule}`;
    sheet.add("endpoint", key, text);
  }
  const areMissing = names.every((name) => sheet.isMissing("endpoint", name));
  if (areMissing) sheet.add("endpoint", names[0]!, `is missing; ${rule}`);
  return others.length === 0 ? first : undefined;
}

/** `a, b and c`, or with another word before the last. */
export function listed(names: readonly string[], word = "and"): string {
  if (names.length < 2) return names.join("");
  return `${names.slice(0, -1).join(", ")} ${word} ${names.at(-1)}`;
}
