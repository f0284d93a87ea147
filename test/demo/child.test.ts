// Tests of child: first line, log, and every way in which a process ends.
// Neighbours: child.ts.
// Invariant: the processes are shells of the test; each has ended before its test does.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Child } from "./child.ts";

const folder = mkdtempSync(join(tmpdir(), "azimuth-child-"));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;

function shell(script: string): { child: Child; logFile: string; ended: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const logFile = join(folder, `${count++}.log`);
  const command = ["/bin/sh", "-c", script];
  const start = { name: "shell", command, environment: process.env, logFile, onExit: resolve };
  return { child: new Child(start), logFile, ended: promise };
}

test("the first line is taken whole, the log is the owner's and can be looked into", async () => {
  const { child, logFile, ended } = shell("echo one >&2; echo two >&2; echo ready; exit 3");
  expect(await child.firstLine()).toBe("ready");
  await ended;
  expect(child.end).toBe("code 3");
  expect(child.tail(1)).toEqual(["two"]);
  expect(child.tail(9)).toEqual(["one", "two"]);
  expect(statSync(logFile).mode & 0o777).toBe(0o600);
});

test("a process that ends without a word has an empty first line", async () => {
  const { child, ended } = shell("exit 0");
  expect(await child.firstLine()).toBe("");
  await ended;
  await child.stop();
  expect(child.end).toBe("code 0");
});

test("asked to stop, a process may take its leave", async () => {
  const { child } = shell("trap 'echo bye >&2; exit 0' TERM; echo up; while :; do read x; done");
  await child.firstLine();
  await child.stop();
  expect([child.end, child.isStopping]).toEqual(["code 0", true]);
  expect(child.tail(1)).toEqual(["bye"]);
});

test("one that does not listen is ended by force", async () => {
  const { child } = shell("trap '' TERM; echo up; exec sleep 600");
  await child.firstLine();
  await child.stop(50);
  expect(child.end).toBe("signal SIGKILL");
});

test("a program that is not there is an error at once", () => {
  const command = [join(folder, "none")];
  const logFile = join(folder, "none.log");
  const start = { name: "none", command, environment: {}, logFile, onExit: () => {} };
  expect(() => new Child(start)).toThrow();
});
