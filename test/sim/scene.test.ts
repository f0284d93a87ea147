// Tests of the scenes' command line: what it takes, and what it prints.
// Neighbours: `scene.ts` runs in a process of its own.
// Invariant: every process is waited for.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";

function scene(...words: string[]): { code: number; out: string; problem: string } {
  const ended = Bun.spawnSync([process.execPath, join(import.meta.dir, "scene.ts"), ...words]);
  const { exitCode: code, stdout, stderr } = ended;
  return { code, out: stdout.toString(), problem: stderr.toString() };
}

describe("refused in one line, with code 2", () => {
  test.each([
    [[], /backlog or metered/],
    [["flood"], /backlog or metered/],
    [["backlog", "metered"], /backlog or metered/],
    [["backlog", "--size", "0"], /^sim: --size takes a whole number from 1/],
    [["metered", "--seed", "x"], /^sim: --seed takes a whole number from 1/],
    [["metered", "--hours", "3"], /--hours/],
  ])("%p", (words, problem) => {
    const ended = scene(...words);
    expect(ended.code).toBe(2);
    expect(ended.out).toBe("");
    expect(ended.problem).toMatch(problem);
    expect(ended.problem.trimEnd().split("\n")).toHaveLength(1);
  });
});

test("a day of a metered link, calm and troubled, a line each; the same seed says the same", () => {
  const { code, out } = scene("metered", "--size", "24", "--seed", "3");
  expect(code).toBe(0);
  const lines = out.trimEnd().split("\n");
  expect(lines).toHaveLength(2);
  for (const line of lines) expect(line).toMatch(/: 6 windows, \d+ connections, .* 0 lost, /);
  expect(scene("metered", "--size", "24", "--seed", "3").out).toBe(out);
});

test("a short backlog, a line for each play of it", () => {
  const { code, out } = scene("backlog", "--size", "2000");
  expect(code).toBe(0);
  expect(out.trimEnd().split("\n")).toHaveLength(5);
  expect(out).toMatch(/^1 live message a second: drained in \d+ s /);
});
