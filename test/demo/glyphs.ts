// Glyphs: what the picture is drawn with, on terminals that know UTF-8 and on those that do not.
// Neighbours: `screen` draws with them; `show` chooses by the locale.
// Invariant: both sets have the same shapes; each glyph but `more` is one column wide.

/** One set of drawing characters. */
export interface Glyphs {
  readonly across: string;
  readonly down: string;
  readonly topLeft: string;
  readonly topRight: string;
  readonly bottomLeft: string;
  readonly bottomRight: string;
  /** The cable, and its plugs in the two boxes. */
  readonly cable: string;
  readonly plugLeft: string;
  readonly plugRight: string;
  /** The two ends of a cable that was pulled. */
  readonly looseLeft: string;
  readonly looseRight: string;
  readonly lit: string;
  readonly dark: string;
  /** Ends a text that was cut. */
  readonly more: string;
}

export const LINES: Glyphs = {
  across: "─",
  down: "│",
  topLeft: "┌",
  topRight: "┐",
  bottomLeft: "└",
  bottomRight: "┘",
  cable: "═",
  plugLeft: "╞",
  plugRight: "╡",
  looseLeft: "╡",
  looseRight: "╞",
  lit: "●",
  dark: "○",
  more: "…",
};

export const ASCII: Glyphs = {
  across: "-",
  down: "|",
  topLeft: "+",
  topRight: "+",
  bottomLeft: "+",
  bottomRight: "+",
  cable: "=",
  plugLeft: "|",
  plugRight: "|",
  looseLeft: "]",
  looseRight: "[",
  lit: "@",
  dark: "o",
  more: "..",
};

/** The set that the locale's character encoding can show (locale(7): LC_ALL, LC_CTYPE, LANG). */
export function glyphsFor(environment: Readonly<Record<string, string | undefined>>): Glyphs {
  const { LC_ALL, LC_CTYPE, LANG } = environment;
  return /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || "") ? LINES : ASCII;
}
