// Schedule, tested: its table cell by cell, clocks that jump, and what is never given up.
// Neighbours: `src/core/schedule.ts`; `metered.test` runs it for 72 hours.
// Invariant: the calendar is a hand on the test's side: occurrences are given, never computed.

import { describe, expect, test } from "bun:test";
import { Schedule, type ScheduleSettings, ScheduleState } from "../../src/core/schedule.ts";
import { walkTable } from "./table.ts";
import { World } from "./world.ts";

const ON: ScheduleSettings = { isEnabled: true, overrideThreshold: 1, inactivityS: 60 };
const OFF: ScheduleSettings = { ...ON, isEnabled: false };
/** A moment of the calendar, and the next occurrence after it. */
const WALL_S = 1_800_000_000;
const HOUR_S = 3600;

interface Subject extends World {
  schedule: Schedule;
}

function subject(): Subject {
  const world = new World();
  return Object.assign(world, { schedule: new Schedule(world.effects, ON) });
}

const WAYS: Readonly<Record<string, (schedule: Schedule) => void>> = {
  OFF: () => {},
  AWAIT_CONNECT_TIME: (schedule) => {
    schedule.configure(ON, false, 0, WALL_S);
    schedule.onPlanned(WALL_S + HOUR_S, 0, WALL_S);
  },
  AWAIT_CONNECT: (schedule) => {
    schedule.configure(ON, false, 0, WALL_S);
    schedule.onAsked(0);
  },
  AWAIT_QUIET: (schedule) => schedule.configure(ON, true, 0, WALL_S),
  AWAIT_DISCONNECT: (schedule) => {
    schedule.configure(ON, true, 0, WALL_S);
    schedule.onDeadline(0, 60_000, WALL_S + 60);
  },
  HELD: (schedule) => {
    schedule.configure(ON, true, 0, WALL_S);
    schedule.onHeld();
  },
};

function scheduleIn(state: string): Subject {
  const one = subject();
  WAYS[state]!(one.schedule);
  one.look();
  return one;
}

walkTable<Subject>({
  file: "core/schedule.ts",
  states: Object.fromEntries(Object.keys(WAYS).map((state) => [state, () => scheduleIn(state)])),
  stateOf: ({ schedule }) => ScheduleState[schedule.state]!,
  events: {
    time: ({ schedule }) => void schedule.onDeadline(0, HOUR_S * 1000, WALL_S + HOUR_S),
    message: ({ schedule }) => void schedule.onMessage(2, 1000),
    urgent: ({ schedule }) => void schedule.onMessage(1, 1000),
    activity: ({ schedule }) => void schedule.onActivity(1000),
    up: ({ schedule }) => void schedule.onUp(1000),
    down: ({ schedule }) => void schedule.onDown(false, 1000, WALL_S + 1),
    "down, urgent": ({ schedule }) => void schedule.onDown(true, 1000, WALL_S + 1),
    asked: ({ schedule }) => void schedule.onAsked(1000),
    held: ({ schedule }) => void schedule.onHeld(),
    off: ({ schedule }) => void schedule.configure(OFF, false, 1000, WALL_S + 1),
    on: ({ schedule }) => void schedule.configure(ON, false, 1000, WALL_S + 1),
  },
  look: (one) => one.look(),
});

test("a connection is wanted while it is made and while it is used, and only then", () => {
  const wanting = Object.keys(WAYS).filter((state) => scheduleIn(state).schedule.wants);
  expect(wanting).toEqual(["AWAIT_CONNECT", "AWAIT_QUIET"]);
  const having = Object.keys(WAYS).filter((state) => !scheduleIn(state).schedule.isOn);
  expect(having).toEqual(["OFF"]);
});

describe("the inactivity interval", () => {
  for (const [name, act] of [
    ["a message", (schedule: Schedule) => schedule.onMessage(9, 30_000)],
    ["an acknowledgement", (schedule: Schedule) => schedule.onActivity(30_000)],
    ["an operator", (schedule: Schedule) => schedule.onAsked(30_000)],
    ["new settings", (schedule: Schedule) => schedule.configure(ON, true, 30_000, WALL_S + 30)],
  ] as const) {
    test(`begins anew with ${name}`, () => {
      const { schedule } = scheduleIn("AWAIT_QUIET");
      act(schedule);
      schedule.onDeadline(0, 89_999, WALL_S + 90);
      expect(schedule.wants).toBe(true);
      schedule.onDeadline(0, 90_000, WALL_S + 90);
      expect(schedule.state).toBe(ScheduleState.AWAIT_DISCONNECT);
    });
  }

  test("does not end the connection while a message waits or is in flight", () => {
    const { schedule } = scheduleIn("AWAIT_QUIET");
    let nowMs = 0;
    for (let round = 0; round < 100; round++) {
      nowMs = schedule.deadlineMs;
      schedule.onDeadline(1, nowMs, WALL_S + nowMs / 1000);
      expect(schedule.wants).toBe(true);
      expect(schedule.deadlineMs).toBe(nowMs + 60_000);
    }
    schedule.onDeadline(0, schedule.deadlineMs, WALL_S + nowMs / 1000 + 60);
    expect(schedule.wants).toBe(false);
  });
});

describe("the threshold of the override", () => {
  test.each([
    [-1, 0, false],
    [0, 0, true],
    [0, 1, false],
    [1, 1, true],
    [4, 3, true],
    [4, 5, false],
  ])("%d: a message of priority %d connects: %p", (overrideThreshold, priority, expected) => {
    const { effects } = subject();
    const schedule = new Schedule(effects, { ...ON, overrideThreshold });
    schedule.configure({ ...ON, overrideThreshold }, false, 0, WALL_S);
    schedule.onMessage(priority, 1);
    expect(schedule.wants).toBe(expected);
  });
});

/** Lets monotonic time pass in looks, with the calendar as it is at each; ms when it connected. */
function passUntilWanted(schedule: Schedule, wallOf: (nowMs: number) => number): number {
  for (let look = 0; look < 10_000; look++) {
    const nowMs = schedule.deadlineMs;
    schedule.onDeadline(0, nowMs, wallOf(nowMs));
    if (schedule.wants) return nowMs;
    if (schedule.nextS === Number.POSITIVE_INFINITY) return -1;
  }
  throw new Error("never");
}

describe("the clock", () => {
  test("that runs true: connected at the moment, not before, with a look a minute", () => {
    const one = scheduleIn("AWAIT_CONNECT_TIME");
    const at = passUntilWanted(one.schedule, (nowMs) => WALL_S + Math.floor(nowMs / 1000));
    expect(at).toBe(HOUR_S * 1000);
    expect(one.look()).toEqual([]);
  });

  test("that runs 1 % slow or fast: connected when the calendar says so", () => {
    for (const pace of [0.99, 1.01]) {
      const { schedule } = scheduleIn("AWAIT_CONNECT_TIME");
      const at = passUntilWanted(schedule, (nowMs) => WALL_S + Math.floor((nowMs * pace) / 1000));
      expect(at * pace).toBeGreaterThanOrEqual(HOUR_S * 1000);
      expect(at * pace).toBeLessThan(HOUR_S * 1000 + 61_000);
    }
  });

  test("that is set back or far ahead: a new plan, within a minute", () => {
    for (const jumpS of [-30 * 86_400, -61, 61, 600]) {
      const one = scheduleIn("AWAIT_CONNECT_TIME");
      expect(one.schedule.deadlineMs).toBe(60_000);
      one.schedule.onDeadline(0, 60_000, WALL_S + 60 + jumpS);
      expect(one.look()).toEqual(["plan"]);
      expect(one.schedule.wants).toBe(false);
    }
  });

  test("that is set by less than a minute: no new plan", () => {
    for (const jumpS of [-60, 0, 60]) {
      const one = scheduleIn("AWAIT_CONNECT_TIME");
      one.schedule.onDeadline(0, 60_000, WALL_S + 60 + jumpS);
      expect(one.look()).toEqual([]);
      expect(one.schedule.deadlineMs).toBe(120_000);
    }
  });

  test("that jumps over the moment: made up for at once", () => {
    const one = scheduleIn("AWAIT_CONNECT_TIME");
    one.schedule.onDeadline(0, 60_000, WALL_S + HOUR_S + 120);
    expect(one.schedule.wants).toBe(true);
  });

  test("that leaves 1970: a new plan, not a connection for all that was missed", () => {
    const one = subject();
    one.schedule.configure(ON, false, 0, 30);
    one.schedule.onPlanned(86_400, 0, 30);
    one.look();
    one.schedule.onDeadline(0, 60_000, WALL_S);
    expect(one.schedule.wants).toBe(false);
    expect(one.look()).toEqual(["plan"]);
    one.schedule.onPlanned(WALL_S + 100, 60_000, WALL_S);
    expect(one.schedule.deadlineMs).toBe(120_000);
  });
});

describe("the log", () => {
  test("names the next connection, or that there is none", () => {
    const one = subject();
    one.schedule.configure(ON, false, 0, WALL_S);
    one.schedule.onPlanned(Date.UTC(2027, 0, 16) / 1000, 0, WALL_S);
    expect(one.logs()).toEqual(["the connection schedule connects at 2027-01-16T00:00:00Z"]);
    one.look();
    one.schedule.onPlanned(Number.POSITIVE_INFINITY, 0, WALL_S);
    expect(one.logs()).toEqual(["the connection schedule has no further connection"]);
    expect(passUntilWanted(one.schedule, () => WALL_S)).toBe(-1);
  });
});

test("an answer of the calendar that nobody waits for changes nothing", () => {
  for (const state of Object.keys(WAYS)) {
    if (state === "AWAIT_CONNECT_TIME") continue;
    const { schedule } = scheduleIn(state);
    const before = schedule.deadlineMs;
    schedule.onPlanned(WALL_S, 0, WALL_S);
    expect(ScheduleState[schedule.state]).toBe(state);
    expect(schedule.deadlineMs).toBe(before);
  }
});
