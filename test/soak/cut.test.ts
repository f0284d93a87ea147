// The power-cut model, in short: cuts all over a short run, and planted faults that must show.
// Neighbours: `cut.ts` has the whole of it; `disk.ts` what a cut leaves.
// Invariant: each planted fault takes one thing away of what makes the order of syncs safe.

import { describe, expect, test } from "bun:test";
import { Prng } from "../../src/kit/prng.ts";
import { recordRun, walk } from "./cut.ts";
import { Disk, Fate, Operation, type Step } from "./disk.ts";

const FILL_BYTES = 96 * 1024;
const LIMIT_MS = 60_000;

test(
  "after any cut everything accepted is there",
  () => {
    const walked = walk(recordRun(3, 60, FILL_BYTES), { seed: 3, every: 6, variants: 3 });
    expect(walked.failure).toBe("");
    expect(walked.fills).toBeGreaterThanOrEqual(3);
    expect(walked.cuts).toBeGreaterThan(100);
  },
  LIMIT_MS,
);

test.each([
  ["a sync of the journal that is not done", "sync", FILL_BYTES, [5, 6]],
  ["a sync of the database that is not done", "syncFilled", FILL_BYTES, [5, 6]],
  ["a sync of the emptied journal that is not done", "syncEmptied", FILL_BYTES, [1, 5, 6]],
  ["another program let in before the database is synced", "guard", 24_000, [12, 13, 11, 6]],
  ["a header that nobody syncs, after another program's", "header", 400_000, [1, 4, 8, 9]],
] as const)(
  "%s is found out",
  (_name, fault, fillBytes, seeds) => {
    // Not every run comes upon every fault.
    const isFound = seeds.some((seed) => {
      const steps = recordRun(seed, 40, fillBytes, fault);
      return walk(steps, { seed, every: 1, variants: 8 }).failure !== "";
    });
    expect(isFound).toBe(true);
  },
  LIMIT_MS,
);

describe("a disk", () => {
  const prng = new Prng(1);
  const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("latin1");
  const step = (operation: Operation, offset = 0, bytes = "", name = "a"): Step => {
    return { operation, inode: 5, offset, bytes: Buffer.from(bytes), name, other: "" };
  };
  const folder = (operation: Operation): Step => ({ ...step(operation), inode: 0, name: "" });

  /** After these steps, a name that is durable among them. */
  function made(...steps: readonly Step[]): Disk {
    const disk = new Disk();
    disk.apply(step(Operation.CREATE));
    disk.apply(folder(Operation.BEGIN));
    disk.apply(folder(Operation.END));
    for (const each of steps) disk.apply(each);
    return disk;
  }

  test("keeps what was written before its sync began, whatever else", () => {
    const disk = made(
      step(Operation.WRITE, 0, "one"),
      step(Operation.BEGIN),
      step(Operation.WRITE, 0, "two"),
      step(Operation.END),
    );
    expect(text(disk.cut(Fate.LOST, prng).get("a"))).toBe("one");
    expect(text(disk.cut(Fate.KEPT, prng).get("a"))).toBe("two");
  });

  test("has any mixture of sectors, but whole ones", () => {
    const disk = made(step(Operation.WRITE, 0, "x".repeat(1024)));
    const seen = new Set<string>();
    for (let tries = 0; tries < 300; tries++) {
      const left = text(disk.cut(Fate.MIXED, prng).get("a"));
      if (left.length === 1024) seen.add(`${left[0]}${left[511]} ${left[512]}${left[1023]}`);
      else expect(left).toBe("");
    }
    expect([...seen].sort()).toEqual(["\0\0 \0\0", "\0\0 xx", "xx \0\0", "xx xx"]);
  });

  test("has the old length or the new one", () => {
    const disk = made(
      step(Operation.WRITE, 0, "x".repeat(600)),
      step(Operation.BEGIN),
      step(Operation.END),
      step(Operation.SIZE, 0),
    );
    const lengths = new Set<number>();
    for (let tries = 0; tries < 100; tries++) {
      const left = text(disk.cut(Fate.MIXED, prng).get("a"));
      lengths.add(left.length);
      expect(left).toBe("x".repeat(left.length));
    }
    expect([...lengths].sort()).toEqual([0, 600]);
  });

  test("forgets a name that was not synced, and one that takes its inode is another file", () => {
    const disk = made(
      step(Operation.WRITE, 0, "one"),
      step(Operation.BEGIN),
      step(Operation.END),
      step(Operation.REMOVE),
      step(Operation.CREATE, 0, "", "b"),
    );
    expect([...disk.cut(Fate.LOST, prng)].map(([name, left]) => [name, text(left)])).toEqual([
      ["a", "one"],
    ]);
    expect([...disk.cut(Fate.KEPT, prng)].map(([name, left]) => [name, text(left)])).toEqual([
      ["b", ""],
    ]);
  });
});
