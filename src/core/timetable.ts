// Timetable: connection.schedule.* of section [data]: when a metered link is to be up.
// Neighbours: `schema` has these keys in its table; `schedule` is the machine; the calendar behind
// the expression is made, and so checked, by `command/configuration`.
// Invariant: names and meaning are those of Kura's DataService.

import { INACTIVITY_S_DEFAULT, INACTIVITY_S_MAX } from "../limits.ts";
import { Applies, BOOLEAN, integer, type Key } from "./key.ts";
import type { ScheduleSettings } from "./schedule.ts";
import type { Sheet } from "./sheet.ts";
import { Kind, type Value } from "./value.ts";

/** A schedule, and the calendar that it goes by. */
export interface TimetableSettings extends ScheduleSettings {
  /** Cron expression of 5, 6 or 7 fields. */
  readonly expression: string;
  /** IANA name; "" for the zone of the system. */
  readonly zone: string;
}

const SECTION = "data";
const ENABLED = "connection.schedule.enabled";
/** What is wrong with a calendar is told at these keys. */
export const EXPRESSION = "connection.schedule.expression";
export const ZONE = "connection.schedule.timezone";
const OVERRIDE = "connection.schedule.priority.override.enable";
const THRESHOLD = "connection.schedule.priority.override.threshold";
const INACTIVITY = "connection.schedule.inactivity.interval.seconds";

const CRON: Value = {
  kind: Kind.TEXT,
  shape: /^[ -~]{1,200}$/,
  words: "5 fields as in crontab, or 6 or 7 as in Quartz",
};
const ZONE_NAME: Value = {
  kind: Kind.TEXT,
  shape: /^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/,
  words: "the name of a time zone like Europe/Rome or UTC",
};

/** The keys, in the order of `conf/azimuth.ini`. */
export const TIMETABLE_KEYS: readonly Key[] = [
  {
    section: SECTION,
    name: ENABLED,
    value: BOOLEAN,
    fallback: "false",
    applies: Applies.AT_ONCE,
    meaning:
      "Connect at the times of the next key alone, until nothing is left to say; without " +
      "connect.auto-on-startup = true it has no effect.",
  },
  {
    section: SECTION,
    name: EXPRESSION,
    value: CRON,
    fallback: "0 0 0 ? * * *",
    applies: Applies.AT_ONCE,
    meaning: "When to connect: seconds, minutes, hours, day, month, weekday, year.",
  },
  {
    section: SECTION,
    name: ZONE,
    value: ZONE_NAME,
    fallback: "",
    applies: Applies.AT_ONCE,
    meaning: "Time zone of the key above; left out for that of the system.",
  },
  {
    section: SECTION,
    name: OVERRIDE,
    value: BOOLEAN,
    fallback: "false",
    applies: Applies.AT_ONCE,
    meaning: "Connect at once, whatever the time, for a message as urgent as the next key says.",
  },
  {
    section: SECTION,
    name: THRESHOLD,
    value: integer(0, 9, ""),
    fallback: "1",
    applies: Applies.AT_ONCE,
    meaning: "Least urgent priority that connects at once.",
  },
  {
    section: SECTION,
    name: INACTIVITY,
    value: integer(1, INACTIVITY_S_MAX, "seconds"),
    fallback: String(INACTIVITY_S_DEFAULT),
    applies: Applies.AT_ONCE,
    meaning:
      "A scheduled connection ends after so long without a message; never with one that waits.",
  },
];

/** The schedule of a sheet without problems. */
export function timetableOf(sheet: Sheet): TimetableSettings {
  const isEnabled = sheet.isTrue(SECTION, ENABLED);
  return {
    isEnabled: isEnabled && sheet.isTrue(SECTION, "connect.auto-on-startup"),
    expression: sheet.text(SECTION, EXPRESSION),
    zone: sheet.text(SECTION, ZONE),
    overrideThreshold: sheet.isTrue(SECTION, OVERRIDE) ? sheet.number(SECTION, THRESHOLD) : -1,
    inactivityS: sheet.number(SECTION, INACTIVITY),
  };
}
