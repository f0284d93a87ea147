// Pending, tested: what waits for the store, settled in order, however often it goes round.
// Neighbours: `src/core/pending.ts`; `outbox` owns one.
// Invariant: the model is a plain list.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { Pending } from "../../src/core/pending.ts";
import { PENDING_MESSAGES } from "../../src/limits.ts";

test("behaves as a list does", () => {
  const add = fc.record({ priority: fc.nat(9), bytes: fc.nat(300_000), gap: fc.nat(2) });
  const settle = fc.record({ share: fc.nat(100) });
  fc.assert(
    fc.property(fc.array(fc.oneof(add, settle), { maxLength: 100 }), (steps) => {
      const pending = new Pending();
      let list: { sequence: number; priority: number; bytes: number }[] = [];
      let sequence = 0;
      for (const step of steps) {
        if ("share" in step) {
          const last = Math.floor((sequence * step.share) / 100);
          const told: number[] = [];
          pending.settle(last, (priority) => told.push(priority));
          const due = list.filter((each) => each.sequence <= last);
          expect(told).toEqual(due.map(({ priority }) => priority));
          list = list.filter((each) => each.sequence > last);
        } else {
          // A refused message before has left a gap.
          sequence += 1 + step.gap;
          pending.add(sequence, step.priority, step.bytes);
          list.push({ sequence, priority: step.priority, bytes: step.bytes });
        }
        for (let priority = 0; priority < 10; priority++) {
          const those = list.filter((each) => each.priority === priority);
          expect(pending.counts[priority]).toBe(those.length);
          const bytes = those.reduce((sum, each) => sum + each.bytes, 0);
          expect(pending.bytes[priority]).toBe(bytes);
        }
      }
    }),
  );
});

test("holds what is in the air and what waits behind it, each as much as there may be", () => {
  const pending = new Pending();
  const most = 2 * PENDING_MESSAGES;
  for (let round = 0; round < 2; round++) {
    for (let at = 1; at <= most; at++) pending.add(round * most + at, at % 2, 1);
    let told = 0;
    pending.settle(round * most + PENDING_MESSAGES, (priority) => {
      expect(priority).toBe(++told % 2);
    });
    expect(told).toBe(PENDING_MESSAGES);
    pending.settle(Number.MAX_SAFE_INTEGER, () => told++);
    expect(told).toBe(most);
  }
});
