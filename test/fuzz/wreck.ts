// Wreck: damaged files of the store, and what the store must make of them.
// Neighbours: `store.ts` does it a million times, `test/port/salvage.test.ts` a few thousand.
// Invariant: whatever the files hold, the store opens, hands out only messages that were put in,
// takes a new one, and keeps it.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Prng } from "../../src/kit/prng.ts";
import { Depot } from "../port/depot.ts";
import { letterOf } from "../soak/letter.ts";

const PAGE_BYTES = 4096;
const SEED = 11;
const MESSAGES = 150;

/** Files of a store by the end of their names. */
export type Wreckage = ReadonlyMap<string, Buffer>;

/** What a campaign came to. */
export interface Tally {
  inputs: number;
  /** Stores that had to be made anew. */
  rebuilt: number;
  /** Messages found again, and those that there had been. */
  found: number;
  there: number;
  /** What went wrong first, with the number of the input; "" when nothing did. */
  failure: string;
}

function append(depot: Depot): boolean {
  const sequence = depot.journal.ledger.last + 1;
  const { priority, acceptedS, bag, body } = letterOf(SEED, sequence);
  return depot.journal.append(priority, acceptedS, 0, bag, body) === sequence;
}

/** A store as it lies on the disk: closed, in the middle of its work, or after some removals. */
export async function wreckages(): Promise<Wreckage[]> {
  const folder = mkdtempSync(join(tmpdir(), "azimuth-wreck-"));
  const path = join(folder, "queue.db");
  const taken: Wreckage[] = [];
  const take = () => {
    const parts = ["", "-wal"].filter((part) => existsSync(path + part));
    taken.push(new Map(parts.map((part) => [part, readFileSync(path + part)])));
  };
  const depot = new Depot(path, { journalBytesFill: 64 * 1024 });
  for (let count = 0; count < MESSAGES; count++) {
    append(depot);
    if (count % 7 === 0) await depot.settle();
  }
  await depot.settle();
  take();
  depot.journal.ledger.evict(7, 0, 8000, false);
  append(depot);
  await depot.settle();
  take();
  depot.journal.close();
  take();
  rmSync(folder, { recursive: true, force: true });
  return taken;
}

function damage(bytes: Buffer, prng: Prng): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length === 0) return Buffer.alloc(prng.below(64), prng.below(256));
  const at = prng.below(copy.length);
  // Heads of pages are where the damage is greatest.
  const head = prng.below(Math.ceil(copy.length / PAGE_BYTES)) * PAGE_BYTES + prng.below(120);
  switch (prng.below(8)) {
    case 0:
      copy[at]! ^= 1 << prng.below(8);
      return copy;
    case 1:
      if (head < copy.length) copy[head] = prng.below(256);
      return copy;
    case 2:
      copy.subarray(at, at + prng.below(600)).fill(prng.below(256));
      return copy;
    case 3:
      copy
        .subarray(at - (at % PAGE_BYTES))
        .subarray(0, PAGE_BYTES)
        .fill(0);
      return copy;
    case 4: {
      const from = prng.below(copy.length);
      copy.copy(copy, at - (at % 512), from - (from % 512), from - (from % 512) + PAGE_BYTES);
      return copy;
    }
    case 5:
      return copy.subarray(0, at);
    case 6:
      return copy.subarray(0, at - (at % PAGE_BYTES));
    default:
      return Buffer.concat([copy, Buffer.alloc(prng.below(9000), prng.below(256))]);
  }
}

/** Opens a store over these files and uses it; "" or what is wrong. */
function trial(folder: string, files: Wreckage, tally: Tally): string {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  const path = join(folder, "queue.db");
  for (const [part, bytes] of files) writeFileSync(path + part, bytes);
  const depot = new Depot(path);
  if (depot.lines.length > 0) tally.rebuilt++;
  const before = check(depot, tally);
  if (before !== "") return before;
  if (!append(depot)) return `not open: ${depot.lines.join("; ")}`;
  const { last } = depot.journal.ledger;
  depot.journal.close();
  if (depot.accepted !== last) return `a new message was not kept: ${depot.lines.join("; ")}`;
  const again = new Depot(path);
  const problem = check(again, { ...tally });
  const isThere = again.all().some(({ sequence }) => sequence === last);
  again.journal.close();
  return problem !== "" || isThere
    ? problem
    : `a new message was lost: ${[...depot.lines, ...again.lines]}`;
}

function check(depot: Depot, tally: Tally): string {
  for (const { sequence, priority, bag, body } of depot.all()) {
    const letter = letterOf(SEED, sequence);
    const isSame = Buffer.compare(letter.body, body) === 0 && letter.bag === bag;
    if (!isSame || letter.priority !== priority) return `message ${sequence} was not put in`;
    tally.found++;
  }
  return "";
}

/** Damages files `count` times by seed, and tries what is left of them. */
export function campaign(count: number, seed: number, bases: readonly Wreckage[]): Tally {
  const base = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const folder = mkdtempSync(join(base, "azimuth-wreck-"));
  const tally = { inputs: 0, rebuilt: 0, found: 0, there: 0, failure: "" };
  const prng = new Prng(seed);
  for (; tally.inputs < count && tally.failure === ""; tally.inputs++) {
    const files = new Map(bases[prng.below(bases.length)]);
    for (let left = prng.between(1, 3); left > 0; left--) {
      const parts = [...files.keys()];
      const part = parts[prng.below(parts.length)]!;
      files.set(part, damage(files.get(part)!, prng));
    }
    tally.there += MESSAGES;
    try {
      tally.failure = trial(join(folder, "data"), files, tally);
    } catch (error) {
      tally.failure = `an exception: ${(error as Error).stack}`;
    }
    if (tally.failure !== "") tally.failure = `input ${tally.inputs}: ${tally.failure}`;
  }
  rmSync(folder, { recursive: true, force: true });
  return tally;
}
