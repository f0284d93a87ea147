// Paint: lines made of styled pieces, and how they become text for a terminal.
// Neighbours: `screen` makes lines of them; `terminal` writes them out.
// Invariant: a piece holds printable characters only, each one column wide; a painted line ends in
// the plain style.

/** How a piece of text looks. */
export enum Style {
  PLAIN,
  STRONG,
  FAINT,
  GOOD,
  BAD,
  LAMP,
}

/** One piece of a line. */
export interface Span {
  readonly text: string;
  readonly style: Style;
}

export type Line = readonly Span[];

/** ECMA-48 SGR parameters; colours of the first eight, which every colour terminal has. */
const CODES: Record<Style, string> = {
  [Style.PLAIN]: "",
  [Style.STRONG]: "1",
  [Style.FAINT]: "2",
  [Style.GOOD]: "32",
  [Style.BAD]: "1;31",
  [Style.LAMP]: "1;33",
};

/** A piece; whatever could move the cursor or is not one column wide becomes `?`. */
export function span(text: string, style = Style.PLAIN): Span {
  return { text: text.replace(/[^\x20-\x7e\xa1-\xac\xae-\xff\u2010-\u27bf]/gu, "?"), style };
}

/** Columns of a line. */
export function width(line: Line): number {
  return line.reduce((sum, { text }) => sum + text.length, 0);
}

/** A line of exactly `columns`: filled with blanks, or cut with `more` as its end. */
export function fit(line: Line, columns: number, more = ""): Span[] {
  const missing = columns - width(line);
  if (missing === 0) return [...line];
  if (missing > 0) return [...line, span(" ".repeat(missing))];
  const kept: Span[] = [];
  let left = Math.max(0, columns - more.length);
  let style = Style.PLAIN;
  for (const piece of line) {
    if (left === 0) break;
    style = piece.style;
    kept.push(span(piece.text.slice(0, left), style));
    left -= Math.min(left, piece.text.length);
  }
  return [...kept, span(more.slice(0, columns), style)];
}

/** Text of a line without its styles. */
export function plain(line: Line): string {
  return line
    .map(({ text }) => text)
    .join("")
    .trimEnd();
}

/** A line for a terminal, with or without colours. */
export function painted(line: Line, hasColours: boolean): string {
  if (!hasColours) return plain(line);
  const text = line.map(({ text, style }) => {
    return style === Style.PLAIN ? text : `\x1b[${CODES[style]}m${text}\x1b[0m`;
  });
  return text.join("").trimEnd();
}

/** Text in lines of at most `columns`, broken at blanks where there are any; 1 to `linesMax`. */
export function wrap(text: string, columns: number, linesMax: number, more: string): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > columns && lines.length < linesMax - 1) {
    const blank = rest.lastIndexOf(" ", columns);
    const end = blank > 0 ? blank : columns;
    lines.push(rest.slice(0, end));
    rest = rest.slice(end).trimStart();
  }
  const isCut = rest.length > columns;
  lines.push(isCut ? `${rest.slice(0, columns - more.length)}${more}` : rest);
  return lines;
}
