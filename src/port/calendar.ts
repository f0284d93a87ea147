// Calendar: when a cron expression has its next occurrence.
// Neighbours: `core/schedule` asks through the turn; `main` checks the expression of the settings.
// Invariant: an expression that is taken has an occurrence ahead of the moment it was taken at; the
// library is loaded at the first call and not before: with the time zones it costs 11 MB of memory.

import type { Cron, CronOptions } from "croner";
import type { Calendar } from "../core/effects.ts";

const NEVER = Number.POSITIVE_INFINITY;
const ALLOWED = "allowed: 5 fields as in crontab, or 6 or 7 as in Quartz, e.g. `0 0 0 ? * * *`";
/** Quartz: seconds minutes hours day month weekday [year]; crontab has the middle five. */
const UNIX_FIELDS = 5;
const DAY_FIELD = 3;
const WEEKDAY_FIELD = 5;
/** Longer is no schedule of anybody, and the reader of the library is not made for it. */
const EXPRESSION_CHARACTERS_MAX = 200;

/** The occurrences of one cron expression. */
export class CronCalendar implements Calendar {
  private constructor(private readonly cron: Cron) {}

  /**
   * The calendar of an expression, or one line that says what is wrong with it.
   * @param expression 5 fields: crontab, where Sunday is 0 or 7; 6 or 7: Quartz, where it is 1
   * @param zone IANA name of the time zone; "" for that of the system
   * @param wallS now, in Unix s: an expression without any later occurrence is refused
   */
  static async of(expression: string, zone: string, wallS: number): Promise<Calendar | string> {
    const problem = shapeProblem(expression);
    if (problem !== "") return problem;
    const { Cron } = await import("croner");
    const fields = expression.trim().split(/\s+/);
    const isQuartz = fields.length > UNIX_FIELDS;
    const options: CronOptions = { alternativeWeekdays: isQuartz, sloppyRanges: isQuartz };
    if (zone !== "") options.timezone = zone;
    try {
      const calendar = new CronCalendar(new Cron(fields.join(" "), options));
      if (calendar.nextS(wallS) !== NEVER) return calendar;
      return `\`${expression}\` never occurs from now on; ${ALLOWED}`;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (zone !== "" && /time ?zone/i.test(reason)) return `no time zone is called \`${zone}\``;
      return `\`${expression}\`: ${reason.replace(/^CronPattern: /, "")}; ${ALLOWED}`;
    }
  }

  nextS(wallS: number): number {
    const next = this.cron.nextRun(new Date(wallS * 1000));
    return next === null || next === undefined ? NEVER : Math.floor(next.getTime() / 1000);
  }
}

/** What the library would take, or refuse without a clear word. */
function shapeProblem(expression: string): string {
  if (expression.length > EXPRESSION_CHARACTERS_MAX) {
    return `more than ${EXPRESSION_CHARACTERS_MAX} characters; ${ALLOWED}`;
  }
  const fields = expression.trim().toUpperCase().split(/\s+/);
  const refuse = (reason: string) => `\`${expression}\`: ${reason}; ${ALLOWED}`;
  if (fields.length < UNIX_FIELDS || fields.length > 7) {
    return refuse(`${expression.trim() === "" ? 0 : fields.length} fields`);
  }
  const strange = fields.find((field) => !/^[0-9A-Z*?,/#-]+$/.test(field));
  if (strange !== undefined) return refuse(`\`${strange}\` is no field of a schedule`);
  if (fields.length === UNIX_FIELDS) return "";
  const day = fields[DAY_FIELD]!;
  const weekday = fields[WEEKDAY_FIELD]!;
  const isAny = (field: string) => field === "*" || field === "?";
  if (!isAny(day) && !isAny(weekday)) {
    return refuse("a day of the month and a day of the week together; one of them must be `?`");
  }
  if (/^L-|L-\d/.test(day)) return refuse("days counted back from the last are not known here");
  if (/(^|[,-])([089]|\d\d+)($|[,/#L-])/.test(weekday.replace(/[#/]\d+/g, ""))) {
    return refuse("weekdays are 1 (Sunday) to 7 (Saturday), or SUN to SAT");
  }
  if (weekday === "L") return refuse("write the last day of the week as SAT");
  return "";
}
