// Logbook: what the recovery ladder has done, with the cause of each; what a day still allows.
// Neighbours: `ladder` writes it before each step; its text lives in the store between two runs.
// Invariant: a day is 24 hours of running, counted by the monotonic clock and never forgotten by a
// restart: a calendar that starts in 1970 or jumps cannot give back what was spent. A text that
// cannot be read counts as a day that is spent.

import { assert } from "../kit/assert.ts";
import { LADDER_DAY_MS, LADDER_HISTORY, LADDER_TEXT_MAX, RUNGS_A_DAY_MAX } from "../limits.ts";

/** Steps of the ladder above the next attempt, from the mildest on. */
export enum Rung {
  /** Forget addresses and TLS sessions. */
  REFRESH,
  /** Ask DPS where the device belongs. */
  PROVISION,
  /** End the process; init starts it again. */
  RESTART,
  /** Run the command that repairs the network. */
  HOOK,
  /** Restart the machine. */
  REBOOT,
}
export const RUNGS = 5;

/** One step that was taken, or was about to be. */
export interface Climb {
  readonly rung: Rung;
  /** Name of the cause, and what the diagnosis said. */
  readonly cause: string;
  readonly text: string;
  /** When, by the calendar of the time, in Unix s; for people alone. */
  readonly atS: number;
  /** The kernel's name for this run of the machine. */
  readonly boot: string;
  /** What came of it; "" as long as nobody knows. */
  readonly outcome: string;
}

const VERSION = 1;

/** Budgets and history; running time is the sum over all runs of the process, in ms. */
export class Logbook {
  /** Newest last. */
  readonly climbs: Climb[] = [];
  /** Running time before this run of the process. */
  earlierMs = 0;
  private readonly spent: number[][] = Array.from({ length: RUNGS }, () => []);
  /** No step before this running time. */
  private sealedMs = 0;

  /** The logbook of a text; false when it cannot be read, and a day must pass. "": a new one. */
  read(text: string): boolean {
    if (text === "") return true;
    const problem = this.take(text);
    if (problem) this.sealedMs = this.earlierMs + LADDER_DAY_MS;
    return !problem;
  }

  /** The text to keep; `ranMs` is the running time until now. */
  write(ranMs: number): string {
    const { sealedMs, climbs } = this;
    for (const stamps of this.spent) while (isPast(stamps[0], ranMs)) stamps.shift();
    const seal = sealedMs > ranMs ? sealedMs : 0;
    return JSON.stringify({ version: VERSION, ranMs, sealedMs: seal, spent: this.spent, climbs });
  }

  /** How many steps of this kind a day of `perDay` still allows. */
  left(rung: Rung, perDay: number, ranMs: number): number {
    if (ranMs < this.sealedMs) return 0;
    const recent = this.spent[rung]!.filter((stampMs) => !isPast(stampMs, ranMs));
    return Math.max(0, Math.min(perDay, RUNGS_A_DAY_MAX) - recent.length);
  }

  /** True while something is spent that a longer run gives back. */
  isOwing(ranMs: number): boolean {
    const isSpent = (stamps: number[]) => stamps.length > 0 && !isPast(stamps.at(-1), ranMs);
    return ranMs < this.sealedMs || this.spent.some(isSpent);
  }

  /** A step is about to be taken: it is spent from now on, whatever comes of it. */
  add(climb: Climb, ranMs: number): void {
    const stamps = this.spent[climb.rung]!;
    stamps.push(ranMs);
    if (stamps.length > RUNGS_A_DAY_MAX) stamps.shift();
    this.climbs.push({ ...climb, text: climb.text.slice(0, LADDER_TEXT_MAX) });
    if (this.climbs.length > LADDER_HISTORY) this.climbs.shift();
  }

  /** What came of the last step. */
  close(outcome: string): void {
    const last = this.climbs.pop();
    assert(last !== undefined, "a step has an outcome after it was taken");
    this.climbs.push({ ...last, outcome: outcome.slice(0, LADDER_TEXT_MAX) });
  }

  /** Takes over what a text says; true when something in it is not as it was written. */
  private take(text: string): boolean {
    let read: unknown;
    try {
      read = JSON.parse(text);
    } catch {
      return true;
    }
    if (!isRecord(read)) return true;
    const { version, ranMs, sealedMs, spent, climbs } = read;
    if (isTime(ranMs)) this.earlierMs = ranMs;
    if (version !== VERSION || !isTime(ranMs) || !isTime(sealedMs)) return true;
    if (!Array.isArray(spent) || spent.length !== RUNGS || !Array.isArray(climbs)) return true;
    if (!spent.every((stamps) => isStamps(stamps, ranMs)) || !climbs.every(isClimb)) return true;
    // A seal further off than a day was written by nobody.
    this.sealedMs = Math.min(sealedMs, ranMs + LADDER_DAY_MS);
    spent.forEach((stamps: number[], rung) => void this.spent[rung]!.push(...stamps));
    this.climbs.push(...climbs.slice(-LADDER_HISTORY));
    return false;
  }
}

function isPast(stampMs: number | undefined, ranMs: number): boolean {
  return stampMs === undefined ? false : ranMs - stampMs >= LADDER_DAY_MS;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

function isStamps(value: unknown, ranMs: number): value is number[] {
  if (!Array.isArray(value) || value.length > RUNGS_A_DAY_MAX) return false;
  return value.every((stampMs, at) => {
    const isRising = at === 0 || value[at - 1] <= stampMs;
    return isTime(stampMs) && stampMs <= ranMs && isRising;
  });
}

function isClimb(value: unknown): value is Climb {
  if (!isRecord(value)) return false;
  const { rung, cause, text, atS, boot, outcome } = value;
  const texts = [cause, text, boot, outcome];
  const areTexts = texts.every((each) => typeof each === "string" && each.length <= 1000);
  return areTexts && typeof atS === "number" && typeof rung === "number" && rung in Rung;
}
