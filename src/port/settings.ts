// Reads the settings file: INI text in, entries with their lines out, problems instead of throws.
// Neighbours: the schema validates the entries; main loads the file at start and on reload.
// Invariant: every line of the file is an entry, a comment, a section or a problem; nothing is
// passed over in silence, and a pasted connection string (`;` and `=` inside) comes out whole.
// `ini` would cut it at the first `;`, so each value is quoted before `ini` gets to see it.

import { closeSync, constants, fstatSync, openSync, readSync, statSync } from "node:fs";
import { parse as parseIni } from "ini";
import type { Entry, Problem } from "../core/effects.ts";

const FILE_BYTES_MAX = 256 * 1024;
const SECRET_BYTES_MAX = 4 * 1024;
const NAME = /^[A-Za-z0-9_.-]+$/;
const NAME_ALLOWED = "allowed: letters, digits, `.`, `-`, `_`";
/** `ini` leaves it out, for good reason, and would do so without a word. */
const PROTOTYPE = "__proto__";
/** Nothing behind it is a comment: ` ;` may stand between its parts, which must not get lost. */
const WHOLE_KEY = "connection-string";

/** What a settings file says. */
export interface Parsed {
  readonly entries: Entry[];
  readonly problems: Problem[];
  /** Every `[name]` with a good name, with its line, whether or not keys follow. */
  readonly sections: SectionLine[];
}

interface SectionLine {
  readonly name: string;
  readonly line: number;
}

/** The text of a small secret file, or one line that says why it cannot be had. */
export type Secret =
  | {
      readonly text: string;
      /** "" or one line: others may read the file. */
      readonly warning: string;
    }
  | { readonly problem: string };

/** Reads and parses the file at `path`; a file that cannot be read is a problem with line 0. */
export function load(path: string): Parsed {
  const file = readSmall(path, FILE_BYTES_MAX);
  return typeof file === "string" ? unreadable(file) : parse(file.text);
}

/**
 * Parses INI text: `[section]`, `key = value`, comments after `;` or `#`. An inline comment needs
 * white space before it, and quotes round the value where that is a connection string. A value may
 * be in "double" quotes with JSON's escapes or in 'single' quotes without any. At most 256 KB.
 */
export function parse(text: string): Parsed {
  if (Buffer.byteLength(text) > FILE_BYTES_MAX) {
    return unreadable(`longer than ${FILE_BYTES_MAX / 1024} KB`);
  }
  const pass = new LinePass();
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  for (const [index, line] of lines.entries()) pass.line(line, index + 1);
  return { entries: joined(pass), problems: pass.problems, sections: pass.sections };
}

/** Reads a file of at most 4 KB that holds one secret; the final line break is not part of it. */
export function readSecret(path: string): Secret {
  const file = readSmall(path, SECRET_BYTES_MAX);
  if (typeof file === "string") return { problem: `${path}: ${file}` };
  if (file.text.includes("\0")) return { problem: `${path}: holds binary data` };
  const mode = (file.mode & 0o777).toString(8).padStart(4, "0");
  const isOpen = (file.mode & 0o044) !== 0;
  return {
    text: file.text.replace(/\r?\n$/, ""),
    warning: isOpen ? `${path}: others may read this secret (mode ${mode}); chmod 600 it` : "",
  };
}

/** Whether two paths lead to one file that is there, by whatever links. */
export function isSameFile(one: string, other: string): boolean {
  try {
    const [a, b] = [statSync(one), statSync(other)];
    return a.dev === b.dev && a.ino === b.ino;
  } catch {
    return false;
  }
}

/** Goes over the lines, collects entries and problems, and writes the text that `ini` gets. */
class LinePass {
  readonly entries: Entry[] = [];
  readonly problems: Problem[] = [];
  readonly sections: SectionLine[] = [];
  /** The quoted form, begun with a section of no name so that no key can shadow a section. */
  readonly quoted: string[] = ["[]"];
  private readonly lineOf = new Map<string, number>();
  private section = "";
  /** Entries of a section with a bad name would only bring more problems: they are left out. */
  private isSectionGood = true;

  line(text: string, line: number): void {
    const binary = /[\x00-\x08\x0b-\x1f\x7f\ufffd]/.exec(text)?.[0];
    if (binary !== undefined) {
      const code = binary.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
      this.problem(line, "", `not text (character U+${code})`);
      return;
    }
    const content = text.trim();
    if (content === "" || content.startsWith(";") || content.startsWith("#")) return;
    if (content.startsWith("[")) this.header(content, line);
    else this.pair(text, line);
  }

  private header(content: string, line: number): void {
    const name = /^\[([^\]]*)\]\s*([;#].*)?$/.exec(content)?.[1]?.trim();
    this.isSectionGood = name !== undefined && NAME.test(name) && name !== PROTOTYPE;
    this.section = name ?? "";
    if (name === undefined) {
      this.problem(line, "", "a section is written `[name]`");
    } else if (!this.isSectionGood) {
      this.problem(line, "", `bad section name; ${NAME_ALLOWED}`);
    } else {
      this.sections.push({ name, line });
      // An escaped dot keeps `ini` from nesting [a.b] in [a], where a key b may be.
      this.quoted.push(`[${name.replaceAll(".", "\\.")}]`);
    }
  }

  private pair(text: string, line: number): void {
    const equals = text.indexOf("=");
    const key = (equals < 0 ? text : text.slice(0, equals)).trim();
    if (equals < 0) {
      this.problem(line, "", "neither `[section]` nor `key = value` nor a comment");
      return;
    }
    if (!NAME.test(key) || key === PROTOTYPE) {
      this.problem(line, "", `bad key name; ${NAME_ALLOWED}`);
      return;
    }
    const value = read(text.slice(equals + 1), key === WHOLE_KEY);
    if (typeof value !== "string") {
      this.problem(line, key, value.problem);
      return;
    }
    if (!this.isSectionGood) return;
    const place = `${this.section}]${key}`;
    const before = this.lineOf.get(place);
    if (before !== undefined) {
      this.problem(line, key, `given twice, in line ${before} and in line ${line}`);
      return;
    }
    this.lineOf.set(place, line);
    this.entries.push({ section: this.section, key, value, line });
    this.quoted.push(`${key}=${quoted(value)}`);
  }

  private problem(line: number, key: string, text: string): void {
    this.problems.push({ line, section: this.section, key, text });
  }
}

/** The entries with the values that `ini` found; where it found another, that is a problem. */
function joined(pass: LinePass): Entry[] {
  const sections = parseIni(pass.quoted.join("\n"));
  const entries: Entry[] = [];
  for (const entry of pass.entries) {
    const section = sections[entry.section] as Record<string, unknown> | undefined;
    const value = String(section?.[entry.key]);
    if (value === entry.value) entries.push({ ...entry, value });
    else pass.problems.push({ ...placeOf(entry), text: "cannot be read; put it in quotes" });
  }
  return entries;
}

function placeOf({ line, section, key }: Entry): Omit<Problem, "text"> {
  return { line, section, key };
}

/** The value in `text`, which is what follows `=`, comment and all; `isWhole`: without one. */
function read(text: string, isWhole: boolean): string | { problem: string } {
  const content = text.trim();
  const quote = content[0];
  if (quote !== '"' && quote !== "'") {
    const comment = isWhole ? -1 : text.search(/\s[;#]/);
    return (comment < 0 ? content : text.slice(0, comment)).trim();
  }
  const pattern = quote === '"' ? /^"((?:[^"\\]|\\.)*)"(.*)$/s : /^'([^']*)'(.*)$/s;
  const match = pattern.exec(content);
  if (match === null) return { problem: `no closing ${quote}` };
  if (!/^(\s+[;#].*|\s*)$/s.test(match[2]!)) {
    return { problem: `text after the closing ${quote}; only a comment may follow` };
  }
  const value = quote === "'" ? match[1]! : unescaped(match[1]!);
  if (value === null) {
    return { problem: "bad escape in double quotes; write `\\\\` for `\\` or use single quotes" };
  }
  return /[\x00-\x08\x0a-\x1f\x7f]/.test(value) ? { problem: "holds a control character" } : value;
}

function unescaped(text: string): string | null {
  try {
    return JSON.parse(`"${text.replaceAll("\t", "\\t")}"`);
  } catch {
    return null;
  }
}

/** JSON in plain ASCII: `ini` takes it for a quoted value whatever is inside. */
function quoted(value: string): string {
  return JSON.stringify(value).replace(/[^\x20-\x7e]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function unreadable(text: string): Parsed {
  return { entries: [], problems: [{ line: 0, section: "", key: "", text }], sections: [] };
}

interface SmallFile {
  readonly text: string;
  readonly mode: number;
}

/** The file, or one line that says why it cannot be read. */
function readSmall(path: string, bytesMax: number): SmallFile | string {
  let descriptor = -1;
  try {
    // O_NONBLOCK because opening a FIFO without a writer would hold up the loop.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const status = fstatSync(descriptor);
    if (status.isDirectory()) return "is a folder; a file is needed";
    if (!status.isFile()) return "not a plain file";
    const bytes = Buffer.alloc(bytesMax + 1);
    let length = 0;
    for (;;) {
      const count = readSync(descriptor, bytes, length, bytes.length - length, null);
      length += count;
      if (count === 0) break;
      if (length > bytesMax) return `longer than ${bytesMax / 1024} KB`;
    }
    // Bytes that are no UTF-8 become U+FFFD, which the line pass turns down with its line.
    return { text: bytes.toString("utf8", 0, length), mode: status.mode };
  } catch (error) {
    return reason(error);
  } finally {
    if (descriptor >= 0) closeSync(descriptor);
  }
}

function reason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  switch (code) {
    case "ENOENT":
      return "no such file";
    case "EACCES":
      return "permission denied; the agent must be able to read it";
    case "ENOTDIR":
      return "part of the path is not a folder";
    default:
      return `cannot be read: ${code ?? error}`;
  }
}
