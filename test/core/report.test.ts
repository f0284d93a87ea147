// Report, tested: its table cell by cell, answers, silences, and a transmit buffer that is full.
// Neighbours: `src/core/report.ts`; what lamps report is tested with them.
// Invariant: the source is the test's own and remembers what it was told.

import { describe, expect, test } from "bun:test";
import { Backoff } from "../../src/core/backoff.ts";
import { Cause } from "../../src/core/effects.ts";
import { Report, ReportState } from "../../src/core/report.ts";
import { TWIN_ANSWER_MS, TWIN_TRIES } from "../../src/limits.ts";
import { walkTable } from "./table.ts";
import { World } from "./world.ts";

interface Subject extends World {
  report: Report;
  /** What the source has to say; confirmed versions. */
  patch: string;
  versions: number[];
}

function off(): Subject {
  const world = new World();
  const one = Object.assign(world, { patch: "", versions: [] as number[] });
  const source = {
    takeReport: () => one.patch,
    confirmReport(version: number) {
      world.words.push("confirm");
      one.versions.push(version);
    },
    retractReport: () => void world.words.push("retract"),
  };
  const { effects, writer, counters, rids, prng } = world;
  const report = new Report(effects, writer, counters, rids, new Backoff(prng), source);
  return Object.assign(one, { report });
}

function idle(): Subject {
  const one = off();
  one.report.onReady();
  return one;
}

function sending(nowMs = 0): Subject {
  const one = idle();
  pump(one, nowMs);
  return one;
}

function delayed(): Subject {
  const one = sending();
  one.report.onAnswer(429, -1, 1);
  return one;
}

function pump(one: Subject, nowMs: number): void {
  one.patch = '{"LED1":1}';
  one.report.pump(nowMs);
}

walkTable<Subject>({
  file: "core/report.ts",
  states: { OFF: off, IDLE: idle, SENDING: () => sending(), DELAYED: delayed },
  stateOf: ({ report }) => ReportState[report.state]!,
  events: {
    onReady: ({ report }) => void report.onReady(),
    pump: (one) => void pump(one, 1),
    "answer done": ({ report }) => void report.onAnswer(204, 3, 1),
    "answer later": ({ report }) => void report.onAnswer(503, -1, 1),
    "answer refused": ({ report }) => void report.onAnswer(400, -1, 1),
    deadline: ({ report }) => {
      const cause = report.onDeadline(1_000_000);
      return cause === Cause.NONE ? "" : Cause[cause]!;
    },
    onDown: ({ report }) => void report.onDown(),
  },
  look: (one) => one.look(),
});

test("each status has its consequence", () => {
  const outcomes = [200, 204, 100, 302, 400, 401, 404, 413, 428, 429, 430, 499, 500, 503, 599];
  const states = outcomes.map((status) => {
    const one = sending();
    one.report.onAnswer(status, 3, 1);
    return `${status} ${ReportState[one.report.state]} ${one.look().join()}`;
  });
  expect(states).toEqual([
    "200 IDLE PATCH,confirm",
    "204 IDLE PATCH,confirm",
    "100 IDLE PATCH,confirm",
    "302 IDLE PATCH,confirm",
    "400 IDLE PATCH,confirm",
    "401 IDLE PATCH,confirm",
    "404 IDLE PATCH,confirm",
    "413 IDLE PATCH,confirm",
    "428 IDLE PATCH,confirm",
    "429 DELAYED PATCH,retract",
    "430 IDLE PATCH,confirm",
    "499 IDLE PATCH,confirm",
    "500 DELAYED PATCH,retract",
    "503 DELAYED PATCH,retract",
    "599 DELAYED PATCH,retract",
  ]);
});

test("what the hub refuses for good is given up with a word", () => {
  const one = sending();
  one.report.onAnswer(400, -1, 1);
  expect(one.logs()).toEqual(["the hub answered a report of properties with status 400: given up"]);
});

test("the version of the reported properties goes to the source, -1 when refused", () => {
  const one = sending();
  one.report.onAnswer(204, 17, 1);
  pump(one, 2);
  one.report.onAnswer(400, 18, 3);
  expect(one.versions).toEqual([17, -1]);
});

describe("one request at a time", () => {
  test("a change while one is under way waits for its answer", () => {
    const one = sending();
    pump(one, 1);
    expect(one.look()).toEqual(["PATCH"]);
    one.report.onAnswer(204, 1, 2);
    pump(one, 3);
    expect(one.look()).toEqual(["PATCH", "confirm"]);
  });

  test("only the answer with its number is its own", () => {
    const { report } = sending();
    expect([report.isMine(1), report.isMine(2), report.isMine(-1)]).toEqual([true, false, false]);
    report.onAnswer(204, 1, 1);
    expect(report.isMine(1)).toBe(false);
  });

  test("after a silence the late answer is nobody's", () => {
    const { report } = sending();
    report.onDeadline(TWIN_ANSWER_MS);
    expect(report.isMine(1)).toBe(false);
  });
});

test("waits TWIN_ANSWER_MS; the third silence in a row means a dead link", () => {
  const one = sending(0);
  let nowMs = 0;
  for (let round = 1; round < TWIN_TRIES; round++) {
    expect(one.report.onDeadline(nowMs + TWIN_ANSWER_MS - 1)).toBe(Cause.NONE);
    expect(one.report.isWaiting).toBe(true);
    nowMs += TWIN_ANSWER_MS;
    expect(one.report.onDeadline(nowMs)).toBe(Cause.NONE);
    expect(one.report.isWaiting).toBe(false);
    nowMs = one.report.deadlineMs;
    one.report.onDeadline(nowMs);
    pump(one, nowMs);
  }
  expect(one.report.onDeadline(nowMs + TWIN_ANSWER_MS)).toBe(Cause.TWIN_TIMEOUT);
});

test("any answer ends a series of silences", () => {
  const one = sending(0);
  for (let round = 0; round < 3 * TWIN_TRIES; round++) {
    expect(one.report.onDeadline(one.report.deadlineMs)).toBe(Cause.NONE);
    one.report.onDeadline(one.report.deadlineMs);
    pump(one, 0);
    one.report.onAnswer(400, -1, 0);
    pump(one, 0);
  }
  expect(one.report.isWaiting).toBe(true);
});

test("a throttled report waits at least a second and at most a minute", () => {
  const one = sending(0);
  for (let round = 0; round < 40; round++) {
    one.report.onAnswer(429, -1, 0);
    expect(one.report.deadlineMs).toBeGreaterThanOrEqual(1000);
    expect(one.report.deadlineMs).toBeLessThanOrEqual(60_000);
    one.report.onDeadline(one.report.deadlineMs);
    pump(one, 0);
  }
});

test("with nothing to say nothing is sent", () => {
  const one = idle();
  one.report.pump(1);
  expect(one.look()).toEqual([]);
  expect(one.report.state).toBe(ReportState.IDLE);
});

test("throttling is said; a success or a new connection makes the next wait a first one", () => {
  for (const renew of ["down", "success"]) {
    const one = sending(0);
    for (let round = 0; round < 8; round++) {
      one.report.onAnswer(503, -1, 0);
      one.report.onDeadline(one.report.deadlineMs);
      pump(one, 0);
    }
    expect(one.logs()[0]).toBe("the hub answered a report of properties with status 503");
    if (renew === "down") {
      const rid = one.rids.next() - 1;
      expect(one.report.isMine(rid)).toBe(true);
      one.report.onDown();
      expect(one.report.isMine(rid)).toBe(false);
      one.report.onReady();
    } else one.report.onAnswer(204, 1, 0);
    pump(one, 0);
    one.report.onAnswer(429, -1, 0);
    expect(one.report.deadlineMs).toBeLessThanOrEqual(2000);
  }
});

test("a new connection counts silences anew", () => {
  const one = sending(0);
  for (let round = 0; round < 5; round++) {
    expect(one.report.onDeadline(one.report.deadlineMs)).toBe(Cause.NONE);
    one.report.onDown();
    one.report.onReady();
    pump(one, 0);
  }
});

test("without room in the transmit buffer nothing is under way", () => {
  const one = idle();
  while (one.writer.pingreq());
  pump(one, 0);
  expect(one.report.state).toBe(ReportState.IDLE);
  expect(one.words).toEqual(["retract"]);
  one.writer.reset();
  pump(one, 0);
  expect(one.report.isWaiting).toBe(true);
});
