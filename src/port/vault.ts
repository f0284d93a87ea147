// Vault: the files of the store: makes them, opens them, and replaces them when they are bad.
// Neighbours: the store port works with what is opened here; salvage reads what is damaged.
// Invariant: what is opened is whole, ours and on the disk; a bad database is never overwritten
// and never deleted before its sound rows are durable in another one.

// A database is replaced in steps that a power cut may part:
//   NAME.new is filled and synced -> renamed NAME.fresh -> NAME-wal and NAME go aside -> NAME.fresh
//   becomes NAME. A NAME.fresh that is found at a start is complete, and the rest is done then.

import { Database } from "bun:sqlite";
import * as fs from "node:fs";
import { dirname, resolve } from "node:path";
import type { StoreCount } from "../core/effects.ts";
import { keyOf, PRIORITIES, SEQUENCE_END, sequenceOf } from "../kit/key.ts";
import { PAGE_BYTES } from "../kit/leaf.ts";
import { type Row, Seal, Unfit } from "../kit/row.ts";

/** Reads damaged databases and keeps them; see `salvage`. */
export interface Salvager {
  read(path: string, take: (row: Row) => void): void;
  readTexts(path: string): ReadonlyMap<string, string>;
  setAside(path: string, wallS: number): string;
}

/** An open store. In memory there are no files and no guard. */
export interface Opened {
  readonly database: Database;
  /** A second connection, for the write lock alone. */
  readonly guard: Database | undefined;
  /** Descriptor of the journal, ours. */
  readonly journalFile: number;
  /** SQLite's own descriptor: closing another one would drop SQLite's locks (fcntl, POSIX). */
  readonly databaseFile: number;
  /** True when the journal is empty, and that is on the disk. */
  readonly isEmptied: boolean;
  readonly boot: number;
  readonly lastSequence: number;
  readonly counts: readonly StoreCount[];
}

interface Text {
  readonly name: string;
  readonly value: string;
}

const VERSION = 1;
/** Told to `file` and to us: "azmq". */
const APPLICATION = 0x617a_6d71;
const HEAD_BYTES = 100;
const FORMAT_MAX = 2;
/** How long another program may hold the database while it is opened. */
const BUSY_MS = 2000;
/** Sequences set aside at once, so that an append need not write down how far they went. */
const RESERVE = 2 ** 24;
const SCHEMA = `BEGIN IMMEDIATE;
CREATE TABLE message(key INTEGER PRIMARY KEY, accepted INTEGER NOT NULL, expires INTEGER NOT NULL,
  sum INTEGER NOT NULL, bag TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE text(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE VIEW queue AS SELECT key / ${SEQUENCE_END} AS priority, key % ${SEQUENCE_END} AS sequence,
  datetime(accepted, 'unixepoch') AS accepted, datetime(nullif(expires, 0), 'unixepoch') AS expires,
  bag, body FROM message;
PRAGMA application_id = ${APPLICATION};
PRAGMA user_version = ${VERSION};
COMMIT;`;
const PUT_TEXT =
  "INSERT INTO text VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET value = ?2 WHERE value <> ?2";
const COUNTS = `SELECT key / ${SEQUENCE_END} AS priority, count(*) AS count,
  sum(32 + octet_length(bag) + octet_length(body)) AS bytes FROM message GROUP BY 1`;

/** The files of one store, or none with the path `:memory:`. */
export class Vault {
  readonly isInMemory: boolean;
  private readonly seal = new Seal(Bun.hash.crc32);

  /** @param bytesMax bound of the database file, a second guard behind the caller's own. */
  constructor(
    readonly path: string,
    private readonly bytesMax: number,
    private readonly salvager: Salvager,
  ) {
    this.isInMemory = path === ":memory:";
  }

  /** Makes the folder (0700), and ends what a power cut interrupted; says what it did. */
  prepare(wallS: number): string {
    if (this.isInMemory) return "";
    fs.mkdirSync(dirname(resolve(this.path)), { recursive: true, mode: 0o700 });
    return fs.existsSync(`${this.path}.fresh`) ? this.replace(wallS) : "";
  }

  /** Opens or creates, or throws: `Unfit`, an SQLiteError or an error of node:fs. */
  open(wallS: number): Opened {
    return openAt(this.path, this.bytesMax, wallS);
  }

  /** Closes everything; SQLite writes the journal into the database, durably, when it can. */
  close(opened: Opened): void {
    shut(opened);
  }

  /** Copies sound rows to a fresh database, durably, and counts them; the old one stays as is. */
  save(wallS: number, sequenceMax: number): number {
    if (this.isInMemory) return 0;
    const path = `${this.path}.new`;
    removeAll(path);
    let saved = 0;
    try {
      const opened = openAt(path, this.bytesMax, wallS);
      try {
        saved = this.copy(opened.database, sequenceMax);
      } finally {
        shut(opened);
      }
    } catch (error) {
      // On a full disk what was begun is in the way of everything else.
      removeAll(path);
      throw error;
    }
    const file = fs.openSync(path, "r");
    fs.fsyncSync(file);
    fs.closeSync(file);
    fs.renameSync(path, `${this.path}.fresh`);
    return saved;
  }

  /** Puts the saved database into the place of the old one, which must be closed. */
  replace(wallS: number): string {
    if (this.isInMemory) return "";
    const kept = this.salvager.setAside(this.path, wallS);
    syncFolder(this.path);
    fs.renameSync(`${this.path}.fresh`, this.path);
    syncFolder(this.path);
    return kept;
  }

  private copy(database: Database, sequenceMax: number): number {
    const put = database.prepare(PUT_TEXT);
    const insert = database.prepare("INSERT OR IGNORE INTO message VALUES(?, ?, ?, ?, ?, ?)");
    let last = 0;
    let saved = 0;
    try {
      database.run("BEGIN IMMEDIATE");
      const texts = this.salvager.readTexts(this.path);
      for (const [name, value] of texts) put.run(name, value);
      this.salvager.read(this.path, (row) => {
        const message = this.seal.messageOf(row);
        if (message === undefined || message.sequence > sequenceMax) return;
        const { key, accepted, expires, sum, bag, body } = row as Record<string, number>;
        saved += insert.run(key!, accepted!, expires!, sum!, bag!, body!).changes;
        last = Math.max(last, message.sequence);
      });
      // Without the old one's word, what was delivered and removed may have had numbers too.
      const reserved = Number(texts.get("reserved")) || last + RESERVE;
      put.run("reserved", `${Math.max(reserved, last)}`);
      database.run("COMMIT");
      return saved;
    } finally {
      put.finalize();
      insert.finalize();
    }
  }
}

function openAt(path: string, bytesMax: number, wallS: number): Opened {
  const isInMemory = path === ":memory:";
  // Its journal gets the same mode from SQLite.
  if (!isInMemory) checkHead(path);
  const database = new Database(path, { readwrite: true, create: isInMemory });
  let guard: Database | undefined;
  try {
    configure(database, bytesMax, isInMemory);
    checkTrees(database);
    const counts = database.query(COUNTS).all() as StoreCount[];
    const { boot, lastSequence } = beginBoot(database, wallS);
    if (isInMemory) {
      const none = { guard, journalFile: -1, databaseFile: -1, isEmptied: false };
      return { database, boot, lastSequence, counts, ...none };
    }
    const row = database.query("PRAGMA wal_checkpoint(TRUNCATE)").get() as { busy: number };
    guard = new Database(path, { readwrite: true, create: false });
    guard.run("PRAGMA wal_autocheckpoint = 0");
    guard.query("SELECT count(*) FROM text").get();
    const databaseFile = descriptorOf(path);
    const journalFile = fs.openSync(`${path}-wal`, "r");
    // A process that died between copying the journal and its sync may have left this to do.
    fs.fsyncSync(databaseFile);
    fs.fsyncSync(journalFile);
    syncFolder(path);
    database.run("PRAGMA busy_timeout = 0");
    database.run("PRAGMA synchronous = NORMAL");
    const isEmptied = row.busy === 0;
    return { database, guard, journalFile, databaseFile, isEmptied, boot, lastSequence, counts };
  } catch (error) {
    guard?.close();
    database.close();
    throw error;
  }
}

/**
 * Makes the file when there is none. Damage that SQLite takes for a format of the future, which
 * may only be read, is told from a disk that is read-only (fileformat2.html, 1.3.3).
 */
function checkHead(path: string): void {
  if (!fs.existsSync(path)) return fs.closeSync(fs.openSync(path, "wx", 0o600));
  const head = new Uint8Array(HEAD_BYTES);
  const file = fs.openSync(path, "r");
  try {
    const count = fs.readSync(file, head);
    const isKnown = head[18]! <= FORMAT_MAX && head[19]! <= FORMAT_MAX;
    if (count === HEAD_BYTES && !isKnown) throw new Unfit("damaged: its head");
  } finally {
    fs.closeSync(file);
  }
}

function configure(database: Database, bytesMax: number, isInMemory: boolean): void {
  database.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
  const answer = database.query("PRAGMA journal_mode = WAL").get();
  const { journal_mode: mode } = answer as { journal_mode: string };
  if (!isInMemory && mode !== "wal") throw new Unfit(`no write-ahead log here, but ${mode}`);
  database.run("PRAGMA synchronous = FULL");
  database.run("PRAGMA wal_autocheckpoint = 0");
  database.run("PRAGMA mmap_size = 0");
  database.run("PRAGMA temp_store = MEMORY");
  if (pragma(database, "schema_version") === 0) database.run(SCHEMA);
  const [application, version] = ["application_id", "user_version"].map((name) => {
    return pragma(database, name);
  });
  if (application !== APPLICATION) throw new Unfit("a database, but not one of azimuth");
  if (version !== VERSION) {
    throw new Unfit(`schema ${version} of the database is not ${VERSION}, the one known here`);
  }
  database.run(`PRAGMA max_page_count = ${Math.ceil(bytesMax / PAGE_BYTES)}`);
}

/** Damage is found here, where it can be mended, rather than when a message is to be sent. */
function checkTrees(database: Database): void {
  const words = Object.values(database.query("PRAGMA quick_check(1)").get() as object).join();
  if (words !== "ok") throw new Unfit(`damaged: ${words.split("\n").at(-1)}`);
}

/** Counts this opening, durably, and sets sequences aside for it. */
function beginBoot(database: Database, wallS: number): { boot: number; lastSequence: number } {
  const texts = new Map<string, string>();
  for (const { name, value } of database.query("SELECT name, value FROM text").all() as Text[]) {
    texts.set(name, value);
  }
  // A first one takes the calendar, so that a new card in an old gateway repeats no number.
  const boot = (Number(texts.get("boot")) || wallS) + 1;
  const last = database.query("SELECT max(key) AS key FROM message WHERE key BETWEEN ? AND ?");
  const sequences = Array.from({ length: PRIORITIES }, (_, priority) => {
    const range = [keyOf(priority, 0), keyOf(priority, SEQUENCE_END - 1)] as const;
    return sequenceOf(Number((last.get(...range) as Row).key ?? 0));
  });
  const lastSequence = Math.max(Number(texts.get("reserved")) || 0, ...sequences);
  database.run("BEGIN IMMEDIATE");
  database.run(PUT_TEXT, ["boot", `${boot}`]);
  database.run(PUT_TEXT, ["reserved", `${lastSequence + RESERVE}`]);
  database.run("COMMIT");
  return { boot, lastSequence };
}

function removeAll(path: string): void {
  for (const part of ["", "-wal", "-shm"]) fs.rmSync(path + part, { force: true });
}

function shut({ database, guard, journalFile }: Opened): void {
  guard?.close();
  database.close();
  if (journalFile >= 0) fs.closeSync(journalFile);
}

function pragma(database: Database, name: string): number {
  return Number(Object.values(database.query(`PRAGMA ${name}`).get() as object)[0]);
}

function descriptorOf(path: string): number {
  const real = fs.realpathSync(path);
  const found = fs.readdirSync("/proc/self/fd").find((name) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${name}`) === real;
    } catch {
      return false;
    }
  });
  if (found === undefined) throw new Unfit("the open database is not among our descriptors");
  return Number(found);
}

function syncFolder(path: string): void {
  const folder = fs.openSync(dirname(resolve(path)), "r");
  fs.fsyncSync(folder);
  fs.closeSync(folder);
}
