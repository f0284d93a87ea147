// Hold, tested: what was read from the store is handed on in order, and none is read twice.
// Neighbours: `src/core/hold.ts`; `outbox.test` has it at its place.
// Invariant: what the ledger has is compared with what was read, message by message.

import { expect, test } from "bun:test";
import type { Message } from "../../src/core/effects.ts";
import { Hold } from "../../src/core/hold.ts";
import { Fate, Tally } from "../../src/core/tally.ts";
import { messageBytes } from "../../src/kit/key.ts";
import { Stock } from "./stock.ts";

function stocked(...texts: readonly string[]): { stock: Stock; hold: Hold; tally: Tally } {
  const stock = new Stock();
  stock.accept(...texts);
  const tally = new Tally();
  return { stock, tally, hold: new Hold(stock.outbox.journal.ledger, tally) };
}

const textOf = (message: Message | undefined) => new TextDecoder().decode(message?.body);

test("reads some, hands on one after the other, and knows when there is no more", () => {
  const { hold } = stocked("a", "b", "c");
  const ready = new Uint8Array(10);
  const seen: string[] = [];
  for (;;) {
    hold.look(ready);
    const message = ready[7] === 1 ? hold.first(7, 2) : undefined;
    if (message === undefined) break;
    // Asked again it is the same one.
    expect(hold.first(7, 2)).toBe(message);
    seen.push(textOf(message));
    hold.shift(7);
  }
  expect(seen).toEqual(["a", "b", "c"]);
  expect(hold.first(7, 2)).toBeUndefined();
  hold.look(ready);
  expect([...ready]).toEqual([1, 1, 1, 1, 1, 1, 1, 0, 1, 1]);
  hold.onAccepted(7);
  hold.look(ready);
  expect(ready[7]).toBe(1);
});

test("counts what it holds and the store has, until that ends", () => {
  const { stock, hold } = stocked("a", "bb");
  const first = hold.first(7, 8)!;
  expect([hold.counts[7], hold.bytes[7]]).toEqual([2, messageBytes(0, 1) + messageBytes(0, 2)]);
  hold.shift(7);
  hold.end(first);
  expect([hold.counts[7], hold.bytes[7]]).toEqual([1, messageBytes(0, 2)]);
  expect(stock.outbox.count).toBe(1);
});

test("what is given back is the next again, in its old order", () => {
  const { hold } = stocked("a", "b", "c");
  const first = hold.first(7, 2)!;
  hold.shift(7);
  const second = hold.first(7, 2)!;
  hold.shift(7);
  hold.give(second);
  hold.give(first);
  expect(textOf(hold.first(7, 2))).toBe("a");
  hold.shift(7);
  expect(textOf(hold.first(7, 2))).toBe("b");
  hold.shift(7);
  expect(textOf(hold.first(7, 2))).toBe("c");
});

test("what a new store does not have ends without a word to it", () => {
  const { stock, hold } = stocked("a", "b", "c");
  const message = hold.first(7, 2)!;
  hold.shift(7);
  stock.shelf.break(1);
  stock.offer("d");
  stock.outbox.journal.commit(0);
  stock.outbox.onDeadline(0, stock.wallS);
  stock.settle();
  hold.recheck([message]);
  expect([hold.counts[7], hold.ghostCounts[7]]).toEqual([1, 1]);
  const { counts } = stock.outbox.journal.ledger;
  expect(counts[7]).toBe(3);
  hold.end(message);
  expect([counts[7], hold.ghostCounts[7]]).toEqual([3, 0]);
  expect(textOf(hold.first(7, 2))).toBe("b");
});

test("damaged messages are counted under their priority", () => {
  const { stock, hold, tally } = stocked("a", "b");
  stock.shelf.damage("a");
  expect(textOf(hold.first(7, 2))).toBe("b");
  expect(tally.of(7, Fate.DAMAGED)).toBe(1);
});
