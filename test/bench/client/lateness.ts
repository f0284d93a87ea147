// Lateness: how late a 1 ms timer is while messages are made durable, or nothing is:
//   bun test/bench/client/lateness.ts idle|ours|full FOLDER SECONDS
// Neighbours: `../store` runs it under `test/native/cut.c`, which slows every sync down.
// Invariant: one line of JSON in the end: all latenesses in milliseconds, and what was accepted.

import { Database } from "bun:sqlite";
import { join } from "node:path";
import { Depot } from "../../port/depot.ts";

/** What a run came to. */
export interface Late {
  readonly latenessMs: readonly number[];
  readonly accepted: number;
  /** Times that the journal was emptied. */
  readonly emptied: number;
}

const TURN_MS = 10;
const GROUP = 40;

const [way = "", folder = "", secondsText] = process.argv.slice(2);
const body = new Uint8Array(200).fill(120);
let accepted = 0;
let emptied = 0;

function ours(): () => void {
  const depot = new Depot(join(folder, "queue.db"), {
    onAccepted: (sequence) => {
      accepted = sequence;
    },
  });
  const { store, journal } = depot;
  const empty = store.empty.bind(store);
  store.empty = () => {
    emptied++;
    return empty();
  };
  return () => {
    for (const message of journal.ledger.load(7, 0, GROUP)) journal.ledger.release(message);
    for (let left = GROUP; left > 0; left--) depot.append(body);
    journal.commit(depot.nowMs);
  };
}

function full(): () => void {
  const database = new Database(join(folder, "queue.db"), { create: true });
  database.run("PRAGMA journal_mode = WAL");
  database.run("PRAGMA synchronous = FULL");
  database.run("CREATE TABLE message(key INTEGER PRIMARY KEY, body BLOB)");
  const insert = database.prepare("INSERT INTO message(body) VALUES(?)");
  return () => {
    database.run("BEGIN IMMEDIATE");
    for (let left = GROUP; left > 0; left--) insert.run(body);
    database.run("COMMIT");
    accepted += GROUP;
  };
}

const turn = { idle: () => () => {}, ours, full }[way as "idle"]();
const latenessMs: number[] = [];
let dueMs = performance.now() + 1;
const timer = setInterval(() => {
  const nowMs = performance.now();
  latenessMs.push(Math.max(0, nowMs - dueMs));
  dueMs = nowMs + 1;
}, 1);
const turns = setInterval(turn, TURN_MS);
await Bun.sleep(Number(secondsText) * 1000);
clearInterval(timer);
clearInterval(turns);
console.log(JSON.stringify({ latenessMs, accepted, emptied } satisfies Late));
process.exit(0);
