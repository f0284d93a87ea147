// Queue, tested: what a person and a script read about messages, in good and in bad times.
// Neighbours: `src/core/queue.ts`; `status.test` has it as part of the whole.
// Invariant: key names and rows are written out here, for scripts and people rely on them.

import { expect, test } from "bun:test";
import { StoreOutcome } from "../../src/core/effects.ts";
import { WhenFull } from "../../src/core/outbox.ts";
import { queueOf, queueRows } from "../../src/core/queue.ts";
import { Stock } from "./stock.ts";

test("nothing yet", () => {
  const { outbox } = new Stock();
  expect(queueOf(outbox)).toEqual({
    waiting: 0,
    inFlight: 0,
    bytes: 0,
    accepted: 0,
    acknowledged: 0,
    refused: 0,
    dropped: 0,
    redelivered: 0,
    trouble: null,
    priorities: [],
  });
  expect(queueRows(outbox)).toEqual([
    "queue      0 waiting, 0 in flight, 0 acknowledged, 0 refused, 0 dropped",
  ]);
});

test("each priority has its counters, by what became of its messages", () => {
  const stock = new Stock({ bounds: { countMax: 3, whenFull: WhenFull.DROP_OLDEST } });
  stock.accept("one", "two");
  expect(stock.send(1)).toEqual(["one"]);
  stock.offer("urgent", 0);
  stock.settle();
  stock.offer("three", 7);
  stock.settle();
  const none = {
    acknowledged: 0,
    refusedFull: 0,
    droppedNew: 0,
    refusedLong: 0,
    refusedStore: 0,
    evicted: 0,
    expired: 0,
    damaged: 0,
    unconfirmed: 0,
    outgrown: 0,
  };
  const { priorities, ...sums } = queueOf(stock.outbox);
  expect(priorities).toEqual([
    { ...none, priority: 0, queued: 1, accepted: 1 },
    { ...none, priority: 7, queued: 2, accepted: 3, evicted: 1 },
  ]);
  expect(sums).toMatchObject({ waiting: 2, inFlight: 1, accepted: 4, dropped: 1 });
  expect(queueRows(stock.outbox)).toEqual([
    "queue      2 waiting, 1 in flight, 0 acknowledged, 0 refused, 1 dropped",
    "           1 of priority 0, 2 of priority 7",
    "           1 dropped to make room",
  ]);
});

test("a store in trouble says so, for as long as it is", () => {
  const stock = new Stock();
  stock.shelf.outcome = StoreOutcome.REFUSED;
  stock.shelf.detail = "no space left";
  stock.offer("x");
  stock.settle();
  expect(queueRows(stock.outbox)).toEqual([
    "queue      0 waiting, 0 in flight, 0 acknowledged, 1 refused, 0 dropped",
    "           1 refused by the store",
    "store      no space left",
  ]);
  expect(queueOf(stock.outbox).trouble).toBe("no space left");
  stock.shelf.outcome = StoreOutcome.DONE;
  stock.outbox.onDeadline(stock.outbox.deadlineMs, stock.wallS);
  expect(queueOf(stock.outbox).trouble).toBeNull();
});
