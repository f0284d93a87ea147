// Hook, tested: programs that end well, badly, never, or leave children behind.
// Neighbours: `src/port/hook.ts`; `test/upkeep.test.ts` has one run by the agent.
// Invariant: every process started here is gone in the end, and that is looked at.

import { describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hook } from "../../src/port/hook.ts";

interface Outcome {
  readonly detail: string;
  readonly lines: readonly string[];
}

/** Runs words to their end. */
async function run(words: readonly string[], limitMs?: number, graceMs?: number): Promise<Outcome> {
  const lines: string[] = [];
  const hook = new Hook((line) => void lines.push(line), limitMs, graceMs);
  const detail = await new Promise<string>((resolve) => hook.start(words, resolve));
  return { detail, lines };
}

const shell = (script: string, ...words: string[]) => ["/bin/sh", "-c", script, ...words];

/** True while a process lives that is not just waiting to be fetched. */
function isAlive(pid: number): boolean {
  const state = Bun.spawnSync(["ps", "-o", "stat=", "-p", String(pid)])
    .stdout.toString()
    .trim();
  return state !== "" && !state.startsWith("Z");
}

async function untilGone(pid: number): Promise<void> {
  while (isAlive(pid)) await Bun.sleep(5);
}

describe("a program", () => {
  test("that ends well, with what it says", async () => {
    const outcome = await run(shell("echo one; echo two >&2; printf three"));
    expect(outcome.detail).toBe("");
    expect([...outcome.lines].sort()).toEqual(["one", "three", "two"]);
  });

  test("gets its words as they are: there is no shell", async () => {
    const words = ["/usr/bin/printf", "%s\\n", "$HOME", "a b", "; echo c", "*"];
    expect((await run(words)).lines).toEqual(["$HOME", "a b", "; echo c", "*"]);
  });

  test("that ends badly", async () => {
    expect((await run(shell("exit 7"))).detail).toBe("/bin/sh ended with 7");
    expect((await run(shell("kill -KILL $$"))).detail).toBe("/bin/sh was ended by SIGKILL");
  });

  test("that is not there, or no program", async () => {
    expect((await run(["/no/such"])).detail).toBe("/no/such: no such program");
    const folder = mkdtempSync(join(tmpdir(), "azimuth-hook-"));
    const path = join(folder, "hook");
    writeFileSync(path, "#!/bin/sh\n");
    chmodSync(path, 0o600);
    expect((await run([path])).detail).toBe(`${path}: may not be run`);
    rmSync(folder, { recursive: true });
  });

  test("that talks without end: 20 lines of 200 characters, and a word", async () => {
    const { detail, lines } = await run(shell("yes $(printf %0300d 0) | head -n 5000"));
    expect(detail).toBe("");
    expect(lines).toHaveLength(21);
    expect(lines[0]).toBe("0".repeat(200));
    expect(lines.at(-1)).toBe("and more, which is not logged");
  });
});

describe("time", () => {
  test("one that takes too long is ended, with its children", async () => {
    const { detail, lines } = await run(shell("sleep 600 & echo $!; sleep 600"), 200, 60_000);
    expect(detail).toBe("/bin/sh took more than 0.2 s and was ended");
    await untilGone(Number(lines[0]));
  });

  test("one that does not listen is killed", async () => {
    const script = "trap '' TERM; echo $$; while :; do sleep 0.05; done";
    const { detail, lines } = await run(shell(script), 200, 200);
    expect(detail).toEndWith("took more than 0.2 s and was ended");
    await untilGone(Number(lines[0]));
  });

  test("what it leaves in the background does not hold up its end", async () => {
    const { detail, lines } = await run(shell("sleep 600 & echo $!"));
    expect(detail).toBe("");
    expect(isAlive(Number(lines[0]))).toBe(true);
    process.kill(Number(lines[0]), "SIGKILL");
  });
});

test("one at a time", async () => {
  const lines: string[] = [];
  const hook = new Hook((line) => void lines.push(line));
  const first = new Promise<string>((resolve) => hook.start(shell("sleep 600"), resolve));
  const second = new Promise<string>((resolve) => hook.start(["/bin/true"], resolve));
  expect(await second).toBe("/bin/true: /bin/sh still runs");
  hook.close();
  const isTold = await Promise.race([first.then(() => true), Bun.sleep(50).then(() => false)]);
  expect(isTold).toBe(false);
  expect(await new Promise((resolve) => hook.start(["/bin/true"], resolve as () => void))).toBe("");
});
