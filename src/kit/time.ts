// time: calendar seconds as text, without the host's calendar.
// Neighbours: status, telemetry and log lines that name a moment or a length of time.
// Invariant: pure arithmetic on the proleptic Gregorian calendar, UTC only.

function two(value: number): string {
  return value < 10 ? `0${value}` : `${value}`;
}

/**
 * ISO 8601 UTC, whole seconds: `2026-11-24T06:44:56Z`.
 * @param wallS Unix seconds, 0 .. 253402300799 (year 9999); fractions are cut off.
 */
export function isoUtc(wallS: number): string {
  const total = Math.floor(wallS);
  const days = Math.floor(total / 86_400);
  const rest = total - days * 86_400;
  // Days since 0000-03-01, so that the leap day is a year's last and months follow one formula.
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1;
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const hour = Math.floor(rest / 3600);
  const minute = Math.floor((rest % 3600) / 60);
  const date = `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}`;
  return `${date}T${two(hour)}:${two(minute)}:${two(rest % 60)}Z`;
}

/**
 * A length of time for people: `850 ms`, `12.5 s`, `3 min 20 s`, `7 h 5 min`, `3 d 4 h`.
 * @param ms 0 or more
 */
export function lengthOf(ms: number): string {
  if (Math.round(ms) < 1000) return `${Math.round(ms)} ms`;
  const tenths = Math.round(ms / 100);
  if (tenths < 600) return `${tenths / 10} s`;
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return joined(minutes, "min", seconds % 60, "s");
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return joined(hours, "h", minutes % 60, "min");
  return joined(Math.floor(hours / 24), "d", hours % 24, "h");
}

function joined(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}
