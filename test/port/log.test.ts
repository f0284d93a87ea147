// Tests of src/port/log.ts over files and pipes in place of standard error.
// Neighbours: the turn drains LOG effects into it.
// Invariant: one line in, one line out or one drop counted; never an exception, never a wait.

import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Level } from "../../src/core/effects.ts";
import { StderrLog } from "../../src/port/log.ts";

let folder: string;
let path: string;
let descriptor: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "azimuth-log-"));
  path = join(folder, "log");
  descriptor = openSync(path, "a");
});

afterEach(() => {
  closeSync(descriptor);
  rmSync(folder, { recursive: true });
});

test("time in UTC, level, text", () => {
  new StderrLog({ descriptor }).write(Level.NOTICE, "connected to hub");
  expect(readFileSync(path, "utf8")).toMatch(
    /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z notice connected to hub\n$/,
  );
});

test("the journal gets the severity of RFC 5424 and adds the time itself", () => {
  const log = new StderrLog({ descriptor, isJournal: true, level: Level.DEBUG });
  for (const level of [Level.ERROR, Level.WARNING, Level.NOTICE, Level.INFO, Level.DEBUG]) {
    log.write(level, "text");
  }
  expect(readFileSync(path, "utf8")).toBe("<3>text\n<4>text\n<5>text\n<6>text\n<7>text\n");
});

test("quieter lines than the level are left out, and the level can change", () => {
  const log = new StderrLog({ descriptor, isJournal: true });
  log.write(Level.DEBUG, "unheard");
  log.setLevel(Level.WARNING);
  log.write(Level.NOTICE, "unheard");
  log.write(Level.ERROR, "heard");
  expect(readFileSync(path, "utf8")).toBe("<3>heard\n");
});

test("control characters cannot forge lines or reach the terminal", () => {
  const log = new StderrLog({ descriptor, isJournal: true });
  log.write(Level.INFO, "a\nb\x1b[2Jc\u0085d\u2028e\x00f\tgéä");
  expect(readFileSync(path, "utf8")).toBe("<6>a?b?[2Jc?d?e?f?géä\n");
});

test("a line is cut at 4 KB, between characters", () => {
  const log = new StderrLog({ descriptor, isJournal: true });
  log.write(Level.INFO, "ä".repeat(5000));
  log.write(Level.INFO, "next");
  const text = readFileSync(path, "utf8");
  expect(text).toMatch(/^<6>ä+\n<6>next\n$/);
  expect(Buffer.byteLength(text.split("\n")[0]!)).toBe(4095);
});

test("a full pipe drops lines and tells how many once it is read again", () => {
  const fifo = join(folder, "fifo");
  Bun.spawnSync(["mkfifo", fifo]);
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(fifo, constants.O_WRONLY);
  const log = new StderrLog({ descriptor: writer, isJournal: true });
  const line = `<6>${"x".repeat(4092)}\n`;
  const written = 1000;
  for (let at = 0; at < written; at += 1) log.write(Level.INFO, "x".repeat(4092));
  const buffer = Buffer.alloc(8 * 1024 * 1024);
  const taken = readSync(reader, buffer) / line.length;
  expect(buffer.toString("latin1", 0, taken * line.length)).toBe(line.repeat(taken));
  expect(taken).toBeLessThan(written);
  log.write(Level.INFO, "through");
  log.write(Level.INFO, "and on");
  const rest = readSync(reader, buffer);
  expect(buffer.toString("utf8", 0, rest)).toBe(
    `<4>${written - taken} log lines dropped\n<6>through\n<6>and on\n`,
  );
  closeSync(reader);
  log.write(Level.INFO, "nobody reads");
  closeSync(writer);
});

test("a closed descriptor drops and does not throw", () => {
  const gone = openSync(path, "a");
  const log = new StderrLog({ descriptor: gone });
  closeSync(gone);
  log.write(Level.ERROR, "nowhere");
  expect(readFileSync(path, "utf8")).toBe("");
});

test("the journal is known by its stream, not by the variable alone", async () => {
  const source = JSON.stringify(`${import.meta.dir}/../../src/port/log.ts`);
  const script = `import { StderrLog } from ${source};
    import { fstatSync } from "node:fs";
    const { dev, ino } = fstatSync(2);
    process.env.JOURNAL_STREAM = "1:2";
    new StderrLog().write(5, "plain");
    process.env.JOURNAL_STREAM = dev + ":" + ino;
    new StderrLog().write(5, "journal");`;
  const child = Bun.spawn([process.execPath, "-e", script], { stderr: "pipe" });
  const text = await new Response(child.stderr).text();
  expect(text).toMatch(/^\S+Z notice plain\n<5>journal\n$/);
});
