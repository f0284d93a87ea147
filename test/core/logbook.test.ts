// Logbook, tested: budgets over days of running and many starts, and texts that nobody wrote.
// Neighbours: `src/core/logbook.ts`; `ladder.test` uses it through the machine.
// Invariant: no text, however broken, allows more than a new logbook does.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Climb, Logbook, RUNGS, Rung } from "../../src/core/logbook.ts";

const DAY_MS = 24 * 3600 * 1000;
const CLIMB: Climb = {
  rung: Rung.REBOOT,
  cause: "DIAL_TIMEOUT",
  text: "no answer from hub.example:8883",
  atS: 12,
  boot: "b1",
  outcome: "",
};

function read(text: string): Logbook {
  const book = new Logbook();
  book.read(text);
  return book;
}

describe("what a day allows", () => {
  test("is spent step by step, and each kind for itself", () => {
    const book = read("");
    expect(book.left(Rung.REBOOT, 2, 0)).toBe(2);
    book.add(CLIMB, 0);
    book.add(CLIMB, 1000);
    expect(book.left(Rung.REBOOT, 2, 1000)).toBe(0);
    expect(book.left(Rung.RESTART, 4, 1000)).toBe(4);
  });

  test("comes back one by one, after a day of running each", () => {
    const book = read("");
    book.add(CLIMB, 0);
    book.add(CLIMB, 1000);
    const left = [DAY_MS - 1, DAY_MS, DAY_MS + 999, DAY_MS + 1000].map((ranMs) =>
      book.left(Rung.REBOOT, 2, ranMs),
    );
    expect(left).toEqual([0, 1, 1, 2]);
  });

  test("is not more than 48 of a kind, whatever is asked for", () => {
    const book = read("");
    expect(book.left(Rung.REFRESH, 1000, 0)).toBe(48);
    for (let step = 0; step < 200; step++) book.add({ ...CLIMB, rung: Rung.REFRESH }, step);
    expect(book.left(Rung.REFRESH, 1000, 200)).toBe(0);
  });

  test("is remembered over starts, and only running time counts", () => {
    let text = "";
    for (let start = 0; start < 5; start++) {
      const book = read(text);
      const ranMs = book.earlierMs + 1000;
      book.add({ ...CLIMB, atS: start * 1e9 }, ranMs);
      expect(book.left(Rung.REBOOT, 6, ranMs)).toBe(5 - start);
      text = book.write(ranMs);
    }
    expect(read(text).earlierMs).toBe(5000);
    expect(read(text).left(Rung.REBOOT, 5, 5000)).toBe(0);
    expect(read(text).left(Rung.REBOOT, 5, DAY_MS + 1000)).toBe(1);
  });
});

test("what the day has given back is not written any more", () => {
  const book = read("");
  const empty = book.write(0).length;
  for (let step = 0; step < 40; step++) book.add({ ...CLIMB, rung: Rung.HOOK }, step);
  book.climbs.length = 0;
  expect(book.write(DAY_MS - 1).length).toBeGreaterThan(empty + 80);
  expect(book.write(DAY_MS + 40).length).toBeLessThan(empty + 20);
});

test("something is owed from the first step until a day of running after the last", () => {
  const book = read("");
  expect(book.isOwing(0)).toBe(false);
  book.add(CLIMB, 10);
  expect(book.isOwing(DAY_MS + 9)).toBe(true);
  expect(book.isOwing(DAY_MS + 10)).toBe(false);
});

describe("history", () => {
  test("keeps the last 16 with cause, text and outcome", () => {
    const book = read("");
    for (let step = 0; step < 20; step++) book.add({ ...CLIMB, text: `t${step}` }, step);
    book.close("done");
    const again = read(book.write(20));
    expect(again.climbs.map(({ text }) => text)).toEqual(
      Array.from({ length: 16 }, (_, at) => `t${at + 4}`),
    );
    expect(again.climbs.at(-1)).toEqual({ ...CLIMB, text: "t19", outcome: "done" });
    expect(again.climbs[0]!.outcome).toBe("");
  });

  test("cuts long words, so that the text stays below 32 KB", () => {
    const book = read("");
    for (let step = 0; step < 500; step++) {
      book.add({ ...CLIMB, rung: step % RUNGS, text: "x".repeat(5000) }, 1e13 + step);
      book.close("y".repeat(5000));
    }
    const text = book.write(1e13 + 500);
    expect(text.length).toBeLessThan(32 * 1024);
    expect(read(text).climbs.length).toBe(16);
  });
});

describe("a text that nobody wrote", () => {
  const good = () => {
    const book = read("");
    book.add(CLIMB, 1000);
    return JSON.parse(book.write(5000)) as Record<string, unknown>;
  };

  test("a good one is read", () => {
    expect(new Logbook().read(JSON.stringify(good()))).toBe(true);
  });

  test.each([
    ["no JSON", "{"],
    ["no record", "[]"],
    ["null", "null"],
    ["another version", JSON.stringify({ ...good(), version: 2 })],
    ["no running time", JSON.stringify({ ...good(), ranMs: null })],
    ["a running time below zero", JSON.stringify({ ...good(), ranMs: -1 })],
    ["a kind too few", JSON.stringify({ ...good(), spent: [[], [], [], []] })],
    ["steps of the future", JSON.stringify({ ...good(), spent: [[], [], [], [], [5001]] })],
    ["steps out of order", JSON.stringify({ ...good(), spent: [[2, 1], [], [], [], []] })],
    ["too many steps", JSON.stringify({ ...good(), spent: [Array(49).fill(1), [], [], [], []] })],
    ["a strange kind", JSON.stringify({ ...good(), climbs: [{ ...CLIMB, rung: 5 }] })],
    ["no cause", JSON.stringify({ ...good(), climbs: [{ ...CLIMB, cause: 1 }] })],
  ])("%s: nothing is allowed for a day of running", (_, text) => {
    const book = new Logbook();
    expect(book.read(text)).toBe(false);
    const fromMs = book.earlierMs;
    for (let rung = 0; rung < RUNGS; rung++) {
      expect(book.left(rung, 10, fromMs)).toBe(0);
      expect(book.left(rung, 10, fromMs + DAY_MS - 1)).toBe(0);
      expect(book.left(rung, 10, fromMs + DAY_MS)).toBe(10);
    }
  });

  test("the day that must pass is remembered, too, and is one day at most", () => {
    const book = read("{");
    const again = read(book.write(3_600_000));
    expect(again.isOwing(3_600_000)).toBe(true);
    expect(again.left(Rung.REFRESH, 10, DAY_MS - 1)).toBe(0);
    expect(again.left(Rung.REFRESH, 10, DAY_MS)).toBe(10);
    const forged = read(JSON.stringify({ ...good(), sealedMs: 1e15 }));
    expect(forged.left(Rung.REFRESH, 10, 5000 + DAY_MS)).toBe(10);
  });

  test("any text at all: read without a throw, and never more than a day allows", () => {
    const json = fc.json();
    const mutated = fc
      .record({ at: fc.nat(), text: fc.string({ maxLength: 5 }) })
      .map(({ at, text }) => {
        const whole = JSON.stringify(good());
        const place = at % whole.length;
        return whole.slice(0, place) + text + whole.slice(place + text.length);
      });
    fc.assert(
      fc.property(fc.oneof(fc.string(), json, mutated), (text) => {
        const book = read(text);
        for (let rung = 0; rung < RUNGS; rung++) {
          const left = book.left(rung, 3, book.earlierMs);
          expect(left).toBeGreaterThanOrEqual(0);
          expect(left).toBeLessThanOrEqual(3);
        }
        expect(new Logbook().read(book.write(book.earlierMs))).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
