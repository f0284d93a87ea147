// Tests of src/port/vault.ts: what is opened, what is put aside, what cannot be opened at all.
// Neighbours: `salvage.test.ts` has the damage; `test/soak` the cuts in the middle of all this.
// Invariant: a replacement that was interrupted anywhere is finished at the next start.

import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Salvage } from "../../src/port/salvage.ts";
import { Vault } from "../../src/port/vault.ts";
import { Depot, temporary } from "./depot.ts";

const WALL_S = 1_790_000_000;

let place: ReturnType<typeof temporary>;

beforeEach(() => {
  place = temporary();
});

afterEach(() => place.remove());

/** A store with these messages, closed. */
async function filled(...texts: readonly string[]): Promise<void> {
  const depot = new Depot(place.path);
  for (const text of texts) depot.append(text);
  await depot.settle();
  depot.journal.close();
}

function change(sql: string): void {
  const database = new Database(place.path);
  database.run(sql);
  database.close();
}

/** Opens, looks, closes. */
function look(wallS = WALL_S + 100) {
  const depot = new Depot(place.path, { wallS });
  const seen = { texts: depot.texts(), lines: depot.lines, boot: depot.store.boot };
  const { last } = depot.journal.ledger;
  depot.journal.close();
  return { ...seen, last };
}

function kept(): string[] {
  return readdirSync(place.folder).filter((name) => name !== "queue.db");
}

describe("a database", () => {
  test("of a later schema is kept, and its messages taken over where they are alike", async () => {
    await filled("a", "b");
    change("PRAGMA user_version = 2");
    const { texts, lines } = look();
    expect(texts).toEqual(["a", "b"]);
    expect(lines[0]).toContain("schema 2 of the database is not 1, the one known here");
    expect(kept()).toEqual(["queue.db.20260921T141500Z"]);
  });

  test("of somebody else is kept and not touched", () => {
    change("CREATE TABLE message(key, text); INSERT INTO message VALUES(1, 'x')");
    const { texts, lines } = look();
    expect(texts).toEqual([]);
    expect(lines[0]).toContain("a database, but not one of azimuth; 0 messages saved");
    const other = new Database(join(place.folder, kept()[0]!));
    expect(other.query("SELECT * FROM message").values()).toEqual([[1, "x"]]);
    other.close();
  });

  test("that was begun and never filled is begun again", () => {
    writeFileSync(place.path, "");
    expect(look()).toMatchObject({ texts: [], lines: [] });
  });

  test("takes its numbers with it into a new one", async () => {
    await filled("a");
    const before = look();
    change("PRAGMA user_version = 2");
    const after = look();
    expect(after.boot).toBeGreaterThan(before.boot);
    expect(after.last).toBeGreaterThanOrEqual(before.last);
    expect(after.texts).toEqual(["a"]);
  });

  test("whose numbers are lost goes on far behind the last one seen", async () => {
    await filled("a", "b", "c");
    const before = look();
    change("DROP TABLE text");
    const after = look();
    expect(after.texts).toEqual(["a", "b", "c"]);
    expect(after.last).toBeGreaterThanOrEqual(2 ** 24);
    expect(after.boot).toBeGreaterThan(before.boot);
  });
});

describe("a replacement", () => {
  /** As far as the new database being complete. */
  async function halfDone(): Promise<void> {
    await filled("a", "b");
    const vault = new Vault(place.path, 1e8, new Salvage());
    expect(vault.save(WALL_S, Number.MAX_SAFE_INTEGER)).toBe(2);
    expect(existsSync(`${place.path}.fresh`)).toBe(true);
    // What is there now is worse than what was saved.
    writeFileSync(place.path, "damaged");
    writeFileSync(`${place.path}-wal`, "damaged");
  }

  test("is finished at the next start", async () => {
    await halfDone();
    const { texts, lines } = look();
    expect(texts).toEqual(["a", "b"]);
    expect(lines).toEqual([
      `${place.path}: a replacement was not finished, kept as queue.db.20260921T141500Z`,
    ]);
    expect(kept()).toEqual(["queue.db.20260921T141500Z", "queue.db.20260921T141500Z-wal"]);
  });

  test("is finished when some files were put aside already", async () => {
    await halfDone();
    renameSync(`${place.path}-wal`, `${place.path}.20260921T141400Z-wal`);
    expect(look().texts).toEqual(["a", "b"]);
  });

  test("is finished when all were", async () => {
    await halfDone();
    renameSync(`${place.path}-wal`, `${place.path}.20260921T141400Z-wal`);
    renameSync(place.path, `${place.path}.20260921T141400Z`);
    expect(look().texts).toEqual(["a", "b"]);
  });

  test("that was begun and not completed counts for nothing", async () => {
    await filled("a");
    writeFileSync(`${place.path}.new`, "half");
    expect(look()).toMatchObject({ texts: ["a"], lines: [] });
    change("PRAGMA user_version = 2");
    expect(look().texts).toEqual(["a"]);
    expect(kept()).toEqual(["queue.db.20260921T141500Z"]);
  });

  test("leaves out what comes after a sequence", async () => {
    await filled("a", "b", "c");
    expect(new Vault(place.path, 1e8, new Salvage()).save(WALL_S, 2)).toBe(2);
    expect(statSync(`${place.path}.fresh`).mode & 0o777).toBe(0o600);
  });
});

describe("cannot be opened, in one line:", () => {
  test.each<[string, () => string, RegExp]>([
    ["a folder that is a file", () => fileAt(join(place.folder, "a")), /a\/queue\.db: .*E\w+/],
    ["a folder in its place", () => folderAt(place.path), /queue\.db: EISDIR/],
    ["a place in /proc", () => "/proc/azimuth/queue.db", /queue\.db: .*E\w+/],
  ])("%s", (_name, path, line) => {
    const depot = new Depot(path());
    expect(depot.lines).toHaveLength(1);
    expect(depot.lines[0]).toMatch(line);
    expect(depot.lines[0]).not.toContain("\n");
    expect(depot.append("a")).toBe(0);
    depot.journal.close();
  });

  function fileAt(path: string): string {
    writeFileSync(path, "");
    return join(path, "queue.db");
  }

  function folderAt(path: string): string {
    mkdirSync(path);
    return path;
  }
});

test("a store that could not be opened is opened when it can be", async () => {
  const path = join(place.folder, "a", "queue.db");
  writeFileSync(join(place.folder, "a"), "");
  const depot = new Depot(path);
  renameSync(join(place.folder, "a"), join(place.folder, "b"));
  depot.journal.onDeadline(depot.journal.deadlineMs, WALL_S);
  expect(depot.append("a")).toBe(1);
  await depot.settle();
  expect(depot.accepted).toBe(1);
  depot.journal.close();
});
