// Script: an hour of a gateway's store in a few seconds, for the power-cut model:
//   bun test/soak/script.ts FOLDER SEED TURNS FILL_BYTES [LIBRARY] [FAULT]
// Neighbours: `cut` runs it under `test/native/cut.c`; `letter` says what each message holds.
// Invariant: every promise is marked in the record before anything else happens.

import { dlopen, FFIType } from "bun:ffi";
import { Database } from "bun:sqlite";
import { join } from "node:path";
import {
  type Message,
  type Store,
  type StoreEvents,
  StoreOutcome,
} from "../../src/core/effects.ts";
import { Prng } from "../../src/kit/prng.ts";
import { Depot } from "../port/depot.ts";
import { letterOf, MARK_ACCEPTED, MARK_BOOT, MARK_RELEASED, MARK_TEXT } from "./letter.ts";

const WALL_S = 1_790_000_000;
const SKIPPED = ["sync", "syncFilled", "syncEmptied"] as const;

const [folder = "", seedText, turnsText, fillText, library = "", fault = ""] =
  process.argv.slice(2);
const seed = Number(seedText);
const turns = Number(turnsText);
const prng = new Prng(seed);
const { symbols } = dlopen(library, {
  azimuth_cut_mark: { args: [FFIType.u32, FFIType.f64], returns: FFIType.void },
});
const mark = symbols.azimuth_cut_mark;

const WRITING = "INSERT OR REPLACE INTO text VALUES('visit', hex(randomblob(4)))";
const EMPTYING = "PRAGMA wal_checkpoint(TRUNCATE)";
/** What a visitor may do; reading on and on least often, for it is in the way of the rest. */
const VISITS = [
  WRITING,
  EMPTYING,
  WRITING,
  EMPTYING,
  "PRAGMA wal_checkpoint(PASSIVE)",
  "COMMIT",
  "COMMIT",
  "BEGIN; SELECT count(*) FROM message",
];

/** Another program, as an operator's would be: reads, writes a little, empties the journal. */
class Visitor {
  private readonly database: Database;

  constructor(path: string) {
    this.database = new Database(path, { readwrite: true, create: false });
  }

  /** Does one thing; that it may be locked out is part of the game. */
  visit(kind = prng.below(VISITS.length)): void {
    try {
      this.database.run(VISITS[kind]!);
    } catch (error) {
      if (!/SQLITE_(BUSY|LOCKED|ERROR)/.test(String((error as { code?: string }).code)))
        throw error;
    }
  }

  end(): void {
    this.database.close();
  }
}

/** The inside of the store, for the faults that are planted there. */
interface Inside {
  isEmptied: boolean;
  connections: { database: Database; guard: Database };
}

function plant(store: Store, events: StoreEvents): Store {
  const skipped = SKIPPED.find((each) => each === fault);
  if (skipped !== undefined) {
    store[skipped] = () => {
      if (skipped === "syncEmptied") (store as unknown as Inside).isEmptied = true;
      queueMicrotask(() => events.onStoreSynced(""));
    };
  }
  const fill = store.fill.bind(store);
  store.fill = () => {
    const { guard } = (store as unknown as Inside).connections;
    if (fault === "guard") guard.run = (() => {}) as never;
    const outcome = fill();
    // Where another program is most in the way.
    if (prng.chance(0.7)) visitor?.visit();
    return outcome;
  };
  const empty = store.empty.bind(store);
  store.empty = () => {
    const outcome = empty();
    // Before the new length is on the disk.
    if (fault === "" && prng.chance(0.5)) put(store);
    return outcome;
  };
  return store;
}

/** Keeps a text, which is durable at once: and all else too, which would hide planted faults. */
function put(store: Store): void {
  rung++;
  if (store.put("rung", `${rung}`) === StoreOutcome.DONE) mark(MARK_TEXT, rung);
}

/** SQLite is never told to sync a header of its own. */
function plantInside(store: Store): void {
  if (fault !== "header") return;
  const { database } = (store as unknown as Inside).connections;
  const run = database.run.bind(database);
  database.run = ((sql: string) => run(sql.replace("NORMAL", "OFF"))) as never;
  database.run("PRAGMA synchronous = OFF");
}

let visitor: Visitor | undefined;
let rung = 0;

function open(): Depot {
  const depot = new Depot(join(folder, "queue.db"), {
    wallS: WALL_S,
    journalBytesFill: Number(fillText),
    wrap: plant,
    onAccepted: (sequence) => mark(MARK_ACCEPTED, sequence),
  });
  mark(MARK_BOOT, depot.store.boot);
  plantInside(depot.store);
  visitor = new Visitor(depot.path);
  return depot;
}

function append(depot: Depot): void {
  const { last } = depot.journal.ledger;
  const { priority, acceptedS, expiresS, bag, body } = letterOf(seed, last + 1);
  if (depot.journal.append(priority, acceptedS, expiresS, bag, body) !== last + 1) {
    throw new Error("a message was not taken");
  }
}

function release(depot: Depot, message: Message): void {
  mark(MARK_RELEASED, message.sequence);
  depot.journal.ledger.release(message);
}

/** Most messages go out soon, in order; some stay for long. */
function send(depot: Depot): void {
  for (let priority = 0; priority < 10; priority++) {
    const most = prng.below(60);
    for (const message of depot.journal.ledger.load(priority, 0, most)) release(depot, message);
  }
}

function evict(depot: Depot): void {
  const priority = prng.below(10);
  const isNewestFirst = prng.chance(0.5);
  const { ledger } = depot.journal;
  const all = ledger.load(priority, 0, 10_000);
  // Which ones it takes is known afterwards, which is too late for a cut in between: nothing of
  // it is written before the next commit.
  ledger.evict(priority, 0, 1 + prng.below(4000), isNewestFirst);
  const left = new Set(ledger.load(priority, 0, 10_000).map(({ sequence }) => sequence));
  for (const { sequence } of all) if (!left.has(sequence)) mark(MARK_RELEASED, sequence);
}

let depot = open();
for (let turn = 0; turn < turns; turn++) {
  const burst = prng.chance(0.2) ? prng.between(1, 100) : prng.between(1, 4);
  for (let count = burst; count > 0; count--) append(depot);
  depot.journal.commit(depot.nowMs);
  if (prng.chance(0.3)) append(depot);
  if (fault === "" && prng.chance(0.1)) put(depot.store);
  if (prng.chance(0.5)) send(depot);
  if (prng.chance(0.05)) evict(depot);
  if (prng.chance(0.25)) visitor?.visit();
  await depot.settle();
  if (prng.chance(0.25)) visitor?.visit();
  if (turn === turns >> 1) {
    visitor?.end();
    depot.journal.close();
    depot = open();
  }
}
visitor?.end();
depot.journal.close();
if (depot.refused.length > 0 || depot.lines.length > 0) throw new Error(depot.lines.join());
