// Teller: plays the steps of the story one by one and says what was seen.
// Neighbours: `story` has the steps, `step` their shape; `world` is the stage they are played on;
// `talk` and `show` print what comes out.
// Invariant: a step ends when its condition is seen, when it cannot be any more, or at its
// deadline; nothing waits for a fixed time.

import { lengthOf } from "../../src/kit/time.ts";
import type { Facts } from "./facts.ts";
import type { Note } from "./screen.ts";
import { type Before, before, type Look, type Stage, type Step } from "./step.ts";

/** How long a step may take. */
export const DEADLINE_MS = 30_000;

/** What the teller needs of the world. */
export interface Theatre extends Stage {
  readonly facts: Facts;
  /** Brings the facts up to date. */
  refresh(): Promise<void>;
  /** Something may have changed, or a few milliseconds have passed. */
  change(): Promise<void>;
}

/** How one step went. */
export type Outcome =
  | { readonly ok: true; readonly title: string; readonly text: string; readonly detail: string }
  | {
      readonly ok: false;
      readonly title: string;
      readonly expected: string;
      readonly found: string;
    };

/** Whoever wants to follow. */
export interface Audience {
  /** @param typed the command line that the step carries out, in parts; mostly none */
  onStep(number: number, title: string, typed: readonly string[]): void;
  /** What follows waits for this. */
  onOutcome(number: number, outcome: Outcome): void | Promise<void>;
}

/** When conditions were first true, counted from the start of a step. */
class Stopwatch {
  private readonly startedMs = performance.now();
  private readonly firsts = new Map<string, number>();

  get ms(): number {
    return performance.now() - this.startedMs;
  }

  since(name: string, condition: boolean): string {
    if (condition && !this.firsts.has(name)) this.firsts.set(name, this.ms);
    const first = this.firsts.get(name);
    return first === undefined ? "" : lengthOf(Math.max(1, first));
  }
}

/** Plays one step; `deadlineMs` bounds it. */
export async function play(step: Step, theatre: Theatre, deadlineMs: number): Promise<Outcome> {
  await theatre.refresh();
  const { title } = step;
  const first: Before = before(theatre.facts);
  const watch = new Stopwatch();
  let problem = "";
  let isDone = false;
  Promise.try(() => step.act(theatre)).then(
    () => {
      isDone = true;
    },
    (error: unknown) => {
      problem = error instanceof Error ? error.message : String(error);
    },
  );
  const since = (name: string, condition: boolean): string => watch.since(name, condition);
  for (;;) {
    const { facts } = theatre;
    const look = step.see({ facts, before: first, since });
    if (look.seen && isDone) return { ok: true, title, text: look.text, detail: look.detail };
    const end = problem || facts.death || tooLate(look, watch.ms, deadlineMs);
    if (end !== "") return { ok: false, title, ...missed(look, end) };
    await theatre.change();
  }
}

function tooLate(look: Look, ms: number, deadlineMs: number): string {
  if (!look.seen && look.isHopeless) return "given up: it cannot come any more";
  return ms < deadlineMs ? "" : `given up after ${lengthOf(ms)}`;
}

function missed(look: Look, end: string): { expected: string; found: string } {
  if (look.seen) return { expected: "what was done to be done", found: end };
  return { expected: look.expected, found: `${look.found}; ${end}` };
}

/** Plays all steps until one is not seen; how many were. */
export async function tell(
  steps: readonly Step[],
  theatre: Theatre,
  audience: Audience,
  deadlineMs = DEADLINE_MS,
): Promise<number> {
  let count = 0;
  for (const step of steps) {
    const number = count + 1;
    audience.onStep(number, step.title, step.typed?.(theatre) ?? []);
    const outcome = await play(step, theatre, deadlineMs);
    await audience.onOutcome(number, outcome);
    if (!outcome.ok) break;
    count = number;
  }
  return count;
}

/** An outcome as notes: one, and for a failure what was expected and what was seen instead. */
export function outcomeNotes(outcome: Outcome, number = ""): Note[] {
  const name = `${number} ${outcome.title}`.trim();
  if (outcome.ok) {
    return [{ mark: "ok", text: `${name}: ${outcome.text}`, detail: outcome.detail }];
  }
  return [
    { mark: "FAIL", text: name, detail: "" },
    { mark: "", text: `expected: ${outcome.expected}`, detail: "" },
    { mark: "", text: `seen: ${outcome.found}`, detail: "" },
  ];
}

/** A note as a line of text, whole. */
export function noteLine({ mark, text, detail }: Note): string {
  return `${mark.padEnd(5)}${detail === "" ? text : `${text}, ${detail}`}`.trimEnd();
}
