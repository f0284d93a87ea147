// Room: the outbox when it is full: what gives way, by each policy, and what never does.
// Neighbours: `src/core/outbox.ts`; `outbox.test` has the rest.
// Invariant: what is left is known by sending it all.

import { expect, test } from "bun:test";
import { Refused, WhenFull } from "../../src/core/outbox.ts";
import { Fate } from "../../src/core/tally.ts";
import { messageBytes } from "../../src/kit/key.ts";
import { Stock } from "./stock.ts";

/** Room for so many messages of one byte. */
const roomFor = (count: number) => count * messageBytes(0, 1);

test("drops the oldest of the least urgent, and as few as will do", () => {
  const stock = new Stock({ bounds: { bytesMax: roomFor(6) } });
  for (const [text, priority] of [
    ["a", 3],
    ["b", 9],
    ["c", 9],
    ["d", 5],
    ["e", 9],
    ["f", 3],
  ] as const) {
    expect(stock.offer(text, priority)).toBe(Refused.NO);
  }
  stock.settle();
  stock.offer("g", 5);
  stock.settle();
  expect(stock.outbox.tally.of(9, Fate.EVICTED)).toBe(1);
  // Two places at once.
  expect(stock.offer("h".repeat(34), 5)).toBe(Refused.NO);
  stock.settle();
  expect(stock.outbox.tally.of(9, Fate.EVICTED)).toBe(3);
  expect(stock.drain(1)).toEqual(["a", "f", "d", "g", "h".repeat(34)]);
});

test("drops nothing more urgent, and nothing at all for what does not fit all the same", () => {
  const stock = new Stock({ bounds: { bytesMax: roomFor(3) } });
  for (const [text, priority] of [
    ["a", 2],
    ["b", 2],
    ["c", 9],
  ] as const) {
    stock.offer(text, priority);
  }
  stock.settle();
  expect(stock.offer("d".repeat(40), 4)).toBe(Refused.FULL);
  expect(stock.offer("e".repeat(400), 0)).toBe(Refused.FULL);
  expect(stock.outbox.tally.sum(Fate.EVICTED)).toBe(0);
  expect(stock.outbox.tally.sum(Fate.DROPPED_NEW)).toBe(2);
  expect(stock.drain()).toEqual(["a", "b", "c"]);
});

test("drops nothing that is on its way to the hub, or into the store", () => {
  const stock = new Stock({ bounds: { bytesMax: roomFor(3) } });
  stock.accept("a", "b");
  expect(stock.send(1)).toEqual(["a"]);
  stock.offer("c");
  // b is the only one that can give way.
  expect(stock.offer("d")).toBe(Refused.NO);
  expect(stock.offer("e")).toBe(Refused.FULL);
  stock.settle();
  expect(stock.outbox.tally.of(7, Fate.EVICTED)).toBe(1);
  stock.acknowledge();
  expect(stock.drain()).toEqual(["c", "d"]);
  expect([stock.outbox.count, stock.outbox.bytes]).toEqual([0, 0]);
});

test("and nothing else either, when these would have to", () => {
  const held = new Stock({ bounds: { bytesMax: roomFor(2) } });
  held.accept("a", "b");
  held.send(1);
  // b alone would not be enough.
  expect(held.offer("c".repeat(30))).toBe(Refused.FULL);
  const fresh = new Stock({ bounds: { bytesMax: roomFor(2) } });
  fresh.accept("a");
  fresh.offer("b");
  expect(fresh.offer("c".repeat(30))).toBe(Refused.FULL);
  const many = new Stock();
  many.accept("a", "b", "c");
  many.send(1);
  many.offer("d");
  many.outbox.bounds = { ...many.outbox.bounds, countMax: 2 };
  expect(many.offer("e")).toBe(Refused.FULL);
  for (const { outbox } of [held, fresh, many]) expect(outbox.tally.of(7, Fate.EVICTED)).toBe(0);
});

test.each([
  [WhenFull.DROP_NEWEST, Fate.DROPPED_NEW],
  [WhenFull.REFUSE, Fate.REFUSED_FULL],
])("takes no new message under policy %p, counted as %p", (whenFull, fate) => {
  const stock = new Stock({ bounds: { bytesMax: roomFor(2), whenFull } });
  stock.accept("a", "b");
  expect(stock.offer("c", 0)).toBe(Refused.FULL);
  expect(stock.outbox.tally.of(0, fate)).toBe(1);
  expect(stock.drain()).toEqual(["a", "b"]);
  expect(stock.offer("d")).toBe(Refused.NO);
});

test("in messages: the delivered do not count, priorities 0 and 1 are not held to it", () => {
  const stock = new Stock({ bounds: { countMax: 2, whenFull: WhenFull.REFUSE } });
  for (let round = 0; round < 5; round++) {
    stock.accept("a", "b");
    expect(stock.offer("c", 2)).toBe(Refused.FULL);
    expect(stock.drain()).toEqual(["a", "b"]);
  }
  stock.accept("a", "b");
  expect(stock.offer("d", 1)).toBe(Refused.NO);
  expect(stock.offer("e", 0)).toBe(Refused.NO);
  stock.settle();
  expect(stock.drain().sort()).toEqual(["a", "b", "d", "e"]);
});

test("after its bound was lowered, gives way to that bound, once", () => {
  const stock = new Stock();
  stock.accept(...Array.from({ length: 100 }, (_, at) => `${at}`));
  stock.outbox.bounds = { ...stock.outbox.bounds, countMax: 3 };
  expect(stock.offer("new")).toBe(Refused.NO);
  stock.settle();
  expect(stock.outbox.tally.of(7, Fate.EVICTED)).toBe(98);
  expect(stock.drain()).toEqual(["98", "99", "new"]);
});
