// Rids, tested: request numbers from 1, one after the other, and what follows the last.
// Neighbours: `src/core/rids.ts`; the topic codec bounds them.
// Invariant: a number that a topic could not carry is never given.

import { expect, test } from "bun:test";
import { RID_MAX, twinGetTopic } from "../../src/codec/topic.ts";
import { Rids } from "../../src/core/rids.ts";

test("counts from 1", () => {
  const rids = new Rids();
  expect([rids.next(), rids.next(), rids.next()]).toEqual([1, 2, 3]);
});

test("after the last comes the first", () => {
  const rids = new Rids(RID_MAX - 1);
  const drawn = [rids.next(), rids.next(), rids.next()];
  expect(drawn).toEqual([RID_MAX, 1, 2]);
  for (const rid of drawn) expect(twinGetTopic(rid)).toEndWith(`$rid=${rid}`);
});
