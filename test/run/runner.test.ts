// Runner, tested: steps that pass, fail, crash, hang and leave things behind.
// Neighbours: `runner.ts` and `leftovers.ts`.
// Invariant: a process or file left by a step is found, named, and gone afterwards.

import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endProcesses, markedProcesses } from "./leftovers.ts";
import { Runner } from "./runner.ts";
import { Counting, type Step } from "./step.ts";

const root = mkdtempSync(join(tmpdir(), "runner-"));
const place = { root, reports: join(root, "reports"), temporary: join(root, "temporary") };
mkdirSync(place.temporary);
const runner = new Runner(place);

afterAll(() => rmSync(root, { recursive: true }));

/** A step that runs `code` in Bun. */
function step(code: string, more: Partial<Step> = {}): Step {
  const words = ["-e", code];
  return { name: "a", words, counting: Counting.EXIT, isQuick: true, limitS: 60, ...more };
}

/** A program that starts another one which outlives it, in a session of its own. */
const LEAVE_PROCESS = `
  const child = require("node:child_process").spawn("sleep", ["600"], { detached: true });
  child.unref();
  await Bun.write(process.env.TMPDIR + "/../pid", String(child.pid));
  process.exit(0);
`;

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}/cmdline`) && markedCommand(pid) !== "";
}

/** Command line of a process, "" for one that has ended and waits to be collected. */
function markedCommand(pid: number): string {
  return new TextDecoder().decode(Bun.spawnSync(["cat", `/proc/${pid}/cmdline`]).stdout);
}

describe("a step", () => {
  test("that passes: its output in the order written, its place, its environment", async () => {
    const outcome = await runner.run(
      step(`
        console.log("one"); console.error("two"); console.log(process.cwd());
        console.log(process.env.TMPDIR, process.env.NO_COLOR);
      `),
    );
    expect(outcome).toMatchObject({ passed: 1, failed: 0, problem: "" });
    expect(outcome.output).toBe(`one\ntwo\n${root}\n${place.temporary} 1\n`);
  });

  test("that fails, and one that is killed", async () => {
    expect(await runner.run(step("process.exit(3)"))).toMatchObject({
      passed: 0,
      failed: 1,
      problem: "ended with 3",
    });
    const killed = await runner.run(step('process.kill(process.pid, "SIGKILL")'));
    expect(killed).toMatchObject({ passed: 0, failed: 1 });
  });

  test("that counts for itself", async () => {
    const outcome = await runner.run(step('console.log("5 passed, 2 failed"); process.exit(1)'));
    expect(outcome).toMatchObject({ passed: 5, failed: 2, problem: "" });
  });

  test("of tests is counted by its report", async () => {
    const text = (expected: number) => `
      import { expect, test } from "bun:test";
      test("a", () => expect(1).toBe(1));
      test("b", () => expect(1).toBe(${expected}));
    `;
    const words = ["test", "./a.test.ts"];
    writeFileSync(join(root, "a.test.ts"), text(1));
    const counting = Counting.TESTS;
    expect(await runner.run(step("", { words, counting }))).toMatchObject({ passed: 2, failed: 0 });
    writeFileSync(join(root, "a.test.ts"), text(2));
    expect(await runner.run(step("", { words, counting }))).toMatchObject({ passed: 1, failed: 1 });
    rmSync(join(root, "a.test.ts"));
    expect(await runner.run(step("", { words, counting }))).toMatchObject({ passed: 0, failed: 1 });
  });

  test("that hangs is ended at its limit", async () => {
    const outcome = await runner.run(step("setInterval(() => {}, 1000)", { limitS: 1 }));
    expect(outcome).toMatchObject({ passed: 0, failed: 1 });
    expect(outcome.problem).toContain("took longer than 1 s");
  });

  test("that leaves a process behind", async () => {
    const outcome = await runner.run(step(LEAVE_PROCESS));
    const pid = Number(await Bun.file(join(root, "pid")).text());
    expect(outcome.failed).toBe(1);
    expect(outcome.problem).toBe(`left process ${pid} behind: sleep 600`);
    // The kernel needs its time to bury it.
    for (let look = 0; isAlive(pid) && look < 500; look++) await Bun.sleep(10);
    expect(isAlive(pid)).toBe(false);
  });

  test("whose process goes by itself soon after", async () => {
    const code = LEAVE_PROCESS.replace('"600"', '"0.3"');
    expect(await runner.run(step(code))).toMatchObject({ passed: 1, failed: 0, problem: "" });
  });

  test("that leaves temporary files behind", async () => {
    const outcome = await runner.run(
      step('await Bun.write(process.env.TMPDIR + "/folder/file", "x"); process.exit(0)'),
    );
    expect(outcome).toMatchObject({
      failed: 1,
      problem: "left temporary files behind: folder",
    });
    expect(readdirSync(place.temporary)).toEqual([]);
  });
});

test("a run that is broken off takes its processes along", async () => {
  const running = runner.run(step("setInterval(() => {}, 1000)"));
  runner.stop();
  expect((await running).failed).toBe(1);
});

test("only marked processes are seen", () => {
  const mark = `MARK_OF_THIS_TEST=${process.pid}`;
  const start = (value: string) => {
    return Bun.spawn(["sleep", "600"], { env: { ...process.env, MARK_OF_THIS_TEST: value } });
  };
  const mine = start(String(process.pid));
  const other = start(`${process.pid}0`);
  try {
    expect(markedProcesses(mark)).toEqual([{ pid: mine.pid, command: "sleep 600" }]);
    endProcesses([{ pid: mine.pid, command: "" }]);
  } finally {
    mine.kill("SIGKILL");
    other.kill("SIGKILL");
  }
});
