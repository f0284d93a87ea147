// Leaf, tested: rows read from the pages that SQLite wrote, and from any bytes at all.
// Neighbours: `src/kit/leaf.ts`; SQLite itself is the second opinion.
// Invariant: no bytes make it throw or go on for ever.

import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { freePages, journalPages, PAGE_BYTES, type Pages, rowsOf } from "../../src/kit/leaf.ts";
import type { Row } from "../../src/kit/row.ts";

const COLUMNS = "key INTEGER PRIMARY KEY, accepted, expires, sum, bag TEXT, body BLOB";

let folder: string;
let database: Database;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "azimuth-leaf-"));
  database = new Database(join(folder, "a.db"));
  database.run("PRAGMA journal_mode = WAL");
  database.run("PRAGMA wal_autocheckpoint = 0");
  database.run(`CREATE TABLE message(${COLUMNS})`);
});

afterEach(() => {
  database.close();
  rmSync(folder, { recursive: true, force: true });
});

function insert(key: number, body: Uint8Array, bag = "a=b", accepted = 1_790_000_000): void {
  const values = [key, accepted, 0, 0xffff_fff0, bag, body] as const;
  database.run("INSERT INTO message VALUES(?, ?, ?, ?, ?, ?)", [...values]);
}

function pagesOf(bytes: Uint8Array, newer = new Map<number, Uint8Array>()): Pages {
  return (number) => {
    const page = bytes.subarray((number - 1) * PAGE_BYTES, number * PAGE_BYTES);
    return newer.get(number) ?? (number > 0 && page.length === PAGE_BYTES ? page : undefined);
  };
}

/** Rows of all pages in use, the journal's included. */
function scan(): Row[] {
  const file = readFileSync(join(folder, "a.db"));
  const newer = journalPages(readFileSync(join(folder, "a.db-wal")));
  const pages = pagesOf(file, newer);
  const free = freePages(pages);
  const last = Math.max(file.length / PAGE_BYTES, ...newer.keys());
  const numbers = Array.from({ length: last }, (_, at) => at + 1).filter((at) => !free.has(at));
  const rows = numbers.flatMap((number) => rowsOf(pages(number)!, pages));
  return rows.sort((one, other) => Number(one.key) - Number(other.key));
}

function selected(): Row[] {
  return database.query("SELECT * FROM message ORDER BY key").all() as Row[];
}

/** The schema is rows too, with other columns. */
function messages(rows: readonly Row[]): Row[] {
  return rows.filter(({ body }) => body instanceof Uint8Array);
}

test("every row of every size", () => {
  const sizes = [0, 1, 4000, 4038, 4039, 4040, 4041, 4061, 4062, 8000, 8150, 8192, 60_000, 262_144];
  sizes.forEach((size, at) => {
    const body = Uint8Array.from({ length: size }, (_, index) => index * 7 + at);
    insert(9 * 2 ** 49 + at, body, "x".repeat(at * 9));
  });
  expect(messages(scan())).toEqual(selected());
  database.run("PRAGMA wal_checkpoint(TRUNCATE)");
  expect(messages(scan())).toEqual(selected());
});

test("numbers of every width", () => {
  const numbers = [0, 1, 127, 128, 255, 32_767, 32_768, 8_388_607, 2 ** 31, 2 ** 40, 2 ** 52];
  numbers.forEach((number, at) => void insert(at + 1, new Uint8Array(1), "", number));
  expect(messages(scan()).map(({ accepted }) => accepted)).toEqual(numbers);
});

test("what was removed stays removed, while the first page is sound", () => {
  for (let key = 1; key <= 300; key++) insert(key, new Uint8Array(300));
  database.run("DELETE FROM message WHERE key < 290 AND key % 50 <> 0");
  database.run("PRAGMA wal_checkpoint(TRUNCATE)");
  expect(messages(scan()).map(({ key }) => key)).toEqual(selected().map(({ key }) => key));
  expect(freePages(pagesOf(readFileSync(join(folder, "a.db")))).size).toBeGreaterThan(10);
});

test("of the journal what was committed counts, and of an earlier use nothing", () => {
  insert(1, new Uint8Array(10));
  const whole = readFileSync(join(folder, "a.db-wal"));
  const frameBytes = PAGE_BYTES + 24;
  expect([...journalPages(whole).keys()]).toEqual([1, 2]);
  expect([...journalPages(whole.subarray(0, whole.length - 1)).keys()]).toEqual([1, 2]);
  expect(rowsOf(journalPages(whole).get(2)!, () => undefined)).toHaveLength(1);
  const shorter = journalPages(whole.subarray(0, whole.length - 1));
  expect(rowsOf(shorter.get(2)!, () => undefined)).toHaveLength(0);
  const other = Buffer.from(whole);
  other[other.length - frameBytes + 8]! ^= 1;
  expect(rowsOf(journalPages(other).get(2)!, () => undefined)).toHaveLength(0);
  expect(journalPages(new Uint8Array(0)).size).toBe(0);
});

test("any bytes are taken, and it ends", () => {
  for (let key = 1; key <= 40; key++) insert(key, new Uint8Array(key * 200));
  database.run("PRAGMA wal_checkpoint(PASSIVE)");
  const sound = readFileSync(join(folder, "a.db"));
  const journal = readFileSync(join(folder, "a.db-wal"));
  const change = fc.tuple(fc.nat(sound.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { maxLength: 200 }), fc.boolean(), (changes, isHead) => {
      const bytes = Buffer.from(sound);
      const log = Buffer.from(journal);
      for (const [at, value] of changes) {
        const place = isHead ? at - (at % PAGE_BYTES) + (at % 16) : at;
        bytes[place] = value;
        log[place % log.length] = value;
      }
      const pages = pagesOf(bytes, journalPages(log));
      freePages(pages);
      for (let number = 1; number * PAGE_BYTES <= bytes.length; number++) {
        expect(rowsOf(pages(number)!, pages).length).toBeLessThan(PAGE_BYTES);
      }
    }),
    { numRuns: 300 },
  );
});
