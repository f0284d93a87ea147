// Tests of ledger: what counts once, what counts as a repetition, what is missing.
// Neighbours: `sample` makes the events.
// Invariant: every event is one that a hub could have sent.

import { expect, test } from "bun:test";
import { asked, closed, connected, ledger, message } from "./sample.ts";

test("a message counts once, and each further time as a repetition", () => {
  const made = ledger(1, 2, 2, 4, 2);
  expect(made.count).toBe(3);
  expect(made.repeated).toBe(2);
  expect(made.latest.map(({ isRepeated }) => isRepeated)).toEqual([
    false,
    false,
    true,
    false,
    true,
  ]);
});

test("gaps are named up to the last message asked for", () => {
  const made = ledger(1, 2, 4);
  expect(made.missing(4)).toEqual([3]);
  expect(made.missing(6)).toEqual([3, 5, 6]);
  expect(made.missing(0)).toEqual([]);
});

test("connections come and go, those of other devices do not matter", () => {
  const made = ledger();
  expect(made.isConnected).toBe(true);
  made.enter(closed("another"));
  expect(made.isConnected).toBe(true);
  made.enter(closed());
  expect(made.isConnected).toBe(false);
  made.enter(connected());
  expect([made.connects, made.closes]).toEqual([2, 1]);
});

test("only the latest messages are kept, all are counted", () => {
  const made = ledger();
  for (let sequence = 1; sequence <= 100; sequence++) made.enter(message(sequence));
  expect(made.count).toBe(100);
  expect(made.latest.length).toBeLessThan(100);
  expect(made.latest.at(-1)?.sequence).toBe(100);
});

test("after another start messages are numbered anew, late ones of the first still count", () => {
  const made = ledger(1, 2);
  made.onStart();
  expect(made.missing(1)).toEqual([1]);
  made.enter(message(3));
  expect(made.missing(1)).toEqual([1]);
  made.enter(message(1, 0, false, "feedf00d"));
  expect(made.missing(2)).toEqual([2]);
  expect([made.count, made.repeated]).toEqual([4, 0]);
});

test("requests to DPS count, what its operator does there does not", () => {
  const made = ledger();
  for (const step of ["enrolled", "challenge", "register", "assigning", "poll"] as const) {
    made.enter(asked(step));
  }
  expect([made.asked, made.challenges, made.registrations]).toEqual([3, 1, 0]);
  made.enter(asked("assigned"));
  made.enter(asked("changed"));
  expect([made.asked, made.challenges, made.registrations]).toEqual([3, 1, 1]);
});
