// Sheet: the entries of a settings file held against the schema, one by one.
// Neighbours: `validate` makes one, looks values up in it and adds what only shows across keys.
// Invariant: every entry is either looked up under its key or has a problem; a lookup always
// gives an allowed value, the fallback where the written one is not.

import { LAMPS_MAX } from "../limits.ts";
import type { Entry, Problem } from "./effects.ts";
import { nearest } from "./nearest.ts";
import * as schema from "./schema.ts";
import { allowed, fault, isTrue, shown } from "./value.ts";

/** A `[name]` of the settings file and the line where it stands, counting from 1. */
export interface Section {
  readonly name: string;
  readonly line: number;
}

/** A settings file, entry by entry; what is wrong gathers in `problems`. */
export class Sheet {
  readonly problems: Problem[];
  /** Sections of lamps with a proper name, in the order of the file. */
  readonly lamps: string[] = [];
  private readonly written = new Map<string, Entry>();
  private readonly faulty = new Set<Entry>();
  private readonly firstLines = new Map<string, number>();

  /**
   * @param problems what the reader of the file has found already
   * @param sections all sections of the file, for those without entries
   */
  constructor(
    entries: readonly Entry[],
    problems: readonly Problem[],
    sections: readonly Section[] = [],
  ) {
    this.problems = [...problems];
    for (const { name, line } of sections) this.takeSection(name, line);
    for (const entry of entries) {
      this.takeSection(entry.section, entry.line);
      if (schema.keysOf(entry.section).length > 0) this.takeKey(entry);
      else if (entry.section === "") this.report(entry, homeless(entry.key));
    }
  }

  /** The entry of a key, undefined when it was left out or is empty and may be. */
  entry(section: string, name: string): Entry | undefined {
    return this.written.get(`${section}\n${name}`);
  }

  /** Line of the key, else of its section, else 0. */
  line(section: string, name: string): number {
    return this.entry(section, name)?.line ?? this.firstLines.get(section) ?? 0;
  }

  /** The value as written, or the fallback; "" where there is neither. */
  text(section: string, name: string): string {
    return this.isSound(section, name)
      ? this.entry(section, name)!.value
      : (schema.keyOf(section, name)?.fallback ?? "");
  }

  /** Whether a key was written and its value is allowed. */
  isSound(section: string, name: string): boolean {
    const entry = this.entry(section, name);
    return entry !== undefined && !this.faulty.has(entry);
  }

  /** Whether a key was left out, and not because its line could not be read. */
  isMissing(section: string, name: string): boolean {
    const isTold = this.problems.some((each) => each.section === section && each.key === name);
    return !isTold && this.entry(section, name) === undefined;
  }

  /** {@link text} of an integer or a port. */
  number(section: string, name: string): number {
    return Number(this.text(section, name));
  }

  /** {@link text} of a boolean. */
  isTrue(section: string, name: string): boolean {
    return isTrue(this.text(section, name));
  }

  /** Adds a problem at a key, whether it was written or not. */
  add(section: string, name: string, text: string): void {
    this.problems.push({ line: this.line(section, name), section, key: name, text });
  }

  private takeSection(section: string, line: number): void {
    if (this.firstLines.has(section)) return;
    this.firstLines.set(section, line);
    if (section === "") return;
    if (!section.startsWith(schema.LAMP_PREFIX)) {
      if (!schema.SECTIONS.includes(section)) this.reportSection(section, unknownSection(section));
      return;
    }
    const text = lampFault(section);
    if (text !== "") this.reportSection(section, text);
    else if (this.lamps.length === LAMPS_MAX) {
      this.reportSection(section, `one lamp too many; allowed: ${LAMPS_MAX} lamps`);
    } else this.lamps.push(section);
  }

  private takeKey(entry: Entry): void {
    const key = schema.keyOf(entry.section, entry.key);
    if (key === undefined) {
      this.report(entry, unknownKey(entry.section, entry.key));
      return;
    }
    if (entry.value === "" && key.fallback === "") return;
    const slot = `${entry.section}\n${entry.key}`;
    const earlier = this.written.get(slot);
    if (earlier !== undefined) {
      this.report(entry, `set before in line ${earlier.line}; allowed: once`);
      return;
    }
    this.written.set(slot, entry);
    const text = fault(key.value, entry.value);
    if (text === "") return;
    this.faulty.add(entry);
    this.report(entry, `${text}; allowed: ${allowed(key.value)}`);
  }

  private report(entry: Entry, text: string): void {
    this.problems.push({ line: entry.line, section: entry.section, key: entry.key, text });
  }

  private reportSection(section: string, text: string): void {
    this.problems.push({ line: this.line(section, ""), section, key: "", text });
  }
}

/** What is wrong with the name of a lamp's section `led.NAME`; "" when nothing is. */
function lampFault(section: string): string {
  const name = section.slice(schema.LAMP_PREFIX.length);
  if (name === "") return `the lamp has no name; allowed: ${allowed(schema.LAMP_NAME)}`;
  const text = fault(schema.LAMP_NAME, name);
  if (text !== "") return `${text} as a lamp's name; allowed: ${allowed(schema.LAMP_NAME)}`;
  const isReserved = schema.LAMP_NAMES_RESERVED.includes(name.toLowerCase());
  const others = `any name but ${schema.LAMP_NAMES_RESERVED.join(", ")}`;
  return isReserved ? `means something else in the twin; allowed: ${others}` : "";
}

function unknownSection(section: string): string {
  const stop = section.indexOf(".");
  const word = stop < 0 ? section : section.slice(0, stop);
  const words = schema.SECTIONS.map((each) => (each === schema.LAMP_SECTION ? "led" : each));
  const near = nearest(word, words);
  const meant = near === "led" ? `led.${stop < 0 ? "NAME" : section.slice(stop + 1)}` : near;
  const isShown = near !== "" && shown(meant) === `"${meant}"`;
  const list = schema.SECTIONS.map((each) => `[${each}]`).join(", ");
  return `unknown section${isShown ? `, did you mean [${meant}]` : ""}; allowed: ${list}`;
}

function unknownKey(section: string, name: string): string {
  const own = schema.keysOf(section).map((key) => key.name);
  const list = `; allowed: ${own.join(", ")}`;
  const home = homeOf(name);
  if (home !== "") return `belongs in [${home}]${list}`;
  const near = nearest(name, own);
  if (near !== "") return `unknown key, did you mean ${near}${list}`;
  const far = nearest(
    name,
    schema.KEYS.map((key) => key.name),
  );
  return `unknown key${far === "" ? "" : `, did you mean ${far} in [${homeOf(far)}]`}${list}`;
}

function homeless(name: string): string {
  const home = homeOf(name);
  const list = schema.SECTIONS.map((each) => `[${each}]`).join(", ");
  return home === ""
    ? `stands before the first section; allowed: keys below ${list}`
    : `stands before the first section; allowed: below [${home}]`;
}

/** Section that has a key of this name, "" for none. */
function homeOf(name: string): string {
  return schema.KEYS.find((key) => key.name === name)?.section ?? "";
}
