// Salvage: gets what is readable out of a damaged database, and keeps the bad files.
// Neighbours: `vault` calls it, and checks every row by its sum; kit/leaf reads bare pages.
// Invariant: never throws, always ends; at most KEPT_MAX bad databases lie about, the oldest
// goes first, and that is said.

import { Database } from "bun:sqlite";
import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { freePages, journalPages, PAGE_BYTES, rowsOf } from "../kit/leaf.ts";
import type { Row } from "../kit/row.ts";

const KEPT_MAX = 3;
const ROWS_AT_ONCE = 200;
const PARTS = ["-wal", ""] as const;
const ROWS = `SELECT key, accepted, expires, sum, bag, body FROM message WHERE key > ?
  ORDER BY key LIMIT ${ROWS_AT_ONCE}`;

interface Text {
  readonly name: unknown;
  readonly value: unknown;
}

/** Reads through SQLite; where that ends too early, page by page. */
export class Salvage {
  /**
   * Calls `take` with every row that can be read, some of them twice. Without a sound first page
   * rows that had been removed may be among them.
   */
  read(path: string, take: (row: Row) => void): void {
    const isWhole = withDatabase(path, (database) => {
      const statement = database.prepare(ROWS);
      try {
        let key = 0;
        for (let count = ROWS_AT_ONCE; count === ROWS_AT_ONCE; ) {
          const rows = statement.all(key) as Row[];
          for (const row of rows) take(row);
          count = rows.length;
          const last = Number(rows.at(-1)?.key);
          // Rows out of order: no tree to be trusted.
          if (count > 0 && !(last > key)) throw new Error("rows out of order");
          key = last;
        }
      } finally {
        statement.finalize();
      }
    });
    if (!isWhole) readPages(path, take);
  }

  /** The small texts, as far as readable. */
  readTexts(path: string): ReadonlyMap<string, string> {
    const texts = new Map<string, string>();
    withDatabase(path, (database) => {
      const statement = database.prepare("SELECT name, value FROM text");
      try {
        for (const { name, value } of statement.iterate() as Iterable<Text>) {
          if (typeof name === "string" && typeof value === "string") texts.set(name, value);
        }
      } finally {
        statement.finalize();
      }
    });
    return texts;
  }

  /** Moves a database's files out of the way, to names with this time; returns what it did. */
  setAside(path: string, wallS: number): string {
    const stamp = new Date(wallS * 1000).toISOString().replace(/[-:]|\.\d+/g, "");
    const folder = dirname(path);
    const name = basename(path);
    const names = new Set(readdirSync(folder));
    const old = [...names]
      .filter((each) => each.startsWith(`${name}.`) && /\.\d{8}T\d{6}Z(\.\d+)?$/.test(each))
      .sort(byTime);
    // A number behind it that goes on from the last, so that the order stays.
    const alike = old.filter((each) => each.startsWith(`${name}.${stamp}`)).map(numberIn);
    const kept = `${name}.${stamp}${alike.length === 0 ? "" : `.${Math.max(...alike) + 1}`}`;
    rmSync(`${path}-shm`, { force: true });
    for (const part of PARTS) {
      if (names.has(`${name}${part}`)) renameSync(`${path}${part}`, join(folder, kept + part));
    }
    const said = [`kept as ${kept}`];
    for (const each of old.slice(0, Math.max(0, old.length + 1 - KEPT_MAX))) {
      for (const part of [...PARTS, "-shm"]) rmSync(join(folder, each + part), { force: true });
      said.push(`removed the older ${each}`);
    }
    return said.join(", ");
  }
}

function numberIn(name: string): number {
  return Number(name.split("Z.")[1] ?? 1);
}

/** By the time in the name, then by the number behind it. */
function byTime(one: string, other: string): number {
  const [left, right] = [one.split("Z")[0]!, other.split("Z")[0]!];
  if (left !== right) return left < right ? -1 : 1;
  return numberIn(one) - numberIn(other);
}

/** Every row on every page that is in use. */
function readPages(path: string, take: (row: Row) => void): void {
  let file: number | undefined;
  try {
    const newer = journalPages(bytesOf(`${path}-wal`));
    const opened = openSync(path, "r");
    file = opened;
    const pages = (number: number) => newer.get(number) ?? pageAt(opened, number);
    const last = Math.max(Math.floor(fstatSync(opened).size / PAGE_BYTES), ...newer.keys());
    const free = freePages(pages);
    for (let number = 1; number <= last; number++) {
      const page = free.has(number) ? undefined : pages(number);
      if (page !== undefined) for (const row of rowsOf(page, pages)) take(row);
    }
  } catch (error) {
    // What the disk will not give cannot be read; anything else is a defect.
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function bytesOf(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch {
    return new Uint8Array(0);
  }
}

function pageAt(file: number, number: number): Uint8Array | undefined {
  if (number === 0) return undefined;
  const page = new Uint8Array(PAGE_BYTES);
  const count = readSync(file, page, 0, PAGE_BYTES, (number - 1) * PAGE_BYTES);
  return count === PAGE_BYTES ? page : undefined;
}

/** True when it went through to the end. */
function withDatabase(path: string, use: (database: Database) => void): boolean {
  let database: Database | undefined;
  try {
    database = new Database(path, { readwrite: true, create: false });
    use(database);
    return true;
  } catch {
    return false;
  } finally {
    database?.close();
  }
}
