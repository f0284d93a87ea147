// Tests of src/port/store.ts: the real store under the journal, on real files and bad disks.
// Neighbours: `depot` is both together; `test/soak` cuts the power; `salvage.test.ts` damages.
// Invariant: what was accepted is there after every trouble; other programs are processes.

import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { StoreOutcome } from "../../src/core/effects.ts";
import { JournalState } from "../../src/core/journal.ts";
import { cutEnvironment } from "../native/cut.ts";
import { Operation, parseRecord } from "../soak/disk.ts";
import { Depot, type DepotOptions, type Refusal, temporary } from "./depot.ts";

let place: ReturnType<typeof temporary>;
let open: Depot[];

beforeEach(() => {
  place = temporary();
  open = [];
});

afterEach(() => {
  for (const depot of open) depot.journal.close();
  place.remove();
});

function depotAt(path = place.path, options: DepotOptions = {}): Depot {
  const depot = new Depot(path, options);
  open.push(depot);
  return depot;
}

describe("messages", () => {
  test("come back after a restart as they went in, in order", async () => {
    const depot = depotAt();
    const body = Uint8Array.from({ length: 262_144 }, (_, at) => at);
    depot.append(body, 0, "a=%C3%A4&b=");
    depot.append(new Uint8Array(0), 9, "", 1_800_000_000);
    depot.append("second", 0);
    await depot.settle();
    depot.journal.close();
    const again = depotAt();
    expect(again.all()).toMatchObject([
      { priority: 0, bag: "a=%C3%A4&b=", acceptedS: 1_790_000_000, expiresS: 0 },
      { priority: 0, bag: "" },
      { priority: 9, expiresS: 1_800_000_000, body: new Uint8Array(0) },
    ]);
    expect(Buffer.compare(again.all()[0]!.body, body)).toBe(0);
    expect([...again.journal.ledger.counts]).toEqual([2, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
  });

  test("count the same when counted anew", async () => {
    const depot = depotAt();
    for (let count = 0; count < 50; count++) depot.append("x".repeat(count), count % 10, "a=b");
    await depot.settle();
    depot.journal.ledger.evict(3, 0, 100, false);
    await depot.settle();
    const { counts, bytes } = depot.journal.ledger;
    depot.journal.close();
    const again = depotAt().journal.ledger;
    expect([again.counts, again.bytes]).toEqual([counts, bytes]);
  });

  test("get numbers and boots that never come twice", async () => {
    const depot = depotAt();
    const first = depot.append("a");
    await depot.settle();
    depot.journal.ledger.release(depot.all()[0]!);
    await depot.settle();
    depot.journal.close();
    const again = depotAt();
    expect(again.append("b")).toBeGreaterThan(first);
    expect(again.journal.boot).toBe(depot.journal.boot + 1);
  });

  test("go beyond the numbers that were set aside at the opening", async () => {
    const depot = depotAt();
    depot.journal.ledger.last += 2 ** 24;
    const sequence = depot.append("far");
    await depot.settle();
    depot.journal.ledger.release(depot.all()[0]!);
    await depot.settle();
    depot.journal.close();
    expect(depotAt().append("b")).toBeGreaterThan(sequence);
  });

  test("whose bytes were changed are not handed out", async () => {
    const depot = depotAt();
    depot.append("good");
    depot.append("bad");
    await depot.settle();
    depot.journal.close();
    const database = new Database(place.path);
    database.run(
      "UPDATE message SET body = CAST('worse' AS BLOB) WHERE CAST(body AS TEXT) = 'bad'",
    );
    database.close();
    const again = depotAt();
    expect(again.texts()).toEqual(["good"]);
    expect(again.journal.ledger.damaged).toBe(1);
    await again.settle();
    expect(again.journal.ledger.counts[7]).toBe(1);
  });
});

describe("files", () => {
  test("are the owner's alone, and closed at the end", async () => {
    const path = join(place.folder, "data", "queue.db");
    const depot = depotAt(path);
    depot.append("a");
    await depot.settle();
    expect(statSync(join(place.folder, "data")).mode & 0o777).toBe(0o700);
    for (const part of ["", "-wal", "-shm"]) expect(statSync(path + part).mode & 0o777).toBe(0o600);
    depot.journal.close();
    const links = readdirSync("/proc/self/fd").map((name) => {
      try {
        return readlinkSync(`/proc/self/fd/${name}`);
      } catch {
        return "";
      }
    });
    expect(links.filter((link) => link.startsWith(place.folder))).toEqual([]);
    expect(readdirSync(join(place.folder, "data"))).toEqual(["queue.db"]);
  });

  test("taken away while it runs are made anew, and that is said", async () => {
    const depot = depotAt(place.path, { journalBytesFill: 30_000 });
    depot.append("a");
    await depot.settle();
    rmSync(place.path);
    depot.append("x".repeat(40_000));
    await depot.settle();
    depot.append("b");
    await depot.settle();
    expect(depot.lines[0]).toContain("the file was taken away; 0 messages saved");
    expect(depot.accepted).toBe(3);
    depot.journal.close();
    expect(depotAt().texts()).toContain("b");
  });

  test("in memory it is the same, until the end", async () => {
    const depot = depotAt(":memory:", { journalBytesFill: 1 });
    for (let count = 0; count < 3; count++) {
      depot.append(`${count}`);
      await depot.settle();
    }
    expect([depot.accepted, depot.texts(), depot.store.journalBytes]).toEqual([
      3,
      ["0", "1", "2"],
      0,
    ]);
  });

  test("keep small texts", () => {
    const depot = depotAt();
    expect(depot.journal.get("rung")).toBe("");
    expect(depot.journal.put("rung", "reboot: no network")).toBe(true);
    expect(depot.journal.put("rung", "reboot: still none")).toBe(true);
    depot.journal.close();
    expect(depotAt().journal.get("rung")).toBe("reboot: still none");
  });

  test("grow no further than allowed, and serve again when there is room", async () => {
    const depot = depotAt(place.path, { bytesMax: 200_000 });
    const texts: number[] = [];
    while (depot.refused.length === 0) {
      texts.push(depot.append("x".repeat(5000)));
      await depot.settle();
    }
    expect(depot.refused).toMatchObject([{ why: StoreOutcome.REFUSED, first: texts.at(-1) }]);
    expect(depot.refused[0]!.detail).toContain("full");
    depot.journal.ledger.evict(7, 0, 50_000, false);
    await depot.settle();
    const sequence = depot.append("room");
    await depot.settle();
    expect(depot.accepted).toBe(sequence);
  });
});

/** Another process that has the database open. */
class Stranger {
  private readonly child;
  private readonly reader;

  constructor(path: string) {
    const command = [process.execPath, join(import.meta.dir, "stranger.ts"), path];
    this.child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe" });
    this.reader = this.child.stdout.getReader();
  }

  async ask(sql: string): Promise<unknown> {
    this.child.stdin.write(`${sql}\n`);
    this.child.stdin.flush();
    let text = "";
    while (!text.includes("\n")) {
      text += new TextDecoder().decode((await this.reader.read()).value);
    }
    return JSON.parse(text);
  }

  async end(): Promise<void> {
    this.child.stdin.end();
    await this.child.exited;
  }
}

describe("another program", () => {
  test("can read the queue while it runs", async () => {
    const depot = depotAt();
    depot.append("hello", 3, "a=b");
    await depot.settle();
    const stranger = new Stranger(place.path);
    const rows = await stranger.ask("SELECT priority, sequence, accepted, expires, bag FROM queue");
    const accepted = "2026-09-21 14:13:20";
    expect(rows).toEqual([{ priority: 3, sequence: 1, accepted, expires: null, bag: "a=b" }]);
    await stranger.end();
  });

  test("that writes makes it wait, and nothing is lost", async () => {
    const depot = depotAt();
    const stranger = new Stranger(place.path);
    await stranger.ask("BEGIN IMMEDIATE");
    depot.append("a");
    await depot.settle();
    expect(JournalState[depot.journal.state]).toBe("BLOCKED");
    expect(depot.journal.trouble).toContain("locked");
    expect(depot.journal.put("a", "b")).toBe(false);
    await stranger.ask("ROLLBACK");
    depot.journal.onDeadline(depot.journal.deadlineMs, 0);
    await depot.settle();
    expect([depot.accepted, depot.refused]).toEqual([1, []]);
    await stranger.end();
  });

  test("that reads an old state keeps the journal long, and no longer than it reads", async () => {
    const depot = depotAt(place.path, { journalBytesFill: 30_000 });
    depot.append("a");
    await depot.settle();
    const stranger = new Stranger(place.path);
    await stranger.ask("BEGIN");
    await stranger.ask("SELECT count(*) FROM message");
    for (let count = 0; count < 20; count++) {
      depot.append("x".repeat(3000));
      await depot.settle();
    }
    expect(depot.store.journalBytes).toBeGreaterThan(80_000);
    expect(depot.store.detail).toContain("another program reads");
    await stranger.ask("COMMIT");
    depot.journal.commit(depot.nowMs + 10_000);
    await depot.settle();
    expect(depot.store.journalBytes).toBe(0);
    expect(depot.accepted).toBe(21);
    await stranger.end();
  });

  test("that changes rows and starts the journal anew breaks nothing", async () => {
    const depot = depotAt(place.path, { journalBytesFill: 60_000 });
    const stranger = new Stranger(place.path);
    for (let round = 0; round < 12; round++) {
      for (let count = 0; count < 5; count++) depot.append(`${round} ${"x".repeat(2000)}`);
      await depot.settle();
      const sequence = depot.accepted;
      expect(
        await stranger.ask(`DELETE FROM message WHERE key % 562949953421312 = ${sequence}`),
      ).toEqual([]);
      await stranger.ask("PRAGMA wal_checkpoint(TRUNCATE)");
    }
    await stranger.end();
    expect(depot.refused).toEqual([]);
    depot.journal.close();
    const again = depotAt();
    expect([again.all().length, again.lines]).toEqual([48, []]);
  });
});

interface Report {
  readonly accepted: number;
  readonly refused: readonly Refusal[];
  readonly lines: readonly string[];
  readonly texts: readonly string[];
  readonly found: readonly string[];
}

/** Runs a scenario of `tenant` on a disk that misbehaves. */
function tenant(scenario: string, settings: { failAt?: number; record?: string } = {}): Report {
  const folder = join(place.folder, "data");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  const full = join(place.folder, "full");
  const command = [process.execPath, join(import.meta.dir, "tenant.ts"), scenario, folder, full];
  const env = cutEnvironment({ folder, full, ...settings });
  const { stdout, stderr, exitCode } = Bun.spawnSync(command, { env, stderr: "pipe" });
  expect([exitCode, stderr.toString()]).toEqual([0, ""]);
  return JSON.parse(stdout.toString());
}

describe("a disk", () => {
  test("that is full refuses, keeps what was accepted, and serves again", () => {
    const { refused, found, accepted } = tenant("fill");
    expect(refused).toMatchObject([{ first: 2, last: 2, why: StoreOutcome.REFUSED }]);
    expect(refused[0]!.detail).toContain("full");
    expect([accepted, found]).toEqual([3, ["after"]]);
  });

  test("whose sync fails costs what the sync was for, and nothing before or after", () => {
    const { asked } = countSyncs();
    const opening = openingSyncs();
    for (let failAt = opening + 1; failAt <= opening + 16; failAt++) {
      const { refused, found, texts, lines } = tenant("fail", { failAt });
      const lost = refused.flatMap(({ first, last }) => {
        return Array.from({ length: last - first + 1 }, (_, at) => `${first + at - 1}`);
      });
      const kept = Array.from({ length: 12 }, (_, turn) => `${turn}`);
      const expected = kept.filter((turn) => !lost.includes(turn));
      expect([failAt, texts, found]).toEqual([failAt, expected, expected]);
      expect(lost.length).toBeLessThanOrEqual(1);
      expect(lines.join()).toContain("the sync failed");
    }
    expect(asked).toBeGreaterThan(16);
  });

  test("is synced by what the journal asks for alone while it runs", () => {
    const { asked, done } = countSyncs();
    expect(asked).toBeGreaterThan(65);
    expect(done).toBe(asked);
  });
});

/** Syncs asked for and done between opening and closing. */
function countSyncs(): { asked: number; done: number } {
  const record = join(place.folder, "record");
  const { lines } = tenant("count", { record });
  const steps = parseRecord(readFileSync(record));
  const opened = steps.findIndex(({ name }) => name === "opened");
  const closing = steps.findIndex(({ name }) => name === "closing");
  const between = steps.slice(opened, closing);
  const done = between.filter(({ operation }) => operation === Operation.BEGIN).length;
  return { asked: Number(lines.at(-1)?.split(" ")[1]), done };
}

/** Syncs before the first one that the journal asks for. */
function openingSyncs(): number {
  const record = join(place.folder, "record");
  tenant("count", { record });
  const steps = parseRecord(readFileSync(record));
  const opened = steps.findIndex(({ name }) => name === "opened");
  return steps.slice(0, opened).filter(({ operation }) => operation === Operation.BEGIN).length;
}
