// Outbox, tested: what is accepted, what is refused, and in which order it goes.
// Neighbours: `src/core/outbox.ts`; `stock` has it over a store in memory; `room.test` has what
// gives way, `expiry.test` what is over; `delivery` has all on the wire.
// Invariant: what was sent is read back from the window, byte by byte.

import { describe, expect, test } from "bun:test";
import { StoreOutcome } from "../../src/core/effects.ts";
import { Refused } from "../../src/core/outbox.ts";
import { Fate } from "../../src/core/tally.ts";
import { PENDING_MESSAGES } from "../../src/limits.ts";
import { Shelf } from "../shelf.ts";
import { Stock, TOPIC, WALL_S } from "./stock.ts";

describe("accepted", () => {
  test("is what is durable, and nothing else is sent", () => {
    const stock = new Stock();
    const { outbox, shelf } = stock;
    expect(stock.offer("a")).toBe(Refused.NO);
    expect(stock.send()).toEqual([]);
    outbox.journal.commit(0);
    expect(stock.send()).toEqual([]);
    expect(outbox.tally.of(7, Fate.ACCEPTED)).toBe(0);
    shelf.answer();
    outbox.journal.onSynced(0, "");
    expect(outbox.tally.of(7, Fate.ACCEPTED)).toBe(1);
    expect(stock.send()).toEqual(["a"]);
  });

  test("waits over a restart and a power cut until the hub has it", () => {
    const shelf = new Shelf();
    const first = new Stock({ shelf });
    first.accept("a", "b");
    first.offer("not durable");
    first.outbox.journal.commit(0);
    shelf.crash(false);
    const second = new Stock({ shelf });
    expect(second.logs()).toEqual(["2 messages wait from an earlier run"]);
    expect(second.drain()).toEqual(["a", "b"]);
    second.outbox.close();
    expect(new Stock({ shelf }).outbox.isEmpty).toBe(true);
  });

  test("a stop makes what was offered last durable, too", () => {
    const shelf = new Shelf();
    const first = new Stock({ shelf });
    first.offer("a");
    first.outbox.close();
    expect(first.outbox.tally.of(7, Fate.ACCEPTED)).toBe(1);
    const second = new Stock({ shelf });
    expect(second.logs()).toEqual(["1 message waits from an earlier run"]);
    expect(second.drain()).toEqual(["a"]);
  });
});

describe("refused", () => {
  test("is what the store does not take, counted, and said once a trouble", () => {
    const stock = new Stock();
    const { outbox, shelf } = stock;
    shelf.outcome = StoreOutcome.REFUSED;
    shelf.detail = "database or disk is full";
    for (let at = 0; at < 3; at++) {
      stock.offer("x", 2);
      stock.offer("y", 8);
      stock.nowMs += 1000;
      outbox.journal.commit(stock.nowMs);
      outbox.onDeadline(stock.nowMs, WALL_S);
    }
    expect(outbox.tally.of(2, Fate.REFUSED_STORE)).toBe(3);
    expect(outbox.tally.of(8, Fate.REFUSED_STORE)).toBe(3);
    expect(stock.logs()).toEqual(["messages are not accepted: database or disk is full"]);
    expect([outbox.count, outbox.bytes]).toEqual([0, 0]);
    shelf.outcome = StoreOutcome.DONE;
    stock.nowMs += 1000;
    outbox.onDeadline(stock.nowMs, WALL_S);
    stock.accept("z");
    expect(stock.logs()).toEqual(["messages are accepted again; 6 were not"]);
    expect(stock.drain()).toEqual(["z"]);
  });

  test("is more at once than may be on its way, without a mistake in the counts", () => {
    const stock = new Stock({ bounds: { bytesMax: 1e9 } });
    const { outbox, shelf } = stock;
    const fill = () => {
      for (let at = 0; at < PENDING_MESSAGES; at++) expect(stock.offer("", at % 10)).toBe(0);
      expect(stock.offer("", 4)).toBe(Refused.STORE);
    };
    fill();
    outbox.journal.commit(0);
    // As many again, while the first are in the air.
    fill();
    shelf.answer();
    outbox.journal.onSynced(0, "");
    expect(outbox.tally.sum(Fate.ACCEPTED)).toBe(PENDING_MESSAGES);
    stock.settle();
    expect(outbox.tally.sum(Fate.ACCEPTED)).toBe(2 * PENDING_MESSAGES);
    expect(outbox.tally.of(4, Fate.REFUSED_STORE)).toBe(2);
    expect(outbox.tally.of(9, Fate.ACCEPTED)).toBe(2 * Math.floor(PENDING_MESSAGES / 10));
  });

  test("is what is longer than hub, topic or settings allow", () => {
    const most = 1000;
    const stock = new Stock({ bounds: { messageBytesMax: most, bodyBytesMax: 950 } });
    const { outbox } = stock;
    const left = most - TOPIC.length;
    const offer = (bag: number, body: number) =>
      outbox.offer(7, 0, "x".repeat(bag), new Uint8Array(body), WALL_S);
    expect(offer(left - 900, 900)).toBe(Refused.NO);
    expect(offer(left - 900, 901)).toBe(Refused.TOO_LONG);
    expect(offer(0, 951)).toBe(Refused.TOO_LONG);
    const wide = new Stock();
    const topic = 0xffff - TOPIC.length;
    const bag = (length: number) => wide.outbox.offer(7, 0, "x".repeat(length), NONE, WALL_S);
    expect(bag(topic)).toBe(Refused.NO);
    expect(bag(topic + 1)).toBe(Refused.TOO_LONG);
    expect(wide.outbox.tally.of(7, Fate.REFUSED_LONG)).toBe(1);
    // It is taken by the window, too.
    wide.settle();
    expect(wide.send()).toEqual([""]);
  });

  test("before anybody knows the device, room is kept for the longest topic", () => {
    const stock = new Stock({ topic: "", bounds: { messageBytesMax: 2000 } });
    const offer = (body: number) => stock.outbox.offer(7, 0, "", new Uint8Array(body), WALL_S);
    expect(offer(2000 - 820)).toBe(Refused.NO);
    expect(offer(2000 - 819)).toBe(Refused.TOO_LONG);
  });

  test("is everything while there is no store", () => {
    const shelf = new Shelf();
    shelf.isStuck = true;
    shelf.detail = "EACCES: permission denied";
    const stock = new Stock({ shelf });
    expect(stock.logs().join("\n")).toContain("make [agent] state-dir writable");
    expect(stock.offer("x")).toBe(Refused.STORE);
    expect(stock.outbox.tally.of(7, Fate.REFUSED_STORE)).toBe(1);
    stock.fill();
    expect(stock.window.isEmpty).toBe(true);
    shelf.isStuck = false;
    stock.nowMs = stock.outbox.deadlineMs;
    stock.outbox.onDeadline(stock.nowMs, WALL_S);
    expect(stock.logs()).toEqual(["the store takes messages again"]);
    stock.accept("y");
    expect(stock.drain()).toEqual(["y"]);
  });
});

describe("what is acknowledged", () => {
  test("keeps its place in the window until its removal is written", () => {
    const stock = new Stock();
    const { outbox, shelf } = stock;
    stock.accept("a", "b", "c", "d", "e");
    expect(stock.send(2)).toEqual(["a", "b"]);
    // Something else is in the air when the acknowledgement comes.
    stock.offer("f");
    outbox.journal.commit(0);
    outbox.release(1);
    outbox.journal.commit(0);
    expect(stock.send(2)).toEqual([]);
    expect(shelf.size).toBe(6);
    shelf.answer();
    outbox.journal.onSynced(0, "");
    expect(shelf.size).toBe(5);
    expect(stock.send(2)).toEqual(["c"]);
  });

  test("holds up nobody while the store takes nothing", () => {
    const stock = new Stock();
    const { outbox, shelf } = stock;
    stock.accept("a", "b", "c");
    expect(stock.send(1)).toEqual(["a"]);
    shelf.outcome = StoreOutcome.REFUSED;
    outbox.release(1);
    outbox.journal.commit(0);
    expect(stock.send(1)).toEqual(["b"]);
    outbox.release(2);
    expect(stock.send(1)).toEqual(["c"]);
    shelf.outcome = StoreOutcome.DONE;
    outbox.release(3);
    outbox.onDeadline(outbox.journal.deadlineMs, stock.wallS);
    stock.settle();
    expect([outbox.count, shelf.size]).toEqual([0, 0]);
  });
});

test("what was in flight is forgotten when it shall be; what never was, goes out", () => {
  const stock = new Stock();
  stock.accept("a", "b", "c");
  stock.fill(2);
  stock.window.sent(1, 0);
  stock.window.rewind();
  stock.outbox.forget();
  expect(stock.outbox.tally.of(7, Fate.UNCONFIRMED)).toBe(1);
  expect(stock.drain()).toEqual(["b", "c"]);
});

describe("another identity", () => {
  test("sends what waits, and what was never acknowledged, under its own name and as new", () => {
    const stock = new Stock();
    stock.accept("a", "b", "c");
    expect(stock.send(2)).toEqual(["a", "b"]);
    stock.window.rewind();
    stock.outbox.identify("devices/other/messages/events/");
    stock.fill();
    expect(stock.window.oldestTopic()).toBe("devices/other/messages/events/");
    expect(stock.window.identifier).toBe(0);
    expect(stock.send()).toEqual(["a", "b", "c"]);
    stock.acknowledge();
    expect(stock.outbox.isEmpty).toBe(true);
  });

  test("that is the same one changes nothing: what goes again is known as such", () => {
    const stock = new Stock();
    stock.accept("a");
    stock.send();
    stock.window.rewind();
    stock.outbox.identify(TOPIC);
    expect([stock.window.count, stock.window.identifier]).toEqual([1, 1]);
  });

  test("with a longer name gives up what the hub would refuse for ever", () => {
    const stock = new Stock({ bounds: { messageBytesMax: TOPIC.length + 10 } });
    stock.accept("x".repeat(10), "y");
    stock.outbox.identify(`${TOPIC}longer`);
    expect(stock.drain()).toEqual(["y"]);
    expect(stock.outbox.tally.of(7, Fate.OUTGROWN)).toBe(1);
  });
});

describe("a store that was made anew", () => {
  test("without some messages on their way sends them all the same, and counts right", () => {
    const stock = new Stock();
    const { outbox, shelf } = stock;
    stock.accept("a", "b", "c", "d", "e");
    expect(stock.send(3)).toEqual(["a", "b", "c"]);
    shelf.break(2);
    stock.offer("f");
    outbox.journal.commit(stock.nowMs);
    // f was in the write that found it broken.
    expect(outbox.tally.of(7, Fate.REFUSED_STORE)).toBe(0);
    outbox.onDeadline(stock.nowMs, stock.wallS);
    stock.settle();
    expect(outbox.count).toBe(6);
    stock.acknowledge();
    expect(stock.drain()).toEqual(["d", "e", "f"]);
    expect([outbox.count, outbox.bytes]).toEqual([0, 0]);
    expect(outbox.tally.of(7, Fate.ACKNOWLEDGED)).toBe(6);
  });

  test("while a read was broken off goes on where it was", () => {
    const stock = new Stock();
    const { outbox, shelf } = stock;
    stock.accept("a", "b");
    shelf.isUnreadable = true;
    expect(stock.send()).toEqual([]);
    shelf.isUnreadable = false;
    outbox.onDeadline(stock.nowMs, stock.wallS);
    stock.settle();
    expect(stock.drain()).toEqual(["a", "b"]);
  });
});

test("a damaged message is counted, and those behind it are sent", () => {
  const stock = new Stock();
  stock.accept("a", "b", "c");
  stock.shelf.damage("b");
  expect(stock.drain(1)).toEqual(["a", "c"]);
  expect(stock.outbox.tally.of(7, Fate.DAMAGED)).toBe(1);
  expect([stock.outbox.count, stock.outbox.bytes]).toEqual([0, 0]);
});

describe("order", () => {
  test("the most urgent go first, the others get their share, each in its order", () => {
    const stock = new Stock({ drain: { sharePercent: 25, limit: null } });
    for (let at = 1; at <= 6; at++) stock.offer(`u${at}`, 1);
    for (let at = 1; at <= 3; at++) stock.offer(`l${at}`, 8);
    stock.settle();
    expect(stock.drain(1)).toEqual(["u1", "u2", "u3", "l1", "u4", "u5", "u6", "l2", "l3"]);
  });

  test("an urgent message goes before all others at the next place", () => {
    const stock = new Stock();
    stock.accept(...Array.from({ length: 40 }, (_, at) => `${at}`));
    expect(stock.send(2)).toEqual(["0", "1"]);
    stock.offer("urgent", 0);
    stock.settle();
    stock.acknowledge();
    expect(stock.send(2)).toEqual(["urgent", "2"]);
  });

  test("a rate limit says when to come again, and a pause forgets it", () => {
    const limit = { average: 1, unitMs: 1000, burst: 1 };
    const stock = new Stock({ drain: { sharePercent: 20, limit } });
    stock.accept("a", "b");
    expect(stock.send()).toEqual(["a"]);
    expect(stock.outbox.resumeMs).toBe(1000);
    stock.outbox.pause();
    expect(stock.outbox.resumeMs).toBe(Number.POSITIVE_INFINITY);
    stock.nowMs = 1000;
    stock.wallS += 1;
    expect(stock.send()).toEqual(["b"]);
  });
});

const NONE = new Uint8Array(0);
