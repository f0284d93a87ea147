// Ledger, tested: numbers, bounds, ranges, what is in reach of eviction, and the counts.
// Neighbours: `till` is the store, with its journal; `journal.test.ts` has the order of steps.
// Invariant: after everything was written, the counts are those of the rows there.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Message, StoreOutcome } from "../../src/core/effects.ts";
import { keyOf, messageBytes } from "../../src/kit/key.ts";
import * as limits from "../../src/limits.ts";
import { Till } from "./till.ts";

const ONE = messageBytes(0, 1);

function textsOf(messages: readonly Message[]): string[] {
  return messages.map(({ body }) => new TextDecoder().decode(body));
}

function flush(till: Till): void {
  till.journal.commit(0);
  till.journal.onSynced(0, "");
}

test("messages come back by priority, in order, in portions", () => {
  const till = Till.resting();
  till.append("a");
  till.append("b", 3);
  till.append("c");
  till.append("d");
  flush(till);
  const { ledger } = till.journal;
  expect(textsOf(ledger.load(7, 0, 2))).toEqual(["a", "c"]);
  expect(textsOf(ledger.load(7, 103, 2))).toEqual(["d"]);
  expect(textsOf(ledger.load(3, 0, 9))).toEqual(["b"]);
  expect(ledger.load(5, 0, 9)).toEqual([]);
});

test("what is not accepted is not handed out", () => {
  const till = Till.resting();
  till.have("a");
  till.append("b");
  till.journal.commit(0);
  expect(textsOf(till.journal.ledger.load(7, 0, 9))).toEqual(["a"]);
});

test("what was released is not handed out, and makes no gap", () => {
  const till = Till.resting();
  till.have("a", "b", "c", "d");
  const { ledger } = till.journal;
  for (const message of ledger.load(7, 0, 2)) ledger.release(message);
  expect(textsOf(ledger.load(7, 0, 2))).toEqual(["c", "d"]);
  expect(ledger.counts[7]).toBe(2);
  ledger.release(ledger.load(7, 0, 1)[0]!);
  expect(ledger.bytes[7]).toBe(ONE);
});

test("a release counts once", () => {
  const till = Till.resting();
  till.have("a", "b");
  const { ledger } = till.journal;
  const [first] = ledger.load(7, 0, 1);
  ledger.release(first!);
  ledger.release(first!);
  expect(ledger.counts[7]).toBe(1);
});

test("changed messages are removed and counted", () => {
  const till = Till.resting();
  till.have("a", "b", "c");
  till.damaged.add(keyOf(7, 102));
  const { ledger } = till.journal;
  expect(textsOf(ledger.load(7, 0, 3))).toEqual(["a", "c"]);
  expect([ledger.damaged, ledger.counts[7]]).toEqual([1, 2]);
  flush(till);
  expect(till.rows.has(keyOf(7, 102))).toBe(false);
});

test("oldest or newest go first, behind what is in reach of the hub", () => {
  const till = Till.resting();
  till.have("a", "b", "c", "d", "e");
  const { ledger } = till.journal;
  expect(ledger.evict(7, 101, ONE + 1, false)).toEqual({ count: 2, bytes: 2 * ONE });
  expect(textsOf(ledger.load(7, 0, 9))).toEqual(["a", "d", "e"]);
  expect(ledger.evict(7, 101, 1, true)).toEqual({ count: 1, bytes: ONE });
  expect(textsOf(ledger.load(7, 0, 9))).toEqual(["a", "d"]);
  expect(ledger.evict(7, 101, 1e9, true)).toEqual({ count: 1, bytes: ONE });
  expect(ledger.evict(7, 101, 1, false)).toEqual({ count: 0, bytes: 0 });
});

test("eviction goes on over more rows than one look has", () => {
  const till = Till.resting();
  till.have(...Array.from({ length: 300 }, () => "x"));
  expect(till.journal.ledger.evict(7, 0, 250 * ONE, false).count).toBe(250);
});

test("expired messages go, but none in reach and none before their time", () => {
  const till = Till.resting();
  for (const expiresS of [50, 0, 51, 50, 49]) till.append("x", 7, expiresS);
  till.append("x", 9, 10);
  flush(till);
  const after = new Float64Array(10);
  after[7] = 101;
  const { ledger } = till.journal;
  expect(ledger.expire(50, after)).toEqual({ count: 3, bytes: 3 * ONE });
  expect(ledger.load(7, 0, 9).map(({ sequence }) => sequence)).toEqual([101, 102, 103]);
  expect(ledger.load(9, 0, 9)).toEqual([]);
});

test("expiry looks at so many rows at once, and goes on from there", () => {
  const till = Till.resting();
  for (let count = 0; count < limits.EXPIRE_ROWS + 10; count++) till.append("x", 7, 1);
  flush(till);
  const { ledger } = till.journal;
  const reach = new Float64Array(10);
  expect(ledger.expire(2, reach).count).toBe(limits.EXPIRE_ROWS);
  expect(ledger.expire(2, reach).count).toBe(10);
  expect(ledger.expire(2, reach).count).toBe(0);
});

test("what is on its way in is bounded in number and bytes", () => {
  const till = Till.resting();
  const half = new Uint8Array(limits.PENDING_BYTES / 2);
  expect(till.journal.append(7, 0, 0, "", half)).toBe(101);
  expect(till.journal.append(7, 0, 0, "", half)).toBe(0);
  flush(till);
  for (let count = 0; count < limits.PENDING_MESSAGES; count++) {
    expect(till.append()).toBe(102 + count);
  }
  expect(till.append()).toBe(0);
});

test("the store's own counts are where it starts", () => {
  const till = new Till();
  till.counts = [{ priority: 2, count: 3, bytes: 300 }];
  till.journal.open(0, 0);
  till.append("x", 2);
  const { ledger } = till.journal;
  expect([ledger.counts[2], ledger.bytes[2]]).toEqual([4, 300 + ONE]);
});

test("a damaged store is told to the journal", () => {
  const calls = [
    ({ journal }: Till) => journal.ledger.load(7, 0, 1),
    ({ journal }: Till) => journal.ledger.evict(7, 0, 1, false),
    ({ journal }: Till) => journal.ledger.expire(1, []),
  ];
  for (const call of calls) {
    const till = Till.resting();
    till.outcomes.load = StoreOutcome.BROKEN;
    till.outcomes.scan = StoreOutcome.BROKEN;
    till.have("a");
    call(till);
    expect(till.journal.deadlineMs).toBe(0);
  }
});

test("counts are those of the rows, whatever happens", () => {
  const action = fc.tuple(fc.constantFrom("append", "release", "evict", "refuse"), fc.nat(9));
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const till = Till.resting();
      const { ledger } = till.journal;
      let nowMs = 0;
      for (const [kind, priority] of actions) {
        nowMs += limits.STORE_REFUSED_MS;
        if (kind === "append" || kind === "refuse") till.append("x", priority);
        if (kind === "release")
          for (const each of ledger.load(priority, 0, 1)) ledger.release(each);
        if (kind === "evict") ledger.evict(priority, 0, 2 * ONE, priority % 2 === 0);
        till.outcomes.write = kind === "refuse" ? StoreOutcome.REFUSED : StoreOutcome.DONE;
        till.journal.commit(nowMs);
        till.journal.onDeadline(nowMs, 0);
        till.journal.onSynced(nowMs, "");
      }
      till.outcomes.write = StoreOutcome.DONE;
      till.journal.onDeadline(nowMs + limits.STORE_REFUSED_MS, 0);
      till.journal.onSynced(nowMs, "");
      const rows = [...till.rows.values()];
      const counts = Array.from({ length: 10 }, (_, priority) => {
        return rows.filter((row) => row.priority === priority).length;
      });
      expect([...ledger.counts]).toEqual(counts);
      expect([...ledger.bytes]).toEqual(counts.map((count) => count * ONE));
    }),
  );
});
