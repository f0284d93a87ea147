// Calendar, tested: next occurrences known from elsewhere, both dialects, refusals in clear words.
// Neighbours: `src/port/calendar.ts`; `schedule.test` plays with a calendar of its own.
// Invariant: moments are written as ISO 8601 by hand; the library is never asked for the answer.

import { describe, expect, test } from "bun:test";
import type { Calendar } from "../../src/core/effects.ts";
import { CronCalendar } from "../../src/port/calendar.ts";

/** A Tuesday. */
const NOW = "2026-11-24T10:00:00Z";

function unix(iso: string): number {
  return Date.parse(iso) / 1000;
}

async function calendar(expression: string, zone = "UTC"): Promise<Calendar> {
  const made = await CronCalendar.of(expression, zone, unix(NOW));
  if (typeof made === "string") throw new Error(made);
  return made;
}

async function problem(expression: string, zone = "UTC"): Promise<string> {
  const made = await CronCalendar.of(expression, zone, unix(NOW));
  return typeof made === "string" ? made : "taken";
}

async function next(expression: string, zone = "UTC", from = NOW): Promise<string> {
  const nextS = (await calendar(expression, zone)).nextS(unix(from));
  return nextS === Number.POSITIVE_INFINITY ? "never" : new Date(nextS * 1000).toISOString();
}

describe("the next occurrence", () => {
  test.each([
    // Quartz, as Kura writes it
    ["0 0 0 ? * * *", "2026-11-25T00:00:00.000Z"],
    ["0 0 0 * * ?", "2026-11-25T00:00:00.000Z"],
    ["0 0/15 8-17 ? * MON-FRI *", "2026-11-24T10:15:00.000Z"],
    ["30 5 10 ? * * 2026", "2026-11-24T10:05:30.000Z"],
    ["0 0 12 ? * 1 *", "2026-11-29T12:00:00.000Z"],
    ["0 0 12 ? * 7 *", "2026-11-28T12:00:00.000Z"],
    ["0 0 12 ? * SUN *", "2026-11-29T12:00:00.000Z"],
    ["0 0 0 ? * 6#3", "2026-12-18T00:00:00.000Z"],
    ["0 0 0 ? * 6L", "2026-11-27T00:00:00.000Z"],
    ["0 0 0 L * ?", "2026-11-30T00:00:00.000Z"],
    ["0 0 0 15W 8 ?", "2027-08-16T00:00:00.000Z"],
    ["0 0 0 29 2 ? *", "2028-02-29T00:00:00.000Z"],
    ["0 0 6 1 1 ? 2030", "2030-01-01T06:00:00.000Z"],
    // crontab
    ["*/5 * * * *", "2026-11-24T10:05:00.000Z"],
    ["0 12 * * 0", "2026-11-29T12:00:00.000Z"],
    ["0 12 * * 7", "2026-11-29T12:00:00.000Z"],
    ["0 12 * * 1", "2026-11-30T12:00:00.000Z"],
    // crontab(5): a day of the month or a day of the week
    ["0 0 26 * MON", "2026-11-26T00:00:00.000Z"],
    ["  0   3  * *   * ", "2026-11-25T03:00:00.000Z"],
  ])("of %s is %s", async (expression, expected) => {
    expect(await next(expression)).toBe(expected);
  });

  test("lies after the moment, also when that is an occurrence itself", async () => {
    expect(await next("0 0 10 ? * * *")).toBe("2026-11-25T10:00:00.000Z");
    expect(await next("0 0 10 ? * * *", "UTC", "2026-11-24T09:59:59Z")).toBe(
      "2026-11-24T10:00:00.000Z",
    );
  });

  test("follows the time zone through its changes", async () => {
    expect(await next("0 0 2 ? * *", "Europe/Rome")).toBe("2026-11-25T01:00:00.000Z");
    expect(await next("0 0 2 ? * *", "Europe/Rome", "2026-07-01T10:00:00Z")).toBe(
      "2026-07-02T00:00:00.000Z",
    );
  });

  test("comes every day of the change to and from summer time", async () => {
    const daily = await calendar("0 30 2 ? * *", "Europe/Rome");
    for (const day of ["2027-03-27T12:00:00Z", "2027-10-30T12:00:00Z"]) {
      const nextS = daily.nextS(unix(day));
      expect(nextS - unix(day)).toBeGreaterThan(11 * 3600);
      expect(nextS - unix(day)).toBeLessThan(15 * 3600);
      const afterS = daily.nextS(nextS);
      expect(afterS - nextS).toBeGreaterThan(20 * 3600);
      expect(afterS - nextS).toBeLessThan(28 * 3600);
    }
  });

  test("is found from 1970 and from 2100 too", async () => {
    expect(await next("0 0 0 ? * * *", "UTC", "1970-01-01T00:00:05Z")).toBe(
      "1970-01-02T00:00:00.000Z",
    );
    expect(await next("0 0 0 ? * * *", "UTC", "2100-02-28T00:00:05Z")).toBe(
      "2100-03-01T00:00:00.000Z",
    );
  });

  test("is never, once a list of years is through", async () => {
    expect(await next("0 0 0 1 1 ? 2027", "UTC", "2027-06-01T00:00:00Z")).toBe("never");
  });

  test("in the zone of the system, when none is named", async () => {
    const local = new Date(2026, 10, 25, 4, 0, 0);
    expect(await next("0 0 4 ? * *", "")).toBe(local.toISOString());
  });
});

describe("refused", () => {
  test.each([
    ["", "``: 0 fields; "],
    ["* * *", "`* * *`: 3 fields; "],
    ["0 0 0 ? * * * *", "`0 0 0 ? * * * *`: 8 fields; "],
    ["2026-12-01T00:00:00", "`2026-12-01T00:00:00`: 1 fields; "],
    ["@daily", "`@daily`: 1 fields; "],
    ["0 0 0 15 * MON", "a day of the month and a day of the week together; one of them must be"],
    ["0 0 0 ? * 0", "weekdays are 1 (Sunday) to 7 (Saturday)"],
    ["0 0 0 ? * 8 *", "weekdays are 1 (Sunday) to 7 (Saturday)"],
    ["0 0 0 ? * 2-8 *", "weekdays are 1 (Sunday) to 7 (Saturday)"],
    ["0 0 0 ? * L", "write the last day of the week as SAT"],
    ["0 0 0 L-3 * ?", "days counted back from the last are not known here"],
    ["0 0 0 15C * ?", "; allowed: 5 fields"],
    ["H 0 0 * * ?", "illegal characters"],
    ["0 0 0 1 * +MON", "`+MON` is no field of a schedule"],
    ["60 * * * *", "Invalid value for minute: 60"],
    ["0 0 24 ? * *", "Invalid value for hour: 24"],
    ["*/0 * * * *", "; allowed: 5 fields"],
    ["0 0 30 2 *", "`0 0 30 2 *` never occurs from now on; "],
    ["0 0 0 1 1 ? 2020", "`0 0 0 1 1 ? 2020` never occurs from now on; "],
    [`0 0 ${"1,".repeat(200)}1 * *`, "more than 200 characters; "],
  ])("%s", async (expression, expected) => {
    const text = await problem(expression);
    expect(text).toContain(expected);
    expect(text).toEndWith(
      "allowed: 5 fields as in crontab, or 6 or 7 as in Quartz, e.g. `0 0 0 ? * * *`",
    );
    expect(text).not.toContain("\n");
  });

  test("a time zone that nobody knows", async () => {
    expect(await problem("0 0 0 ? * * *", "Mars/Base")).toBe("no time zone is called `Mars/Base`");
  });
});

test("an occurrence of a weekday is not mistaken for a weekday that is out of range", async () => {
  expect(await problem("0 0 0 ? * 2#5 *")).toBe("taken");
  expect(await problem("0 0 0 ? * 2-6/2 *")).toBe("taken");
  expect(await problem("0 0 0 ? * 1,7 *")).toBe("taken");
});
