// Expiry: messages of the outbox that have a time to live, and calendars that jump.
// Neighbours: `src/core/outbox.ts`; `outbox.test` has the rest.
// Invariant: what has expired is known by what is not sent.

import { expect, test } from "bun:test";
import { Fate } from "../../src/core/tally.ts";
import { EXPIRE_MET_MAX } from "../../src/limits.ts";
import { Shelf } from "../shelf.ts";
import { Stock, WALL_S } from "./stock.ts";

test("a message that is over is not sent; one that is not, is", () => {
  const stock = new Stock();
  stock.offer("short", 7, 10);
  stock.offer("long", 7, 11);
  stock.offer("ever", 7, 0);
  stock.settle();
  stock.nowMs += 10_000;
  stock.wallS += 10;
  expect(stock.drain()).toEqual(["long", "ever"]);
  expect(stock.outbox.tally.of(7, Fate.EXPIRED)).toBe(1);
  expect(stock.outbox.isEmpty).toBe(true);
});

test("the housekeeper removes it without a connection, and wakes for nothing else", () => {
  const stock = new Stock();
  const { outbox } = stock;
  expect(outbox.deadlineMs).toBe(Number.POSITIVE_INFINITY);
  stock.offer("short", 7, 10);
  stock.settle();
  expect(outbox.deadlineMs).toBe(900_000);
  stock.nowMs = 900_000;
  stock.wallS += 900;
  outbox.onDeadline(stock.nowMs, stock.wallS);
  stock.settle();
  expect(outbox.tally.of(7, Fate.EXPIRED)).toBe(1);
  expect([outbox.count, outbox.deadlineMs]).toEqual([0, Number.POSITIVE_INFINITY]);
});

test("many that are over leave others their turn", () => {
  const stock = new Stock({ bounds: { bytesMax: 1e9 } });
  for (let at = 0; at < 3 * EXPIRE_MET_MAX; at++) stock.offer("x", 7, 1);
  stock.offer("y", 7);
  stock.settle();
  stock.nowMs += 5000;
  stock.wallS += 5;
  expect(stock.send()).toEqual([]);
  expect(stock.outbox.tally.of(7, Fate.EXPIRED)).toBe(EXPIRE_MET_MAX);
  expect(stock.outbox.resumeMs).toBe(stock.nowMs);
  for (let turn = 0; turn < 2; turn++) stock.send();
  expect(stock.send()).toEqual(["y"]);
  expect(stock.outbox.resumeMs).toBe(Number.POSITIVE_INFINITY);
});

test("a calendar that jumps makes nothing old that was made before", () => {
  const stock = new Stock();
  stock.offer("before", 7, 60);
  stock.settle();
  stock.wallS += 1_000_000;
  stock.outbox.onDeadline(stock.nowMs, stock.wallS);
  stock.offer("after", 7, 60);
  stock.settle();
  stock.nowMs += 60_000;
  stock.wallS += 60;
  expect(stock.drain()).toEqual(["before"]);
  expect(stock.outbox.tally.of(7, Fate.EXPIRED)).toBe(1);
});

test("the housekeeper keeps to that, too", () => {
  const stock = new Stock();
  stock.offer("before", 7, 60);
  stock.settle();
  stock.nowMs += 900_000;
  stock.wallS += 1_000_000;
  stock.outbox.onDeadline(stock.nowMs, stock.wallS);
  stock.settle();
  expect(stock.drain()).toEqual(["before"]);
});

test("a calendar that was never set gives nothing an end, and its setting ends nothing", () => {
  const shelf = new Shelf();
  const earlier = new Stock({ shelf });
  earlier.offer("over since", 7, 60);
  earlier.offer("still good", 7, 10_000_000);
  earlier.outbox.close();
  const stock = new Stock({ shelf, wallS: 100 });
  stock.offer("in 1970", 7, 60);
  stock.settle();
  stock.nowMs += 1000;
  stock.wallS = WALL_S + 3600;
  expect(stock.drain()).toEqual(["still good", "in 1970"]);
});
