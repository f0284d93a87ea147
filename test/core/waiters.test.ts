// Waiters, tested: everybody is answered once, and those who hung up do no harm.
// Neighbours: `src/core/waiters.ts`; on a rig the answers are tested with `command`.
// Invariant: answers are read from the effects.

import { expect, test } from "bun:test";
import { Effects } from "../../src/core/effects.ts";
import { Waiters } from "../../src/core/waiters.ts";
import { CONTROL_CLIENTS_MAX } from "../../src/limits.ts";

function waiters(): { waiters: Waiters; told: () => string[] } {
  const effects = new Effects();
  const told = () => {
    const slots = Array.from({ length: effects.count }, (_, slot) => slot);
    effects.count = 0;
    return slots.map((slot) => {
      return `${effects.numbers[slot]} ${effects.flags[slot]} ${effects.texts[slot]}`;
    });
  };
  return { waiters: new Waiters(effects), told };
}

test("all are told, in the order in which they came, once", () => {
  const one = waiters();
  for (const client of [4, 9, 2]) one.waiters.add(client);
  expect(one.told()).toEqual([]);
  expect(one.waiters.isEmpty).toBe(false);
  one.waiters.tell(true, "done");
  expect(one.waiters.isEmpty).toBe(true);
  expect(one.told()).toEqual(["4 1 done", "9 1 done", "2 1 done"]);
  one.waiters.tell(false, "again");
  expect(one.told()).toEqual([]);
});

test("nobody is told nothing", () => {
  const one = waiters();
  one.waiters.add(-1);
  one.waiters.tell(true, "done");
  expect(one.told()).toEqual([]);
});

test("more than there can be at once push out the oldest, who is told", () => {
  const one = waiters();
  for (let client = 0; client < CONTROL_CLIENTS_MAX + 2; client++) one.waiters.add(client);
  expect(one.told()).toEqual([
    "0 0 too many clients wait for this",
    "1 0 too many clients wait for this",
  ]);
  one.waiters.tell(true, "done");
  expect(one.told()).toHaveLength(CONTROL_CLIENTS_MAX);
});
