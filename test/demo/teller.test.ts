// Tests of teller: how a step ends, and when the story does.
// Neighbours: `sample` makes the facts of a theatre in which nothing is real.
// Invariant: no test waits for longer than its step's deadline of a few milliseconds.

import { expect, test } from "bun:test";
import { facts } from "./sample.ts";
import type { Look, Step } from "./step.ts";
import { noteLine, type Outcome, outcomeNotes, play, type Theatre, tell } from "./teller.ts";

const SEEN: Look = { seen: true, text: "it came", detail: "whole" };
const NOT: Look = { seen: false, expected: "it", found: "nothing", isHopeless: false };

function theatre(death = ""): Theatre {
  return {
    facts: facts({ death }),
    startAzure: async () => {},
    startTpm: async () => {},
    enrolling: ["one", "| two"],
    enroll: async () => {},
    startAgent: () => {},
    restartAgent: async () => {},
    desire: async () => {},
    pull: () => {},
    plug: async () => {},
    refresh: async () => {},
    change: () => Bun.sleep(1),
  };
}

function step(see: () => Look, act: Step["act"] = () => {}): Step {
  return { title: "thing", act, see };
}

async function found(one: Step, where = theatre(), deadlineMs = 60_000): Promise<string> {
  const outcome = await play(one, where, deadlineMs);
  return outcome.ok ? "seen" : outcome.found;
}

test("a step ends once it is seen, however many looks that takes", async () => {
  let looks = 0;
  expect(await found(step(() => (++looks < 5 ? NOT : SEEN)))).toBe("seen");
  expect(looks).toBe(5);
});

test("what is done must be done, too", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let looks = 0;
  const one = step(
    () => {
      if (++looks === 3) resolve();
      return SEEN;
    },
    () => promise,
  );
  expect(await found(one)).toBe("seen");
  expect(looks).toBeGreaterThanOrEqual(3);
});

test("a deadline, a deed that fails, a death and hopelessness end it without", async () => {
  expect(
    await found(
      step(() => NOT),
      theatre(),
      5,
    ),
  ).toContain("nothing; given up after");
  const failing = step(
    () => NOT,
    () => {
      throw new Error("no such device");
    },
  );
  expect(await found(failing)).toBe("nothing; no such device");
  expect(
    await found(
      step(() => NOT),
      theatre("the agent ended"),
    ),
  ).toBe("nothing; the agent ended");
  expect(await found(step(() => ({ ...NOT, isHopeless: true })))).toContain("cannot come any more");
});

test("the story stops at the first step that is not seen", async () => {
  const told: string[] = [];
  const audience = {
    onStep: (number: number, _title: string, typed: readonly string[]) => {
      told.push(`step ${[number, ...typed].join(" ")}`);
    },
    onOutcome: (number: number, { ok }: Outcome) => void told.push(`${number} ${ok}`),
  };
  const typing: Step = { ...step(() => NOT), typed: ({ enrolling }) => enrolling };
  const steps = [step(() => SEEN), typing, step(() => SEEN)];
  expect(await tell(steps, theatre(), audience, 5)).toBe(1);
  expect(told).toEqual(["step 1", "1 true", "step 2 one | two", "2 false"]);
});

test("outcomes as lines", () => {
  const good: Outcome = { ok: true, title: "thing", text: "it came", detail: "whole" };
  expect(outcomeNotes(good, "4").map(noteLine)).toEqual(["ok   4 thing: it came, whole"]);
  const bad: Outcome = { ok: false, title: "thing", expected: "it", found: "nothing" };
  expect(outcomeNotes(bad, "4").map(noteLine)).toEqual([
    "FAIL 4 thing",
    "     expected: it",
    "     seen: nothing",
  ]);
});
