// Care: what keeps a gateway going unattended: sections [recovery], [watchdog] and [metrics], and
// the recovery's keys in [data], whose names are Kura's.
// Neighbours: `schema` has these keys in its table; `validate` reads the values from its sheet.
// Invariant: a rung of the ladder that cannot be climbed here is allowed no times a day.

import {
  FAILURES_DEFAULT,
  FAILURES_MAX,
  METRICS_S_DEFAULT,
  METRICS_S_MAX,
  RUNGS_A_DAY_DEFAULT,
  RUNGS_A_DAY_MAX,
  WATCHDOG_S_DEFAULT,
  WATCHDOG_S_MAX,
  WATCHDOG_S_MIN,
} from "../limits.ts";
import { Applies, BOOLEAN, integer, type Key, PATH } from "./key.ts";
import type { LadderSettings } from "./ladder.ts";
import { Rung } from "./logbook.ts";
import type { Sheet } from "./sheet.ts";
import { Kind, type Value } from "./value.ts";

/** The recovery ladder, and the program of its hook. */
export interface RecoverySettings extends LadderSettings {
  /** Path and words; empty: there is no hook. */
  readonly hook: readonly string[];
}

/** The hardware watchdog. */
export interface WatchdogSettings {
  /** Path of the device; "": there is none. */
  readonly device: string;
  /** Time that it is asked to give. */
  readonly timeoutS: number;
}

/** Who is told of the metrics. */
export interface MetricsSettings {
  /** Path of the file; "": none. */
  readonly file: string;
  /** On loopback; 0: none. */
  readonly port: number;
  readonly intervalS: number;
}

/** What a rung needs beside the keys of this file. */
export interface Means {
  /** There is a DPS to register at. */
  readonly hasDps: boolean;
  /** The store outlives the process. */
  readonly isDurable: boolean;
}

const WORD = /"([^"]*)"|([^\s"]+)/g;

/**
 * The words of a command: spaces part them, "quotes" around a word keep its spaces; nothing else
 * has a meaning, for there is no shell. Undefined when the first is no absolute path.
 */
export function wordsOf(command: string): readonly string[] | undefined {
  // Quotes stand around whole words, each with its end.
  if (!/^\s*("[^"]*"|[^\s"]+)(\s+("[^"]*"|[^\s"]+))*\s*$/.test(command)) return undefined;
  const words = [...command.matchAll(WORD)].map(([, quoted, bare]) => quoted ?? bare!);
  return /^\/./.test(words[0]!) ? words : undefined;
}

const COMMAND: Value = {
  kind: Kind.TEXT,
  shape: { test: (text) => wordsOf(text) !== undefined },
  words: 'an absolute path, then words, with "quotes" around one that has spaces',
};

/** Keys of [data], in the order of `conf/azimuth.ini`. */
export const PATIENCE_KEYS: readonly Key[] = [
  {
    section: "data",
    name: "enable.recovery.on.connection.failure",
    value: BOOLEAN,
    fallback: "false",
    applies: Applies.AT_ONCE,
    meaning:
      "When attempts go on failing, restart the agent, run the hook and restart the machine, as " +
      "[recovery] allows; false: no more than fresh addresses and DPS.",
  },
  {
    section: "data",
    name: "connection.recovery.max.failures",
    value: integer(1, FAILURES_MAX, "attempts"),
    fallback: String(FAILURES_DEFAULT),
    applies: Applies.AT_ONCE,
    meaning: "Attempts that fail in a row before each step of [recovery].",
  },
];

function perDay(rung: Rung, name: string, meaning: string): Key {
  const value = integer(0, RUNGS_A_DAY_MAX, "times");
  const fallback = String(RUNGS_A_DAY_DEFAULT[rung]);
  return { section: "recovery", name, value, fallback, applies: Applies.AT_ONCE, meaning };
}

/** Names of the budgets, by rung. */
const PER_DAY: Readonly<Record<Rung, string>> = {
  [Rung.REFRESH]: "refresh-per-day",
  [Rung.PROVISION]: "provision-per-day",
  [Rung.RESTART]: "restart-per-day",
  [Rung.HOOK]: "hook-per-day",
  [Rung.REBOOT]: "reboot-per-day",
};
const RUNGS: readonly Rung[] = [Rung.REFRESH, Rung.PROVISION, Rung.RESTART, Rung.HOOK, Rung.REBOOT];
const MEANINGS: Readonly<Record<Rung, string>> = {
  [Rung.REFRESH]: "First step: fresh addresses and a fresh TLS session.",
  [Rung.PROVISION]: "Second step, for a device of DPS: a registration there.",
  [Rung.RESTART]: "Third step: a restart of the agent.",
  [Rung.HOOK]: "Fourth step: a run of hook-command.",
  [Rung.REBOOT]:
    "Last step: a restart of the machine; where /sbin/reboot is refused to the agent, a watchdog " +
    "does it.",
};

/** Keys of the sections of their own, in the order of `conf/azimuth.ini`. */
export const CARE_KEYS: readonly Key[] = [
  ...RUNGS.map((rung) => perDay(rung, PER_DAY[rung], MEANINGS[rung])),
  {
    section: "recovery",
    name: "hook-command",
    value: COMMAND,
    fallback: "",
    applies: Applies.AT_ONCE,
    meaning: "Program that repairs the network, within 2 minutes; there is no shell around it.",
  },
  {
    section: "watchdog",
    name: "device",
    value: PATH,
    fallback: "",
    applies: Applies.RESTART,
    meaning: "Hardware watchdog that resets the machine when the agent hangs; left out for none.",
  },
  {
    section: "watchdog",
    name: "timeout",
    value: integer(WATCHDOG_S_MIN, WATCHDOG_S_MAX, "seconds"),
    fallback: String(WATCHDOG_S_DEFAULT),
    applies: Applies.RESTART,
    meaning: "Time that it gives, as far as its driver can.",
  },
  {
    section: "metrics",
    name: "file",
    value: PATH,
    fallback: "",
    applies: Applies.RESTART,
    meaning: "File that always holds the metrics, as OpenMetrics; left out for none.",
  },
  {
    section: "metrics",
    name: "port",
    value: integer(0, 65_535, ""),
    fallback: "0",
    applies: Applies.RESTART,
    meaning: "Port of 127.0.0.1 that serves them at /metrics; 0: none.",
  },
  {
    section: "metrics",
    name: "update-interval",
    value: integer(1, METRICS_S_MAX, "seconds"),
    fallback: String(METRICS_S_DEFAULT),
    applies: Applies.AT_ONCE,
    meaning: "Time between two sets of them.",
  },
];

/** The ladder of a sheet without problems. */
export function recoveryOf(sheet: Sheet, { hasDps, isDurable }: Means): RecoverySettings {
  const hook = wordsOf(sheet.text("recovery", "hook-command")) ?? [];
  const isThere = (rung: Rung): boolean => {
    if (rung === Rung.PROVISION && !hasDps) return false;
    if (rung === Rung.HOOK && hook.length === 0) return false;
    // Nothing is done before its cause is durable.
    return isDurable;
  };
  return {
    isEnabled: sheet.isTrue("data", "enable.recovery.on.connection.failure"),
    failuresMax: sheet.number("data", "connection.recovery.max.failures"),
    perDay: RUNGS.map((rung) => (isThere(rung) ? sheet.number("recovery", PER_DAY[rung]) : 0)),
    hook,
  };
}

/** Section [watchdog] of a sheet without problems. */
export function watchdogOf(sheet: Sheet): WatchdogSettings {
  return {
    device: sheet.text("watchdog", "device"),
    timeoutS: sheet.number("watchdog", "timeout"),
  };
}

/** Section [metrics] of a sheet without problems. */
export function metricsOf(sheet: Sheet): MetricsSettings {
  return {
    file: sheet.text("metrics", "file"),
    port: sheet.number("metrics", "port"),
    intervalS: sheet.number("metrics", "update-interval"),
  };
}
