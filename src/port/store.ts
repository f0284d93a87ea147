// Store: messages on SQLite, in steps none of which waits for the disk once the loop turns.
// Neighbours: core/journal orders the steps; `vault` opens and replaces the files.
// Invariant: SQLite itself syncs nothing while the loop turns, unless another program has moved
// the journal under us; what a sync has answered for survives a power cut, byte by byte.

// One table, its key made of priority and sequence (kit/key), so that a queue is a range and an
// append touches one page. Every row has a sum over itself: SQLite has none over its pages.
//
// Why this is safe without a sync in every commit (sqlite.org: wal.html, walformat.html):
// - write: frames behind those already synced; recovery ends at the first frame that is not whole.
// - fill: the whole journal is on disk before the database file is touched; a second connection
//   holds the write lock until the database is on disk, so nobody starts the journal anew before.
// - empty: the journal's new length is on disk before the next frame is written; else an old
//   header could be found before new frames, and old frames would be replayed over newer pages.
// - Were the journal begun anew by another program, synchronous=NORMAL makes SQLite sync its new
//   header itself. Only when we have just emptied it, SQLite is told not to (OFF).

import type { Database, Statement } from "bun:sqlite";
import { fdatasync, fdatasyncSync, fstatSync, fsync, fsyncSync, statSync } from "node:fs";
import {
  type Message,
  type Store,
  type StoreCount,
  type StoreEntry,
  type StoreEvents,
  type StoreOpened,
  StoreOutcome,
} from "../core/effects.ts";
import { keyOf, messageBytes, SEQUENCE_END } from "../kit/key.ts";
import { type Row, Seal, Unfit } from "../kit/row.ts";

/** What the vault opens. */
export interface Connections {
  readonly database: Database;
  readonly guard: Database | undefined;
  readonly journalFile: number;
  readonly databaseFile: number;
  readonly isEmptied: boolean;
  readonly boot: number;
  readonly lastSequence: number;
  readonly counts: readonly StoreCount[];
}

/** The files of the store, as `vault` keeps them; its methods throw. */
export interface Files {
  readonly path: string;
  readonly isInMemory: boolean;
  prepare(wallS: number): string;
  open(wallS: number): Connections;
  close(connections: Connections): void;
  save(wallS: number, sequenceMax: number): number;
  replace(wallS: number): string;
}

const SIZE = "octet_length(bag) + octet_length(body) AS size";
const SQL = {
  begin: "BEGIN IMMEDIATE",
  commit: "COMMIT",
  rollback: "ROLLBACK",
  insert: "INSERT INTO message VALUES(?, ?, ?, ?, ?, ?)",
  remove: "DELETE FROM message WHERE key = ?",
  load: "SELECT * FROM message WHERE key > ? AND key <= ? ORDER BY key LIMIT ?",
  first: `SELECT key, expires, ${SIZE} FROM message WHERE key > ? AND key < ?
    ORDER BY key LIMIT ?`,
  last: `SELECT key, expires, ${SIZE} FROM message WHERE key > ? AND key < ?
    ORDER BY key DESC LIMIT ?`,
  get: "SELECT value FROM text WHERE name = ?",
  put: "INSERT INTO text VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET value = ?2",
} as const;
type Statements = Record<keyof typeof SQL, Statement>;
/** Codes of SQLite (rescode.html) by what can be done about them; the rest is refused. */
const BUSY = /^SQLITE_(BUSY|LOCKED|PROTOCOL)/;
const BROKEN =
  /^(UNFIT$|SQLITE_(CORRUPT|NOTADB|ERROR|SCHEMA|MISMATCH|CONSTRAINT|FORMAT|IOERR_SHORT_READ))/;
/** Sequences set aside at once, so that an append need not write down how far they went. */
const RESERVE = 2 ** 24;

/** The store in the files of a vault. */
export class SqliteStore implements Store {
  detail = "";
  boot = 0;
  lastSequence = 0;
  counts: readonly StoreCount[] = [];
  private connections: Connections | undefined;
  private statements: Statements | undefined;
  private isEmptied = false;
  private reservedTo = 0;
  /** Answers of syncs that were asked for on files since given up are nobody's. */
  private generation = 0;
  private readonly seal = new Seal(Bun.hash.crc32);

  constructor(
    private readonly files: Files,
    private readonly events: StoreEvents,
  ) {}

  get journalBytes(): number {
    const file = this.connections?.journalFile ?? -1;
    return file < 0 ? 0 : fstatSync(file).size;
  }

  open(wallS: number): StoreOpened {
    const { path } = this.files;
    try {
      const line = this.files.prepare(wallS);
      this.start(wallS);
      return { isOpen: true, line: line && `${path}: a replacement was not finished, ${line}` };
    } catch (error) {
      this.shut();
      this.detail = wordsOf(error);
      if (isBroken(error)) return this.rebuild(wallS, SEQUENCE_END);
      return { isOpen: false, line: `${path}: ${this.detail}` };
    }
  }

  rebuild(wallS: number, sequenceMax: number): StoreOpened {
    const why = `${this.files.path}: ${this.detail}`;
    this.generation++;
    try {
      const saved = this.files.save(wallS, sequenceMax);
      this.shut();
      const kept = this.files.replace(wallS);
      this.start(wallS);
      return { isOpen: true, line: `${why}; ${saved} messages saved into a new one; ${kept}` };
    } catch (error) {
      this.shut();
      return { isOpen: false, line: `${why}; no new one: ${wordsOf(error)}` };
    }
  }

  write(appended: readonly Message[], releasedKeys: Iterable<number>): StoreOutcome {
    const last = appended.at(-1)?.sequence ?? 0;
    const reserved = last > this.reservedTo ? last + RESERVE : this.reservedTo;
    const outcome = this.transact((statements) => {
      if (reserved > this.reservedTo) statements.put.run("reserved", `${reserved}`);
      for (const message of appended) this.insert(statements, message);
      for (const key of releasedKeys) statements.remove.run(key);
    });
    if (outcome === StoreOutcome.DONE) this.reservedTo = reserved;
    return outcome;
  }

  sync(): void {
    this.syncFile(this.connections?.journalFile);
  }

  syncFilled(): void {
    this.syncFile(this.connections?.databaseFile);
  }

  fill(): StoreOutcome {
    const { database, guard, databaseFile } = this.connections ?? {};
    if (database === undefined || guard === undefined) return StoreOutcome.DONE;
    try {
      const inode = statSync(this.files.path, { throwIfNoEntry: false })?.ino;
      if (inode !== fstatSync(databaseFile!).ino) return this.broken("the file was taken away");
      guard.run("BEGIN IMMEDIATE");
      database.run("PRAGMA synchronous = OFF");
      const { log, checkpointed } = checkpoint(database, "PASSIVE");
      database.run("PRAGMA synchronous = NORMAL");
      if (log === checkpointed) return StoreOutcome.DONE;
      this.unfill();
      this.detail = "another program reads an old state of the database";
      return StoreOutcome.BUSY;
    } catch (error) {
      this.unfill();
      database.run("PRAGMA synchronous = NORMAL");
      return this.failed(error);
    }
  }

  unfill(): void {
    const { guard } = this.connections ?? {};
    if (guard?.inTransaction) guard.run("ROLLBACK");
  }

  empty(): StoreOutcome {
    const { database, guard } = this.connections ?? {};
    if (database === undefined || guard === undefined) return StoreOutcome.DONE;
    this.unfill();
    try {
      if (checkpoint(database, "TRUNCATE").busy === 0) return StoreOutcome.DONE;
      this.detail = "another program uses the database";
      return StoreOutcome.BUSY;
    } catch (error) {
      return this.failed(error);
    }
  }

  syncEmptied(): void {
    const onDone = () => {
      this.isEmptied = true;
    };
    this.syncFile(this.connections?.journalFile, fsync, onDone);
  }

  load(
    key: number,
    keyMax: number,
    limit: number,
    take: (message: Message) => void,
    takeDamaged: (entry: StoreEntry) => void,
  ): StoreOutcome {
    return this.read(({ load }) => {
      let last = key;
      for (const row of load.all(key, keyMax, limit) as Row[]) {
        last = inOrder(last, row, false);
        const message = this.seal.messageOf(row);
        if (message !== undefined) take(message);
        else takeDamaged(entryOf(row));
      }
    });
  }

  scan(
    above: number,
    below: number,
    isNewestFirst: boolean,
    limit: number,
    take: (entry: StoreEntry) => void,
  ): StoreOutcome {
    return this.read(({ first, last }) => {
      const statement = isNewestFirst ? last : first;
      let before = isNewestFirst ? below : above;
      for (const row of statement.all(above, below, limit) as Row[]) {
        before = inOrder(before, row, isNewestFirst);
        take(entryOf(row));
      }
    });
  }

  get(name: string): string {
    let value = "";
    this.read(({ get }) => {
      value = String((get.get(name) as { value: string } | null)?.value ?? "");
    });
    return value;
  }

  put(name: string, value: string): StoreOutcome {
    return this.transact(({ put }) => put.run(name, value), true);
  }

  close(appended: readonly Message[], releasedKeys: Iterable<number>): string {
    const { database, guard, databaseFile = -1, journalFile = -1 } = this.connections ?? {};
    if (database === undefined) return "";
    let problem = "";
    try {
      // What was begun is ended first: the journal may not start anew before that is on the disk.
      if (guard?.inTransaction) fsyncSync(databaseFile);
      this.unfill();
      if (journalFile >= 0) fsyncSync(journalFile);
      if (this.write(appended, releasedKeys) !== StoreOutcome.DONE) problem = this.detail;
      database.run("PRAGMA synchronous = FULL");
      if (journalFile >= 0) fsyncSync(journalFile);
    } catch (error) {
      problem = wordsOf(error);
    }
    this.shut();
    return problem === "" ? "" : `${this.files.path}: ${problem}`;
  }

  private start(wallS: number): void {
    const connections = this.files.open(wallS);
    this.connections = connections;
    this.isEmptied = connections.isEmptied;
    this.boot = connections.boot;
    this.lastSequence = connections.lastSequence;
    this.reservedTo = connections.lastSequence + RESERVE;
    this.counts = connections.counts;
    const names = Object.keys(SQL) as (keyof typeof SQL)[];
    const entries = names.map((name) => [name, connections.database.prepare(SQL[name])] as const);
    this.statements = Object.fromEntries(entries) as Statements;
  }

  private shut(): void {
    this.generation++;
    // With a statement left, SQLite would put the closing off.
    for (const statement of Object.values(this.statements ?? {})) statement.finalize();
    if (this.connections !== undefined) this.files.close(this.connections);
    this.statements = undefined;
    this.connections = undefined;
  }

  private transact(use: (statements: Statements) => void, isSynced = false): StoreOutcome {
    const { statements, connections } = this;
    if (statements === undefined || connections === undefined) return this.broken("not open");
    const { database, journalFile } = connections;
    try {
      this.startWriting(statements, database);
      use(statements);
      statements.commit.run();
      this.noteHeader(database);
      if (isSynced && journalFile >= 0) fdatasyncSync(journalFile);
      return StoreOutcome.DONE;
    } catch (error) {
      try {
        if (database.inTransaction) statements.rollback.run();
        this.noteHeader(database);
      } catch (worse) {
        return this.failed(worse);
      }
      return this.failed(error);
    }
  }

  /** Begins a transaction; SQLite may only be told not to sync while the journal is empty. */
  private startWriting(statements: Statements, database: Database): void {
    if (this.isEmptied) {
      database.run("PRAGMA synchronous = OFF");
      statements.begin.run();
      if (this.journalBytes === 0) return;
      statements.rollback.run();
      this.noteHeader(database);
    }
    statements.begin.run();
  }

  /** The journal has its header, or is not ours alone: from here SQLite syncs a new one. */
  private noteHeader(database: Database): void {
    if (!this.isEmptied) return;
    this.isEmptied = false;
    database.run("PRAGMA synchronous = NORMAL");
  }

  private insert({ insert }: Statements, message: Message): void {
    const { sequence, priority, acceptedS, expiresS, bag, body } = message;
    const sum = this.seal.sumOf(message);
    insert.run(keyOf(priority, sequence), acceptedS, expiresS, sum, bag, body);
  }

  private read(use: (statements: Statements) => void): StoreOutcome {
    if (this.statements === undefined) return this.broken("not open");
    try {
      use(this.statements);
      return StoreOutcome.DONE;
    } catch (error) {
      return this.failed(error);
    }
  }

  private syncFile(file: number | undefined, call = fdatasync, onDone = () => {}): void {
    const asked = this.generation;
    const answer = (error: Error | null) => {
      if (asked !== this.generation) return;
      if (error === null) onDone();
      else this.detail = `the sync failed: ${wordsOf(error)}`;
      this.events.onStoreSynced(error === null ? "" : this.detail);
    };
    if (file === undefined) queueMicrotask(() => answer(new Unfit("not open")));
    else if (file < 0) queueMicrotask(() => answer(null));
    else call(file, answer);
  }

  private broken(detail: string): StoreOutcome {
    this.detail = detail;
    return StoreOutcome.BROKEN;
  }

  private failed(error: unknown): StoreOutcome {
    this.detail = wordsOf(error);
    if (BUSY.test(codeOf(error))) return StoreOutcome.BUSY;
    return isBroken(error) ? StoreOutcome.BROKEN : StoreOutcome.REFUSED;
  }
}

function checkpoint(database: Database, mode: "PASSIVE" | "TRUNCATE") {
  const row = database.query(`PRAGMA wal_checkpoint(${mode})`).get();
  return row as { busy: number; log: number; checkpointed: number };
}

/** The key of a row, which comes after the one before, or the tree is damaged. */
function inOrder(before: number, { key }: Row, isDown: boolean): number {
  if (typeof key === "number" && (isDown ? key < before : key > before)) return key;
  throw new Unfit("rows out of order");
}

function entryOf({ key, expires, bag, body, size }: Row & { size?: unknown }): StoreEntry {
  const bodyBytes = body instanceof Uint8Array ? body.length : 0;
  const bytes = typeof size === "number" ? size : bodyBytes + `${bag}`.length;
  return { key: Number(key), bytes: messageBytes(bytes, 0), expiresS: Number(expires) || 0 };
}

/** The code of an error of SQLite, of files or of ours; anything else is a defect and goes on. */
function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  if (typeof code !== "string") throw error;
  return code;
}

function isBroken(error: unknown): boolean {
  return BROKEN.test(codeOf(error));
}

function wordsOf(error: unknown): string {
  const code = codeOf(error);
  const words = (error as Error).message.split("\n")[0]!;
  return code === "UNFIT" || words.startsWith(code) ? words : `${words} (${code})`;
}
