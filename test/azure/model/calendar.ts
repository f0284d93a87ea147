/**
 * Unix milliseconds to ISO 8601 UTC text and back, without `Date`: the model may not know a clock.
 * Neighbours: `events.ts` stamps, `section.ts` metadata, `mailbox.ts` reads expiry times.
 * Invariant: pure arithmetic of the proleptic Gregorian calendar; the same input, the same text.
 */

const DAY_MS = 86_400_000;
/** A day in a leap cycle of 400 years; the cycle is counted from 1 March of year 0. */
const CYCLE_DAYS = 146_097;
/** Days from 0000-03-01 to 1970-01-01. */
const EPOCH_DAYS = 719_468;

const pad2 = (value: number): string => (value < 10 ? `0${value}` : `${value}`);
const pad3 = (value: number): string => `${value}`.padStart(3, "0");

function dateText(days: number): string {
  const shifted = days + EPOCH_DAYS;
  const cycle = Math.floor(shifted / CYCLE_DAYS);
  const day = shifted - cycle * CYCLE_DAYS;
  const leaps = Math.floor(day / 1460) - Math.floor(day / 36_524) + Math.floor(day / 146_096);
  const yearOfCycle = Math.floor((day - leaps) / 365);
  const dayOfYear =
    day - (365 * yearOfCycle + Math.floor(yearOfCycle / 4) - Math.floor(yearOfCycle / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const dayOfMonth = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = yearOfCycle + cycle * 400 + (month <= 2 ? 1 : 0);
  return `${`${year}`.padStart(4, "0")}-${pad2(month)}-${pad2(dayOfMonth)}`;
}

function dayNumber(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const cycle = Math.floor(shifted / 400);
  const yearOfCycle = shifted - cycle * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const leaps = Math.floor(yearOfCycle / 4) - Math.floor(yearOfCycle / 100);
  return cycle * CYCLE_DAYS + yearOfCycle * 365 + leaps + dayOfYear - EPOCH_DAYS;
}

/** `YYYY-MM-DDThh:mm:ss.mmmZ` of a Unix time in ms (years 0 to 9999). */
export function isoTime(unixMs: number): string {
  const whole = Math.floor(unixMs);
  const days = Math.floor(whole / DAY_MS);
  let rest = whole - days * DAY_MS;
  const hour = Math.floor(rest / 3_600_000);
  rest -= hour * 3_600_000;
  const minute = Math.floor(rest / 60_000);
  rest -= minute * 60_000;
  const second = Math.floor(rest / 1000);
  const time = `${pad2(hour)}:${pad2(minute)}:${pad2(second)}.${pad3(rest - second * 1000)}`;
  return `${dateText(days)}T${time}Z`;
}

const ISO = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)?$/;

/** Unix ms of an ISO 8601 UTC text, or NaN when it is none. */
export function parseIso(text: string): number {
  const match = ISO.exec(text);
  if (match === null) return Number.NaN;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (month < 1 || month > 12 || day < 1 || day > 31) return Number.NaN;
  if (hour > 23 || minute > 59 || second > 60) return Number.NaN;
  const days = dayNumber(year, month, day);
  if (dateText(days) !== `${match[1]}-${match[2]}-${match[3]}`) return Number.NaN;
  const fraction = Number((match[7] ?? "").padEnd(3, "0").slice(0, 3));
  return days * DAY_MS + hour * 3_600_000 + minute * 60_000 + second * 1000 + fraction;
}
