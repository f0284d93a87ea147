// Ladder, tested: its table cell by cell, causes written before, starts that follow a rung.
// Neighbours: `src/core/ladder.ts`; `outage.test` has it climb for days, `logbook` has the budgets.
// Invariant: what is remembered is played back as text alone, as the store would.

import { describe, expect, test } from "bun:test";
import { Cause, Level, Verb } from "../../src/core/effects.ts";
import { Ladder, LadderState } from "../../src/core/ladder.ts";
import { Rung } from "../../src/core/logbook.ts";
import { ALL, DAY_MS, Dead, fail, MINUTE_MS, TEXT, WALL_S } from "./dead.ts";
import { walkTable } from "./table.ts";
import { World } from "./world.ts";

interface Subject extends World {
  ladder: Ladder;
}

function subject(settings = ALL): Subject {
  const world = new World();
  const ladder = new Ladder(world.effects, world.counters, settings);
  ladder.start("", "b1", 0);
  return Object.assign(world, { ladder });
}

/** A ladder in a state, entered at 9 minutes; see `ticketOf` for what it waits for. */
function ladderIn(state: string): Subject {
  const one = subject();
  const { ladder } = one;
  fail(ladder, 0, 10);
  if (state === "RECORDING") return one;
  ladder.onRemembered(1, true, 9 * MINUTE_MS);
  if (state === "CLIMBING") return one;
  ladder.onClimbed("", 9 * MINUTE_MS);
  return one;
}

const ticketOf = (state: string) => (state === "NOTING" ? 2 : 1);

/** Watching, with something spent and a last failure to come. */
function watching(): Subject {
  const one = ladderIn("NOTING");
  one.ladder.onRemembered(2, true, 9 * MINUTE_MS);
  fail(one.ladder, 10 * MINUTE_MS, 9);
  one.look();
  return one;
}

const AT_MS = 20 * MINUTE_MS;

walkTable<Subject>({
  file: "core/ladder.ts",
  states: {
    WATCHING: watching,
    NOTING: () => ladderIn("NOTING"),
    RECORDING: () => ladderIn("RECORDING"),
    CLIMBING: () => ladderIn("CLIMBING"),
  },
  stateOf: ({ ladder }) => LadderState[ladder.state]!,
  events: {
    failure: ({ ladder }) => {
      ladder.failures = 0;
      ladder.onFailure(Cause.DIAL_TIMEOUT, TEXT, AT_MS, WALL_S);
    },
    "last failure": ({ ladder }) => {
      ladder.onFailure(Cause.DIAL_TIMEOUT, TEXT, AT_MS, WALL_S);
    },
    remembered: ({ ladder }) => void answer(ladder, true),
    "not remembered": ({ ladder }) => void answer(ladder, false),
    climbed: ({ ladder }) => void ladder.onClimbed("", AT_MS),
    refused: ({ ladder }) => {
      ladder.onFailure(Cause.CONNACK_NOT_AUTHORISED, TEXT, AT_MS, WALL_S);
    },
    up: ({ ladder }) => void ladder.onUp(AT_MS),
    held: ({ ladder }) => void ladder.onHeld(AT_MS),
    deadline: ({ ladder }) => void ladder.onDeadline(DAY_MS),
  },
  look: (one) => one.look(),
});

function answer(ladder: Ladder, isDurable: boolean): void {
  ladder.onRemembered(ticketOf(LadderState[ladder.state]!), isDurable, AT_MS);
}

describe("the cause", () => {
  test("is in the text before the rung is climbed, and readable after the start", () => {
    const one = subject();
    fail(one.ladder, 0, 10);
    const text = remembered(one);
    expect(one.look()).toEqual(["remember"]);
    expect(started(text, "b1").ladder.book.climbs).toEqual([
      {
        rung: Rung.REFRESH,
        cause: "DIAL_TIMEOUT",
        text: TEXT,
        atS: WALL_S,
        boot: "b1",
        outcome: "cut short",
      },
    ]);
  });

  test("that cannot be written leaves the rung out, and the next ones wait their turn", () => {
    const one = subject();
    fail(one.ladder, 0, 10);
    one.look();
    one.ladder.onRemembered(1, false, 10 * MINUTE_MS);
    expect(one.look()).toEqual(["remember"]);
    expect(one.ladder.book.climbs[0]!.outcome).toContain("could not be written down");
    one.ladder.onRemembered(2, false, 10 * MINUTE_MS);
    fail(one.ladder, 11 * MINUTE_MS, 10);
    expect(one.look()).toEqual(["remember"]);
  });

  test("is written in time or not at all: an answer that comes too late climbs nothing", () => {
    const one = subject();
    const { ladder } = one;
    fail(ladder, 0, 10);
    ladder.onDeadline(ladder.deadlineMs);
    one.look();
    ladder.onRemembered(1, true, ladder.deadlineMs);
    expect(one.look()).toEqual(["stray"]);
  });
});

/** The text of the newest `remember` of a step not looked at yet. */
function remembered(one: Subject): string {
  return one.effects.texts[Array.from(one.effects.verbs).indexOf(Verb.REMEMBER)]!;
}

/** A ladder that is about to climb this rung, and no other. */
function before(rung: Rung): Subject {
  const one = subject({ ...ALL, perDay: ALL.perDay.map((_, at) => (at === rung ? 1 : 0)) });
  fail(one.ladder, 0, 10);
  return one;
}

function started(text: string, boot: string): Subject {
  const one = subject();
  one.ladder.start(text, boot, 0);
  return one;
}

describe("a start", () => {
  test("that follows a rung says so, once", () => {
    const one = started(remembered(before(Rung.REBOOT)), "b2");
    expect(one.logs()).toEqual([
      `this start follows restart of the machine of 2027-01-15T08:00:00Z, because: ${TEXT}`,
    ]);
    expect(started(remembered(one), "b2").logs()).toEqual([]);
  });

  test("of the process alone does not follow a restart of the machine", () => {
    const one = started(remembered(before(Rung.REBOOT)), "b1");
    expect(one.logs()[0]).toStartWith(
      "this start comes after an unfinished restart of the machine",
    );
    expect(one.ladder.book.climbs[0]!.outcome).toBe("cut short");
  });

  test("after a rung that was given up has nothing to say", () => {
    const one = before(Rung.RESTART);
    one.look();
    one.ladder.onUp(10 * MINUTE_MS);
    const next = started(remembered(one), "b1");
    expect(next.logs()).toEqual([]);
    expect(next.ladder.book.climbs[0]!.outcome).toBe("not done: connected again");
  });

  test("after a restart of the process that did not help goes on above it", () => {
    const next = started(remembered(before(Rung.RESTART)), "b1");
    next.ladder.onRemembered(1, true, 0);
    fail(next.ladder, 0, 10);
    expect(next.ladder.book.climbs.at(-1)!.rung).toBe(Rung.HOOK);
  });

  test("with a logbook that cannot be read: an error, and nothing for a day of running", () => {
    const one = started("{", "b1");
    expect(one.effects.numbers[Array.from(one.effects.verbs).indexOf(Verb.LOG)]).toBe(Level.ERROR);
    const dead = new Dead();
    dead.text = "{";
    dead.begin();
    dead.pass(24 * 60 - 1);
    expect(dead.climbs).toEqual([]);
    dead.pass(2);
    expect(dead.climbs.length).toBe(1);
  });
});

test("a gateway that is well writes nothing and never wakes for the ladder", () => {
  const one = subject();
  expect(one.ladder.deadlineMs).toBe(Number.POSITIVE_INFINITY);
  fail(one.ladder, 0, 9);
  one.ladder.onDown(60_000);
  expect(one.ladder.deadlineMs).toBe(Number.POSITIVE_INFINITY);
  expect(one.look()).toEqual([]);
});
