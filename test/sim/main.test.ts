// Tests of the simulator's command line: what it takes, and that its hint replays a run.
// Neighbours: `main.ts` runs in a process of its own; `fleet` has the hint.
// Invariant: every process is waited for.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { replay, run } from "./fleet.ts";

function sim(...words: string[]): { code: number; out: string; problem: string } {
  const ended = Bun.spawnSync([process.execPath, join(import.meta.dir, "main.ts"), ...words]);
  const { exitCode: code, stdout, stderr } = ended;
  return { code, out: stdout.toString(), problem: stderr.toString() };
}

describe("refused in one line, with code 2", () => {
  test.each([
    [["--sed", "3"], /--sed/],
    [["--seed"], /--seed/],
    [["--seed", "1.5"], /^sim: --seed takes a whole number from 1;/],
    [["--herd", "many"], /^sim: --herd takes a whole number from 1;/],
    [["--hours", "0"], /^sim: --hours takes a whole number from 1;/],
    [["--devices", "1e3"], /^sim: --devices takes a whole number from 1;/],
    [["--hours", "-1"], /--hours/],
    [["twice"], /twice/],
  ])("%p", (words, problem) => {
    const ended = sim(...words);
    expect(ended.code).toBe(2);
    expect(ended.out).toBe("");
    expect(ended.problem).toMatch(problem);
    expect(ended.problem.trimEnd().split("\n")).toHaveLength(1);
  });
});

test("--help names every option", () => {
  const { code, out } = sim("--help");
  expect(code).toBe(0);
  for (const name of ["--seed", "--hours", "--devices", "--herd", "--verbose"])
    expect(out).toContain(name);
});

test("--herd prints a line for each restart of the hub, and whether all went well", () => {
  const { code, out } = sim("--herd", "20", "--seed", "2");
  const isKept = out.trimEnd().endsWith("nothing lost: kept by all with a spread");
  expect(out).toStartWith("20 gateways, telemetry each 60 s; the hub restarts\n");
  expect(out).toContain("\n40 s     600 s    connack ");
  expect(code).toBe(isKept ? 0 : 1);
});

test.each([
  [[], ""],
  [["SEED=7"], "--seed 7"],
  [["HERD=1000"], "--herd 1000"],
])("make sim %p passes on what was given, and nothing else", (given, passed) => {
  const { MAKEFLAGS: _, SEED: __, MAKELEVEL: ___, ...env } = process.env;
  const cwd = join(import.meta.dir, "../..");
  const { stdout } = Bun.spawnSync(["make", "--no-print-directory", "-n", "sim", ...given], {
    cwd,
    env,
  });
  const command = stdout.toString().replaceAll("\\\n", " ").split("test/sim/main.ts")[1];
  expect(command?.trim().replaceAll(/\s+/g, " ")).toBe(passed);
});

test("the hint for a run replays exactly that run", () => {
  const outcome = run(7, 3, 3);
  const { code, out } = sim(...replay(outcome).split(" "));
  expect(code).toBe(0);
  expect(out).toStartWith("simulated 9 device-hours ");
  expect(out).toContain(`\ntrace ${Bun.hash(outcome.hash).toString(16)}\n`);
});
