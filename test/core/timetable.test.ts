// Timetable, tested: connection.schedule.* as they are read from a settings file.
// Neighbours: `src/core/timetable.ts`; `schedule.test` has what is done with them.
// Invariant: files are written out here as an operator would.

import { describe, expect, test } from "bun:test";
import { problemsOf, settingsOf, withLines } from "./file.ts";

const AUTO = "[data]\nconnect.auto-on-startup = true\n";

test("everything given", () => {
  const { schedule } = settingsOf(
    withLines(`${AUTO}
      connection.schedule.enabled = true
      connection.schedule.expression = */5 2 * * 1
      connection.schedule.timezone = America/Port-au-Prince
      connection.schedule.priority.override.enable = true
      connection.schedule.priority.override.threshold = 0
      connection.schedule.inactivity.interval.seconds = 1`),
  );
  expect(schedule).toEqual({
    isEnabled: true,
    expression: "*/5 2 * * 1",
    zone: "America/Port-au-Prince",
    overrideThreshold: 0,
    inactivityS: 1,
  });
});

test("without auto-on-startup it is not enabled, as in Kura", () => {
  const enabled = "connection.schedule.enabled = true";
  expect(settingsOf(withLines(`[data]\n${enabled}`)).schedule.isEnabled).toBe(false);
  expect(settingsOf(withLines(`${AUTO}${enabled}`)).schedule.isEnabled).toBe(true);
});

test("a threshold without the override means nothing", () => {
  const threshold = "connection.schedule.priority.override.threshold = 9";
  expect(settingsOf(withLines(`${AUTO}${threshold}`)).schedule.overrideThreshold).toBe(-1);
});

describe("refused", () => {
  test.each([
    ["connection.schedule.timezone = Rome!", "the name of a time zone like Europe/Rome or UTC"],
    ["connection.schedule.priority.override.threshold = 10", "0 .. 9"],
    ["connection.schedule.inactivity.interval.seconds = 0", "1 .. 86400 seconds"],
  ])("%s", (line, allowed) => {
    const [problem, ...more] = problemsOf(withLines(`[data]\n${line}`));
    expect(problem).toEndWith(`; allowed: ${allowed}`);
    expect(more).toEqual([]);
  });
});
