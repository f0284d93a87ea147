// Tests of src/port/salvage.ts: damaged files, one kind at a time and thousands at random.
// Neighbours: `vault.test.ts` has the replacing; `test/fuzz/wreck.ts` the random damage.
// Invariant: what can be told from the bytes that are left is saved; nothing else is.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Salvage } from "../../src/port/salvage.ts";
import { campaign, wreckages } from "../fuzz/wreck.ts";
import { Depot, temporary } from "./depot.ts";

const PAGE_BYTES = 4096;
const COUNT = 1000;
/** Damaged stores of one run; `AZIMUTH_FUZZ` asks for more. */
const DAMAGED = Number(process.env.AZIMUTH_FUZZ ?? 2000);

let place: ReturnType<typeof temporary>;
let sound: Buffer;

beforeAll(async () => {
  place = temporary();
  const depot = new Depot(place.path);
  for (let count = 0; count < COUNT; count++) {
    depot.append(`${count} ${"x".repeat(200)}`, count % 3 === 0 ? 3 : 7);
  }
  await depot.settle();
  depot.journal.close();
  sound = readFileSync(place.path);
});

afterAll(() => place.remove());

beforeEach(() => {
  rmSync(place.folder, { recursive: true, force: true });
  mkdirSync(place.folder);
});

/** Opens a store over these bytes: what it said, and how many messages it has. */
function opened(bytes: Uint8Array): { lines: string[]; count: number } {
  writeFileSync(place.path, bytes);
  const depot = new Depot(place.path);
  const count = depot.all().length;
  depot.journal.close();
  return { lines: depot.lines, count };
}

/** With one page filled with a byte, counting from 1. */
function without(page: number, byte = 0): Buffer {
  const bytes = Buffer.from(sound);
  return bytes.fill(byte, (page - 1) * PAGE_BYTES, page * PAGE_BYTES);
}

describe("saved is", () => {
  test.each([
    ["everything without the first page", 1, 0],
    ["everything without the root of the tree", 2, 0],
    ["everything without the root, with nonsense in its place", 2, 0xaa],
    ["everything without the small texts", 3, 0xaa],
  ])("%s", (_name, page, byte) => {
    const { lines, count } = opened(without(page, byte));
    expect(count).toBe(COUNT);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(
      /^\S+: .+; 1000 messages saved into a new one; kept as queue\.db\.\d+T/,
    );
  });

  test("everything but what stood on a lost page", () => {
    const { count } = opened(without(20, 0xaa));
    expect(count).toBeGreaterThan(COUNT - 20);
    expect(count).toBeLessThan(COUNT);
  });

  test("what is left of half a file", () => {
    const pages = Math.floor(sound.length / PAGE_BYTES / 2);
    const { count } = opened(sound.subarray(0, pages * PAGE_BYTES));
    expect(count).toBeGreaterThan((pages - 4) * 15);
  });

  test("nothing of what is none of ours", () => {
    const { lines, count } = opened(Buffer.from("no database at all\n".repeat(999)));
    expect([count, lines.length]).toEqual([0, 1]);
    expect(lines[0]).toContain("damaged: its head");
  });

  test("all that a sound file has, without a word", () => {
    expect(opened(sound)).toEqual({ lines: [], count: COUNT });
  });
});

test("at most three bad ones are kept, the oldest goes first, and that is said", () => {
  const salvage = new Salvage();
  const said = [0, 0, 0, 60, 120].map((laterS) => {
    writeFileSync(place.path, "bad");
    writeFileSync(`${place.path}-wal`, "bad too");
    writeFileSync(`${place.path}-shm`, "");
    return salvage.setAside(place.path, 1_790_000_000 + laterS);
  });
  expect(said).toEqual([
    "kept as queue.db.20260921T141320Z",
    "kept as queue.db.20260921T141320Z.2",
    "kept as queue.db.20260921T141320Z.3",
    "kept as queue.db.20260921T141420Z, removed the older queue.db.20260921T141320Z",
    "kept as queue.db.20260921T141520Z, removed the older queue.db.20260921T141320Z.2",
  ]);
  expect(readdirSync(place.folder).sort()).toEqual([
    "queue.db.20260921T141320Z.3",
    "queue.db.20260921T141320Z.3-wal",
    "queue.db.20260921T141420Z",
    "queue.db.20260921T141420Z-wal",
    "queue.db.20260921T141520Z",
    "queue.db.20260921T141520Z-wal",
  ]);
});

test("other files in the folder are none of its business", () => {
  writeFileSync(join(place.folder, "queue.db.backup"), "");
  writeFileSync(place.path, "bad");
  for (let count = 0; count < 5; count++) {
    writeFileSync(place.path, "bad");
    new Salvage().setAside(place.path, 1_790_000_000 + count);
  }
  expect(readdirSync(place.folder)).toContain("queue.db.backup");
  expect(readdirSync(place.folder)).toHaveLength(4);
});

test("what is not there gives nothing", () => {
  const salvage = new Salvage();
  const rows: unknown[] = [];
  salvage.read(join(place.folder, "none"), (row) => rows.push(row));
  expect([rows, [...salvage.readTexts(join(place.folder, "none"))]]).toEqual([[], []]);
});

test("whatever the files hold, the store opens, invents nothing, and serves", async () => {
  const tally = campaign(DAMAGED, 1, await wreckages());
  expect(tally.failure).toBe("");
  expect(tally.rebuilt).toBeGreaterThan(DAMAGED / 10);
  expect(tally.found).toBeGreaterThan(tally.there / 2);
}, 120_000);
