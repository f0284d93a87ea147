// Keys: what a person types, from the bytes of a raw terminal to whole commands.
// Neighbours: `terminal` hands over the bytes; `show` carries out what comes out.
// Invariant: pure; escape sequences and other control bytes never get into the line, however they
// are torn; the line stays short.

/** What a key press means. */
export enum Press {
  /** The line has changed. */
  TYPED,
  /** A command is complete: `text` holds it. */
  COMMAND,
  /** Enter on an empty line, or a blank. */
  GO_ON,
  REDRAW,
  LEAVE,
}

/** One event of the keyboard. */
export interface Key {
  readonly press: Press;
  readonly text: string;
}

/** The words that are understood, in the order in which help shows them. */
export const WORDS = [
  "on",
  "off",
  "wrong",
  "pull",
  "plug",
  "restart",
  "status",
  "connect",
  "disconnect",
  "log",
  "help",
  "quit",
] as const;
export type Word = (typeof WORDS)[number];

/** Keys that are a command of their own at the start of a line. */
const SINGLE: Readonly<Record<string, Word>> = { "1": "on", "0": "off", "?": "help", q: "quit" };
const LINE_MAX = 60;

enum State {
  TEXT,
  /** After ESC. */
  ESCAPE,
  /** Inside ESC [ … or ESC O …, up to its final byte (ECMA-48, 5.4). */
  SEQUENCE,
}

/** The line that is being typed. */
export class Keys {
  line = "";
  private state = State.TEXT;

  /** Takes what the terminal sent; events in order. */
  feed(input: string): Key[] {
    const keys: Key[] = [];
    for (const character of input) {
      const key = this.take(character);
      if (key !== undefined) keys.push(key);
    }
    return keys;
  }

  private take(character: string): Key | undefined {
    switch (this.state) {
      case State.ESCAPE:
        this.state = character === "[" || character === "O" ? State.SEQUENCE : State.TEXT;
        return undefined;
      case State.SEQUENCE:
        if (character >= "@" && character <= "~") this.state = State.TEXT;
        return undefined;
      case State.TEXT:
        return this.type(character);
    }
  }

  private type(character: string): Key | undefined {
    switch (character) {
      case "\x1b":
        this.state = State.ESCAPE;
        return undefined;
      case "\x03":
      case "\x04":
        return { press: Press.LEAVE, text: "" };
      case "\x0c":
        return { press: Press.REDRAW, text: "" };
      case "\r":
      case "\n":
        return this.enter();
      case "\x7f":
      case "\b":
        return this.edit(this.line.slice(0, -1));
      case "\x15":
        return this.edit("");
      case "\x17":
        return this.edit(this.line.trimEnd().replace(/\S+$/, ""));
      case "\t":
        return this.edit(completed(this.line));
      default:
        return this.add(character);
    }
  }

  private enter(): Key {
    const text = this.line.trim();
    this.line = "";
    return text === "" ? { press: Press.GO_ON, text } : { press: Press.COMMAND, text };
  }

  private add(character: string): Key | undefined {
    if (character < " " || character > "~") return undefined;
    if (this.line === "") {
      if (character === " ") return { press: Press.GO_ON, text: "" };
      const single = SINGLE[character];
      if (single !== undefined) return { press: Press.COMMAND, text: single };
    }
    return this.line.length < LINE_MAX ? this.edit(this.line + character) : undefined;
  }

  private edit(line: string): Key {
    this.line = line;
    return { press: Press.TYPED, text: line };
  }
}

/** The word meant by a line, or by the beginning of one; undefined when none or several are. */
export function wordOf(line: string): Word | undefined {
  const text = line.trim().toLowerCase();
  if (text === "") return undefined;
  const exact = WORDS.find((word) => word === text) ?? SINGLE[text];
  if (exact !== undefined) return exact;
  const some = WORDS.filter((word) => word.startsWith(text));
  return some.length === 1 ? some[0] : undefined;
}

function completed(line: string): string {
  return wordOf(line) ?? line;
}
