// Chronicle: the keeper as `azimuth status` shows it: the connection schedule, and what the
// recovery ladder has done and why.
// Neighbours: `status` makes this part of its own; `schedule` and `logbook` hold it.
// Invariant: camelCase keys, times in ISO 8601 UTC; a climb shows the cause it was written with.

import { isoUtc } from "../kit/time.ts";
import type { Keeper } from "./keeper.ts";
import { type Climb, Rung } from "./logbook.ts";
import { ScheduleState } from "./schedule.ts";

/** The connection schedule of `status --json`. */
export interface ScheduleStatus {
  readonly state: string;
  /** Null while a connection stands or is due, and when there is none to come. */
  readonly nextConnection: string | null;
}

/** One step of the recovery ladder. */
export interface ClimbStatus {
  readonly step: string;
  readonly at: string;
  /** Name of the cause, and what the diagnosis said. */
  readonly cause: string;
  readonly text: string;
  /** What came of it; null as long as nobody knows. */
  readonly outcome: string | null;
}

/** The recovery of `status --json`. */
export interface RecoveryStatus {
  /** Attempts that failed in a row, counted towards the next step. */
  readonly failures: number;
  /** Newest last. */
  readonly steps: readonly ClimbStatus[];
}

/** Steps that a person is shown. */
const SHOWN_MAX = 3;

/** The schedule; null without one. */
export function scheduleOf({ schedule }: Keeper): ScheduleStatus | null {
  if (!schedule.isOn) return null;
  const { state, nextS } = schedule;
  const isPlanned = state === ScheduleState.AWAIT_CONNECT_TIME && Number.isFinite(nextS);
  return {
    state: ScheduleState[state].toLowerCase(),
    nextConnection: isPlanned ? isoUtc(nextS) : null,
  };
}

/** The ladder and its logbook. */
export function recoveryOf({ ladder }: Keeper): RecoveryStatus {
  return { failures: ladder.failures, steps: ladder.book.climbs.map(climbOf) };
}

/** The same for a person; nothing where there is nothing to say. */
export function keeperRows(keeper: Keeper): string[] {
  const schedule = scheduleOf(keeper);
  const rows: string[] = [];
  if (schedule !== null) {
    const { state, nextConnection } = schedule;
    const next = nextConnection === null ? "" : `, next connection ${nextConnection}`;
    rows.push(`schedule   ${state}${next}`);
  }
  for (const { at, step, text, outcome } of recoveryOf(keeper).steps.slice(-SHOWN_MAX)) {
    rows.push(`recovery   ${at} ${step}, because: ${text} (${outcome ?? "under way"})`);
  }
  return rows;
}

function climbOf({ rung, atS, cause, text, outcome }: Climb): ClimbStatus {
  return {
    step: Rung[rung].toLowerCase(),
    at: isoUtc(atS),
    cause,
    text,
    outcome: outcome === "" ? null : outcome,
  };
}
