// Redaction: settings text without the device key, which is in the TPM from then on.
// Neighbours: `command/seal` reads the files, and writes what comes from here; `port/settings`
// says what an entry is and where.
// Invariant: pure; all that goes is SharedAccessKey with one semicolon, all that comes are lines
// of [endpoint] behind the connection string; every other byte stays as it was.

import type { Entry } from "./effects.ts";

const SECTION = "endpoint";
const SEALED = "tpm";
/** One character of a value in double quotes, by whatever JSON escape it is written. */
const ESCAPED = /\\u[0-9A-Fa-f]{4}|\\.|./gs;
const ENDING = /\r\n|\n|\r/;
const PLAIN = /./gs;

/** Where a value stands in its line, quotes left aside, and how each character is written. */
interface Written {
  readonly from: number;
  readonly to: number;
  readonly characters: readonly string[];
}

/** A connection string without its SharedAccessKey; white space round it stays. */
export function withoutKey(text: string): string {
  const value = text.trim();
  const start = text.indexOf(value);
  const [from, to] = keyIn(value);
  return (
    text.slice(0, start) + value.slice(0, from) + value.slice(to) + text.slice(start + value.length)
  );
}

/**
 * The text of a settings file that says `key = tpm`, and holds no key if it held one.
 * @param entries what the reader found in this text; all of [endpoint] are sound
 * @param place where the TPM is, when that is to be said too, else ""
 */
export function sealedText(text: string, entries: readonly Entry[], place: string): string {
  const find = (key: string): Entry | undefined =>
    entries.find((entry) => entry.section === SECTION && entry.key === key && entry.value !== "");
  const lines = text.match(/[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+$/g) ?? [];
  const inline = find("connection-string");
  const anchor = (inline ?? find("connection-string-file"))!.line - 1;
  if (inline !== undefined) lines[anchor] = redacted(lines[anchor]!, inline.value);
  const key = find("key");
  const added: string[] = [];
  if (key === undefined) added.push(`key = ${SEALED}`);
  else if (key.value.toLowerCase() !== SEALED) {
    lines[key.line - 1] = changed(lines[key.line - 1]!);
  }
  if (place !== "") added.push(`tpm = ${place}`);
  for (const line of added) lines[anchor] = followed(lines[anchor]!, line, lines[0]!);
  return lines.join("");
}

/** The line of `before`, counting from 1, by which `after` still holds `secret`; 0: it does not. */
export function strayLine(before: string, after: string, secret: string): number {
  const lines = before.split(ENDING);
  const stray = after.split(ENDING).find((line) => line.includes(secret));
  if (stray === undefined) return 0;
  const same = lines.indexOf(stray);
  return 1 + (same < 0 ? lines.findIndex((line) => line.includes(secret)) : same);
}

/** From where to where SharedAccessKey reaches in a connection string, one semicolon included. */
function keyIn(value: string): readonly [number, number] {
  let from = 0;
  for (const part of value.split(";")) {
    const to = from + part.length;
    const name = part.slice(0, Math.max(part.indexOf("="), 0)).trim();
    if (name.toLowerCase() === "sharedaccesskey") return from === 0 ? [0, to + 1] : [from - 1, to];
    from = to + 1;
  }
  return [0, 0];
}

function redacted(line: string, value: string): string {
  const { from, to, characters } = written(line, true);
  const [first, last] = keyIn(value);
  const kept = [...characters.slice(0, first), ...characters.slice(last)];
  return line.slice(0, from) + kept.join("") + line.slice(to);
}

/** The line `key = connection-string` as `key = tpm`. */
function changed(line: string): string {
  const { from, to } = written(line, false);
  return line.slice(0, from) + SEALED + line.slice(to);
}

/** The line with another behind it, indented and ended like it. */
function followed(line: string, added: string, first: string): string {
  const indent = /^\s*/.exec(line)![0];
  const ending = endingOf(line);
  if (ending !== "") return `${line}${indent}${added}${ending}`;
  return `${line}${endingOf(first) || "\n"}${indent}${added}`;
}

function endingOf(line: string): string {
  return /[\r\n]*$/.exec(line)![0];
}

/** @param isWhole nothing behind the value is a comment, unless the value is in quotes */
function written(line: string, isWhole: boolean): Written {
  const behind = line.indexOf("=") + 1;
  const content = line.slice(behind).trim();
  const start = line.indexOf(content, behind);
  const quoted = /^"(?:[^"\\]|\\.)*"|^'[^']*'/.exec(content)?.[0];
  if (quoted !== undefined) {
    const inner = quoted.slice(1, -1);
    const characters = inner.match(quoted.startsWith('"') ? ESCAPED : PLAIN) ?? [];
    return { from: start + 1, to: start + quoted.length - 1, characters };
  }
  const comment = isWhole ? -1 : content.search(/\s[;#]/);
  const value = comment < 0 ? content : content.slice(0, comment).trim();
  return { from: start, to: start + value.length, characters: value.match(PLAIN) ?? [] };
}
