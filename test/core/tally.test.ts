// Tally, tested: counters by priority and fate that do not run into each other.
// Neighbours: `src/core/tally.ts`; `outbox.test` has what is counted when.
// Invariant: each counter is given a number of its own before any is read.

import { expect, test } from "bun:test";
import { DROPPED, Fate, REFUSED, Tally } from "../../src/core/tally.ts";

const FATES = Object.values(Fate).filter((value) => typeof value === "number");

test("each priority and fate has a counter of its own", () => {
  const tally = new Tally();
  const numberOf = (priority: number, fate: Fate) => 1 + priority * 100 + fate;
  for (let priority = 0; priority < 10; priority++) {
    for (const fate of FATES) tally.add(priority, fate, numberOf(priority, fate));
  }
  tally.add(3, Fate.EVICTED);
  for (let priority = 0; priority < 10; priority++) {
    for (const fate of FATES) {
      const more = priority === 3 && fate === Fate.EVICTED ? 1 : 0;
      expect(tally.of(priority, fate)).toBe(numberOf(priority, fate) + more);
    }
  }
});

test("a sum goes over all priorities and the fates asked for", () => {
  const tally = new Tally();
  tally.add(0, Fate.ACCEPTED);
  tally.add(9, Fate.ACCEPTED, 4);
  tally.add(9, Fate.EXPIRED, 2);
  expect(tally.sum(Fate.ACCEPTED)).toBe(5);
  expect(tally.sum(Fate.ACCEPTED, Fate.EXPIRED)).toBe(7);
  expect(tally.sum(Fate.ACKNOWLEDGED)).toBe(0);
});

test("beside accepted and acknowledged, each fate is a refusal or a loss, and not both", () => {
  const named = [Fate.ACCEPTED, Fate.ACKNOWLEDGED, ...REFUSED, ...DROPPED];
  expect([...named].sort((one, other) => one - other)).toEqual(FATES);
});
