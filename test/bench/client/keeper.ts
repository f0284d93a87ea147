// Keeper: makes messages durable in one of several ways, and measures itself:
//   bun test/bench/client/keeper.ts WAY FOLDER GROUP TURNS
// Neighbours: `../store` compares the ways; `test/port/depot.ts` is ours.
// Invariant: every way makes groups of the same messages durable, one after the other but where it
// says otherwise, and removes the group before; one line of JSON in the end.

import { Database } from "bun:sqlite";
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { Depot } from "../../port/depot.ts";

/** What a run came to. */
export interface Kept {
  readonly messagesPerS: number;
  readonly cpuUs: number;
  /** Given to the kernel in writes, and what the whole machine wrote to the disk meanwhile. */
  readonly givenBytes: number;
  readonly diskBytes: number;
  /** Longest single step on the loop that the journal asked the store for, by name. */
  readonly longestMs: Readonly<Record<string, number>>;
}

const BODY_BYTES = 200;
const BAG = "id=1790000000.123456&kind=telemetry";
const RECORD_BYTES = 256;
const FLOOR_BYTES = 16 * 1024 * 1024;

const [way = "", folder = "", groupText, turnsText] = process.argv.slice(2);
const group = Number(groupText);
const turns = Number(turnsText);
const body = new Uint8Array(BODY_BYTES).fill(120);
const longestMs: Record<string, number> = {};

type Turn = () => Promise<void>;

let end: Turn = async () => {};

function timed(depot: Depot): void {
  for (const name of ["write", "fill", "empty"] as const) {
    const call = depot.store[name].bind(depot.store) as (...words: unknown[]) => never;
    (depot.store as unknown as Record<string, unknown>)[name] = (...words: unknown[]) => {
      const startMs = performance.now();
      const outcome = call(...words);
      longestMs[name] = Math.max(longestMs[name] ?? 0, performance.now() - startMs);
      return outcome;
    };
  }
}

/** Without waiting, groups come while a sync is in the air, as they do in the agent. */
async function ours(isWaiting: boolean): Promise<Turn> {
  const depot = new Depot(join(folder, "queue.db"));
  timed(depot);
  const { ledger } = depot.journal;
  end = () => depot.settle();
  return async () => {
    for (const message of ledger.load(7, 0, group)) ledger.release(message);
    for (let left = group; left > 0; left--) depot.append(body, 7, BAG);
    if (isWaiting) return depot.settle();
    depot.journal.commit(depot.nowMs);
    await new Promise<void>((resolve) => setImmediate(resolve));
  };
}

async function full(): Promise<Turn> {
  const database = new Database(join(folder, "queue.db"), { create: true });
  database.run("PRAGMA journal_mode = WAL");
  database.run("PRAGMA synchronous = FULL");
  database.run("CREATE TABLE message(key INTEGER PRIMARY KEY, accepted, bag TEXT, body BLOB)");
  const insert = database.prepare("INSERT INTO message VALUES(?, ?, ?, ?)");
  const remove = database.prepare("DELETE FROM message WHERE key <= ?");
  let key = 0;
  return async () => {
    const before = key;
    database.run("BEGIN IMMEDIATE");
    for (let left = group; left > 0; left--) insert.run(++key, 1_790_000_000, BAG, body);
    remove.run(before);
    database.run("COMMIT");
  };
}

/** A file of zeros that is written over and over: no length, no tree, no copy. */
async function floor(isAsync: boolean): Promise<Turn> {
  const file = openSync(join(folder, "ring"), "w+");
  const zeros = new Uint8Array(1024 * 1024);
  for (let at = 0; at < FLOOR_BYTES; at += zeros.length)
    writeSync(file, zeros, 0, zeros.length, at);
  fdatasyncSync(file);
  process.on("exit", () => closeSync(file));
  const bytes = new Uint8Array(group * RECORD_BYTES).fill(120);
  let at = 0;
  return async () => {
    if (at + bytes.length > FLOOR_BYTES) at = 0;
    writeSync(file, bytes, 0, bytes.length, at);
    at += bytes.length;
    if (!isAsync) return fdatasyncSync(file);
    await new Promise<void>((resolve) => fdatasync(file, () => resolve()));
  };
}

function given(): number {
  return Number(/^wchar: (\d+)/m.exec(readFileSync("/proc/self/io", "utf8"))?.[1] ?? 0);
}

/** Of the disk below the folder (Documentation/block/stat, 512-byte sectors); 0 when unknown. */
function onDisk(): number {
  const { dev } = statSync(folder);
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
  try {
    const words = readFileSync(`/sys/dev/block/${major}:${minor}/stat`, "utf8").trim().split(/\s+/);
    return Number(words[6]) * 512;
  } catch {
    return 0;
  }
}

const WAYS: Readonly<Record<string, () => Promise<Turn>>> = {
  ours: () => ours(true),
  "ours, not waiting": () => ours(false),
  "SQLite FULL": full,
  floor: () => floor(false),
  "floor, asynchronous": () => floor(true),
};

const turn = await WAYS[way]!();
for (let left = turns / 5; left > 0; left--) await turn();
await end();
const startMs = performance.now();
const cpuBefore = process.cpuUsage();
const [givenBefore, diskBefore] = [given(), onDisk()];
for (let left = turns; left > 0; left--) await turn();
await end();
const seconds = (performance.now() - startMs) / 1000;
const cpu = process.cpuUsage(cpuBefore);
const messages = turns * group;
const kept: Kept = {
  messagesPerS: messages / seconds,
  cpuUs: (cpu.user + cpu.system) / messages,
  givenBytes: (given() - givenBefore) / messages,
  diskBytes: (onDisk() - diskBefore) / messages,
  longestMs,
};
console.log(JSON.stringify(kept));
