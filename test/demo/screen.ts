// Screen: the picture of the demonstration: gateway, cable and hub, the twin, telemetry, a journal.
// Neighbours: `show` hands over the scene and puts the lines on the terminal.
// Invariant: pure; as many lines as the terminal has rows, each narrower than its columns, because
// terminals disagree about what follows a character in the last column.

import { lengthOf } from "../../src/kit/time.ts";
import { desiredText, type Facts, reportedOf } from "./facts.ts";
import type { Glyphs } from "./glyphs.ts";
import type { Message } from "./ledger.ts";
import { fit, type Line, type Span, Style, span, wrap } from "./paint.ts";
import { picture } from "./picture.ts";

/** Smallest terminal that is drawn on. */
export const COLUMNS_MIN = 80;
export const ROWS_MIN = 24;
const COLUMNS_MAX = 120;
/** Rows that are always there beside the picture: title, twin, diagnosis, two rules, prompt. */
const FIXED_ROWS = 8;
const MESSAGES_MIN = 3;
const MESSAGES_MAX = 10;
/** Rows that the journal has before telemetry gets more. */
const JOURNAL_ROWS_MIN = 10;
const LABEL_COLUMNS = 11;
const DIAGNOSIS_ROWS = 2;

/** One line of the journal. */
export interface Note {
  /** `ok`, `FAIL`, `>` for a command, `$` for what a step types, `..` for the current step, "". */
  readonly mark: string;
  readonly text: string;
  /** Shown where there is room for all of it. */
  readonly detail: string;
}

/** Everything that is drawn. */
export interface Scene {
  readonly facts: Facts;
  readonly heading: string;
  readonly journal: readonly Note[];
  /** What was typed so far; the hint stands there as long as that is nothing. */
  readonly typed: string;
  readonly hint: string;
}

/** Draws the scene; the prompt is the last line. */
export function screen(scene: Scene, columns: number, rows: number, glyphs: Glyphs): Line[] {
  const wide = Math.min(columns - 1, COLUMNS_MAX);
  const { facts } = scene;
  const art = picture(facts, wide, glyphs);
  const spare = rows - FIXED_ROWS - art.length - MESSAGES_MIN - JOURNAL_ROWS_MIN;
  const messages = Math.min(MESSAGES_MAX, MESSAGES_MIN + Math.max(0, Math.floor(spare / 2)));
  const above = [
    title(wide),
    ...art,
    ...twin(facts),
    ...diagnosis(facts, wide, glyphs),
    rule("telemetry as the hub got it", wide, glyphs),
    ...telemetry(facts.ledger.latest, messages),
    rule(scene.heading, wide, glyphs),
  ];
  const room = Math.max(0, rows - 1 - above.length);
  const first = Math.max(0, scene.journal.length - room);
  const notes = scene.journal.slice(first).map((one) => note(one, wide));
  while (notes.length < room) notes.push([]);
  const all = [...above.slice(0, rows - 1), ...notes, prompt(scene)];
  return all.map((line) => fit(line, wide, glyphs.more));
}

/** Column of the cursor in the last line, from 1. */
export function cursorColumn(scene: Scene, columns: number): number {
  return Math.min(columns - 1, scene.typed.length + 4);
}

function title(wide: number): Line {
  const left = " azimuth demo";
  const right = "the agent as on a gateway, local Azure, all on this machine";
  const gap = " ".repeat(Math.max(1, wide - left.length - right.length));
  return [span(left, Style.STRONG), span(`${gap}${right}`, Style.FAINT)];
}

function rule(heading: string, wide: number, glyphs: Glyphs): Line {
  const dashes = Math.max(0, wide - heading.length - 4);
  return [
    span(` ${glyphs.across}`, Style.FAINT),
    span(` ${heading} `),
    span(glyphs.across.repeat(dashes), Style.FAINT),
  ];
}

function labelled(label: string, ...spans: Span[]): Line {
  return [span(` ${label}`.padEnd(LABEL_COLUMNS), Style.FAINT), ...spans];
}

function twin({ twin }: Facts): Line[] {
  const desired = desiredText(twin);
  const version = desired === "" ? "" : `  version ${twin?.desired.$version}`;
  const reported = reportedOf(twin);
  return [
    labelled(
      "desired",
      span(desired === "" ? "nothing yet" : `LED1 = ${desired}`, Style.STRONG),
      span(version),
    ),
    labelled("reported", ...(reported === undefined ? [span("nothing yet")] : report(reported))),
  ];
}

function report({ value, ac, av, ad }: NonNullable<ReturnType<typeof reportedOf>>): Span[] {
  return [
    span(`LED1 = ${JSON.stringify(value)}`, Style.STRONG),
    span(`  ac ${ac}`, ac < 300 ? Style.GOOD : Style.BAD),
    span(`  av ${av}${ad === undefined ? "" : `  ${ad}`}`),
  ];
}

function diagnosis({ agent }: Facts, wide: number, glyphs: Glyphs): Line[] {
  const last = agent?.lastDiagnosis ?? null;
  const text = last === null ? "none so far" : `${clock(last.at)} ${last.text}`;
  const isNow = last !== null && agent?.connected === false;
  const style = isNow ? Style.BAD : Style.PLAIN;
  const parts = wrap(text, wide - LABEL_COLUMNS, DIAGNOSIS_ROWS, glyphs.more);
  const lines = parts.map((part, row) => labelled(row === 0 ? "diagnosis" : "", span(part, style)));
  while (lines.length < DIAGNOSIS_ROWS) lines.push([]);
  return lines;
}

function telemetry(latest: readonly Message[], count: number): Line[] {
  const lines = latest.slice(-count).map(messageLine);
  while (lines.length < count) lines.push([]);
  return lines;
}

/** What an agent's message says of itself. */
interface Body {
  readonly time?: string;
  readonly uptimeS?: number;
  readonly LED1?: boolean;
}

function messageLine(message: Message): Line {
  const body = bodyOf(message.payload);
  const number = `#${message.sequence}`.padEnd(5);
  const lamp = body.LED1 === true ? "true" : "false";
  const lateMs = Date.parse(message.at) - Date.parse(body.time ?? message.at);
  // The time inside has whole seconds: anything below two may be none at all.
  const late = lateMs < 2000 ? "" : `made ${clock(body.time ?? "")}, held ${lengthOf(lateMs)}`;
  const age = `up ${body.uptimeS} s`.padEnd(10);
  return [
    span(`  ${clock(message.at)}   ${number} LED1 ${lamp.padEnd(5)}   ${age} `),
    span(late, Style.STRONG),
    span(message.isRepeated ? "  seen before" : "", Style.BAD),
  ];
}

function bodyOf(payload: string): Body {
  try {
    return JSON.parse(payload) as Body;
  } catch {
    return {};
  }
}

/** Time of day of an ISO 8601 time. */
export function clock(iso: string): string {
  return iso.slice(11, 19);
}

const MARKS: Readonly<Record<string, Style>> = {
  ok: Style.GOOD,
  FAIL: Style.BAD,
  ">": Style.STRONG,
  $: Style.STRONG,
};

function note({ mark, text, detail }: Note, wide: number): Line {
  const start = mark === "" ? "    " : ` ${mark.padEnd(2)} `;
  const long = detail === "" ? text : `${text}, ${detail}`;
  const shown = start.length + long.length <= wide ? long : text;
  return [span(start, MARKS[mark] ?? Style.FAINT), span(shown)];
}

function prompt({ typed, hint }: Scene): Line {
  const text = typed === "" ? span(hint, Style.FAINT) : span(typed);
  return [span(" > ", Style.STRONG), text];
}
