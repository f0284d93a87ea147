// Journal, tested: the state table, what is accepted when, and every way a disk says no.
// Neighbours: `till` is the store; the same over SQLite is in `test/port/store.test.ts`.
// Invariant: each message ends as accepted or refused, once.

import { describe, expect, test } from "bun:test";
import { StoreOutcome } from "../../src/core/effects.ts";
import { JournalState } from "../../src/core/journal.ts";
import * as limits from "../../src/limits.ts";
import { walkTable } from "./table.ts";
import { Till } from "./till.ts";

const { resting } = Till;

function blocked(): Till {
  const till = resting();
  till.outcomes.write = StoreOutcome.BUSY;
  till.append();
  till.journal.commit(0);
  till.outcomes.write = StoreOutcome.DONE;
  return till;
}

function syncing(): Till {
  const till = resting();
  till.append();
  till.journal.commit(0);
  return till;
}

function filling(): Till {
  const till = resting();
  till.journalBytes = 1000;
  till.journal.commit(0);
  return till;
}

function emptying(): Till {
  const till = filling();
  till.journal.onSynced(0, "");
  return till;
}

function broken(): Till {
  const till = syncing();
  till.journal.onSynced(0, "EIO");
  return till;
}

function lost(): Till {
  const till = new Till();
  till.isOpen = false;
  till.journal.open(0, 0);
  till.isOpen = true;
  return till;
}

describe("each state", () => {
  walkTable<Till>({
    file: "core/journal.ts",
    states: {
      CLOSED: () => new Till(),
      RESTING: resting,
      BLOCKED: blocked,
      SYNCING: syncing,
      FILLING: filling,
      EMPTYING: emptying,
      BROKEN: broken,
      LOST: lost,
    },
    stateOf: ({ journal }) => JournalState[journal.state],
    events: {
      commit: (till) => {
        till.append();
        till.journal.commit(0);
        return "";
      },
      synced: (till) => void till.journal.onSynced(0, ""),
      failed: (till) => void till.journal.onSynced(0, "EIO"),
      broken: (till) => {
        till.outcomes.load = StoreOutcome.BROKEN;
        till.journal.ledger.load(7, 0, 1);
        return "";
      },
      deadline: (till) => void till.journal.onDeadline(limits.STORE_REBUILD_MS_MAX, 0),
      close: (till) => void till.journal.close(),
    },
    look: (till) => till.look(),
  });

  test("an answer nobody waits for is counted and does nothing", () => {
    for (const make of [() => new Till(), resting, blocked, broken, lost]) {
      const till = make();
      till.journal.onSynced(0, "");
      expect(till.journal.stray).toBe(1);
    }
  });
});

describe("accepted", () => {
  test("is what a sync has covered, and no more", () => {
    const till = resting();
    expect([till.append(), till.append()]).toEqual([101, 102]);
    till.journal.commit(0);
    expect(till.append()).toBe(103);
    till.journal.commit(0);
    expect(till.accepted).toBe(0);
    till.journal.onSynced(0, "");
    expect(till.accepted).toBe(102);
    till.journal.onSynced(0, "");
    expect(till.accepted).toBe(103);
  });

  test("what comes during a sync leaves as one transaction", () => {
    const till = syncing();
    till.look();
    for (let count = 0; count < 5; count++) {
      till.append();
      till.journal.commit(0);
    }
    expect(till.look()).toEqual([]);
    till.journal.onSynced(0, "");
    expect(till.look()).toEqual(["accepted", "write", "sync"]);
    expect(till.rows.size).toBe(6);
  });

  test("a release alone is written and synced, and accepts nothing", () => {
    const till = resting();
    till.have("a");
    till.look();
    till.journal.ledger.release(till.journal.ledger.load(7, 0, 1)[0]!);
    till.journal.commit(0);
    till.journal.onSynced(0, "");
    expect(till.look()).toEqual(["write", "sync"]);
    expect(till.rows.size).toBe(0);
  });

  test("without anything to write nothing is done", () => {
    const till = resting();
    till.look();
    till.journal.commit(0);
    expect(till.look()).toEqual([]);
  });
});

describe("the journal of the store", () => {
  test("is emptied when it is long, and what came meanwhile is written then", () => {
    const till = filling();
    expect(till.look().slice(-2)).toEqual(["fill", "sync"]);
    till.append();
    till.journal.commit(0);
    till.journal.onSynced(0, "");
    expect(till.look()).toEqual(["empty", "sync"]);
    till.journal.onSynced(0, "");
    expect(till.look()).toEqual(["write", "sync"]);
  });

  test("stays while another program is in the way, and is tried again later", () => {
    const till = resting();
    till.journalBytes = 1000;
    till.outcomes.fill = StoreOutcome.BUSY;
    till.look();
    till.append();
    till.journal.commit(0);
    expect(till.look()).toEqual(["fill", "write", "sync"]);
    till.outcomes.fill = StoreOutcome.DONE;
    till.journal.onSynced(limits.STORE_FILL_MS - 1, "");
    expect(till.look()).toEqual(["accepted"]);
    till.journal.commit(limits.STORE_FILL_MS);
    expect(till.look()).toEqual(["fill", "sync"]);
  });

  test("that cannot be emptied at the end of it is left for later", () => {
    const till = filling();
    till.outcomes.empty = StoreOutcome.BUSY;
    till.look();
    till.journal.onSynced(5, "");
    expect(till.look()).toEqual(["empty"]);
    expect(JournalState[till.journal.state]).toBe("RESTING");
    till.journal.commit(6);
    expect(till.look()).toEqual([]);
    till.journal.commit(5 + limits.STORE_FILL_MS);
    expect(till.look()).toEqual(["fill", "sync"]);
  });

  test("has an end, behind which nothing is taken", () => {
    const till = resting();
    till.journalBytes = limits.JOURNAL_BYTES_MAX;
    till.outcomes.fill = StoreOutcome.BUSY;
    till.look();
    till.append();
    till.journal.commit(0);
    expect(till.look()).toEqual(["fill", "refused"]);
    expect(till.refusals).toEqual(["101-101 REFUSED no fill"]);
  });
});

describe("a disk that says no", () => {
  test("another program's lock is waited for", () => {
    const till = blocked();
    expect(till.journal.deadlineMs).toBe(limits.STORE_BUSY_MS);
    expect(till.journal.trouble).toBe("no write");
    till.journal.onDeadline(limits.STORE_BUSY_MS, 0);
    till.journal.onSynced(30, "");
    expect(till.accepted).toBe(101);
    expect(till.refusals).toEqual([]);
    expect(till.journal.trouble).toBe("");
  });

  test("a refused write refuses its messages, keeps the releases, and is tried again", () => {
    const till = resting();
    till.have("a");
    till.journal.ledger.release(till.journal.ledger.load(7, 0, 1)[0]!);
    till.append("b");
    till.append("c");
    till.outcomes.write = StoreOutcome.REFUSED;
    till.journal.commit(0);
    expect(till.refusals).toEqual(["102-103 REFUSED no write"]);
    expect(till.journal.ledger.counts[7]).toBe(0);
    till.outcomes.write = StoreOutcome.DONE;
    expect(till.append("d")).toBe(104);
    till.journal.onDeadline(limits.STORE_REFUSED_MS, 0);
    till.journal.onSynced(2000, "");
    expect(till.accepted).toBe(104);
    expect([...till.rows.values()].map(({ sequence }) => sequence)).toEqual([104]);
  });

  test("a full disk has the journal emptied, once in a while", () => {
    const till = resting();
    till.journalBytes = 500;
    till.outcomes.write = StoreOutcome.REFUSED;
    till.look();
    till.append();
    till.journal.commit(0);
    expect(till.look()).toEqual(["write", "refused", "fill", "sync"]);
    till.append();
    till.journal.onSynced(0, "");
    till.journalBytes = 500;
    till.journal.onSynced(0, "");
    expect(till.look()).toEqual(["empty", "sync", "write", "refused"]);
    expect(JournalState[till.journal.state]).toBe("BLOCKED");
  });

  test("a failed sync refuses what it was for; the rest goes into a new database", () => {
    const till = resting();
    till.have("a");
    till.append("b");
    till.journal.commit(0);
    till.append("c");
    till.detail = "the sync failed";
    till.journal.onSynced(0, "EIO");
    expect(till.refusals).toEqual(["102-102 BROKEN the sync failed"]);
    till.journal.onDeadline(0, 0);
    till.journal.onSynced(0, "");
    expect(till.accepted).toBe(103);
    expect([...till.rows.values()].map(({ sequence }) => sequence)).toEqual([101, 103]);
    expect(till.lines).toEqual(["rebuilt"]);
  });

  test("broken again at once makes no database after another", () => {
    const till = broken();
    till.journal.onDeadline(0, 0);
    till.append();
    till.journal.commit(1);
    till.journal.onSynced(1, "EIO");
    till.append();
    till.look();
    till.journal.onDeadline(1, 0);
    expect(till.look()).toEqual(["refused"]);
    expect(JournalState[till.journal.state]).toBe("LOST");
    expect(till.append()).toBe(0);
    till.journal.onDeadline(till.journal.deadlineMs, 0);
    expect(till.look()).toEqual(["open"]);
    expect(till.append()).toBe(104);
  });

  test("without a store it is tried again, less and less often", () => {
    const till = new Till();
    till.isOpen = false;
    till.journal.open(0, 0);
    const waits = Array.from({ length: 8 }, () => {
      const { deadlineMs } = till.journal;
      till.journal.onDeadline(deadlineMs, 0);
      return (till.journal.deadlineMs - deadlineMs) / 1000;
    });
    expect(waits).toEqual([10, 20, 40, 80, 160, 300, 300, 300]);
    expect(till.append()).toBe(0);
    till.isOpen = true;
    till.journal.onDeadline(till.journal.deadlineMs, 0);
    expect(till.append()).toBe(101);
    expect(till.journal.boot).toBe(7);
  });

  test("a rebuild that fails refuses what waits", () => {
    const till = broken();
    till.append();
    till.isOpen = false;
    till.look();
    till.journal.onDeadline(0, 0);
    expect(till.look()).toEqual(["rebuild", "refused"]);
    expect(till.lines).toEqual(["not rebuilt"]);
  });
});

describe("closing", () => {
  test("writes what waits", () => {
    const till = syncing();
    till.append();
    till.journal.close();
    expect(till.accepted).toBe(102);
    till.look();
    till.journal.close();
    expect(till.look()).toEqual([]);
  });

  test("that fails says so and refuses", () => {
    const till = syncing();
    till.append();
    till.problem = "EIO";
    till.journal.close();
    expect(till.lines).toEqual(["EIO"]);
    expect(till.refusals).toEqual(["101-101 REFUSED EIO", "102-102 REFUSED EIO"]);
    expect(till.accepted).toBe(0);
  });
});

test("small texts go through", () => {
  const till = resting();
  expect(till.journal.get("rung")).toBe("rung is kept");
  expect(till.journal.put("rung", "3")).toBe(true);
  till.outcomes.put = StoreOutcome.BUSY;
  expect(till.journal.put("rung", "4")).toBe(false);
});
