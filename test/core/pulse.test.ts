// Pulse, tested: its table cell by cell, how often it wakes, and what the hardware is left to do.
// Neighbours: `src/core/pulse.ts`; the ports feed what it says.
// Invariant: time passes only as the pulse itself asks for it, as an idle loop would.

import { describe, expect, test } from "bun:test";
import { Verb } from "../../src/core/effects.ts";
import { Pulse, PulseState } from "../../src/core/pulse.ts";
import { walkTable } from "./table.ts";
import { World } from "./world.ts";

const HOUR_MS = 3_600_000;

interface Subject extends World {
  pulse: Pulse;
}

function pulseIn(state: string, timeoutMs = 60_000): Subject {
  const world = new World();
  const pulse = new Pulse(world.effects);
  if (state !== "OFF") pulse.onOpened(timeoutMs, 0);
  if (state === "LAST" || state === "SILENT") pulse.onReboot(0);
  if (state === "SILENT") pulse.onTurn(HOUR_MS);
  world.look();
  return Object.assign(world, { pulse });
}

walkTable<Subject>({
  file: "core/pulse.ts",
  states: Object.fromEntries(
    ["OFF", "BEATING", "LAST", "SILENT"].map((state) => [state, () => pulseIn(state)]),
  ),
  stateOf: ({ pulse }) => PulseState[pulse.state]!,
  events: {
    opened: ({ pulse }) => void pulse.onOpened(60_000, 0),
    turn: ({ pulse }) => void pulse.onTurn(Math.min(pulse.deadlineMs, 2 * HOUR_MS)),
    reboot: ({ pulse }) => void pulse.onReboot(0),
    closed: ({ pulse }) => void pulse.onClosed(),
    last: ({ pulse }) => void pulse.onTurn(2 * HOUR_MS),
  },
  look: (one) => one.look(),
});

/** Signs of life of an idle loop until `untilMs`: when, and whether the hardware was fed. */
function signs(one: Subject, untilMs: number): { atMs: number; isAlive: boolean }[] {
  const { pulse, effects } = one;
  const list: { atMs: number; isAlive: boolean }[] = [];
  while (pulse.deadlineMs < untilMs) {
    const atMs = pulse.deadlineMs;
    pulse.onTurn(atMs);
    for (let slot = 0; slot < effects.count; slot++) {
      if (effects.verbs[slot] === Verb.FEED)
        list.push({ atMs, isAlive: effects.flags[slot] === 1 });
    }
    effects.count = 0;
  }
  return list;
}

describe("signs of life", () => {
  test.each([
    [60_000, 15_000],
    [10_000, 2_500],
    [1_001, 250],
    [1_000, 250],
    [400, 250],
  ])("a watchdog of %d ms: one each %d ms", (timeoutMs, intervalMs) => {
    const list = signs(pulseIn("BEATING", timeoutMs), 10 * intervalMs);
    expect(list.map(({ atMs }) => atMs / intervalMs)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("come less than 5 times a second, whatever the watchdog", () => {
    expect(signs(pulseIn("BEATING", 1), 1000).length).toBeLessThan(5);
  });

  test("do not come more often because turns do", () => {
    const one = pulseIn("BEATING");
    let count = 0;
    for (let nowMs = 0; nowMs < 60_000; nowMs += 10) {
      one.pulse.onTurn(nowMs);
      count += one.look().length;
    }
    expect(count).toBe(4);
  });

  test("do not come at all while no turn does", () => {
    const one = pulseIn("BEATING");
    one.pulse.onTurn(0);
    one.look();
    expect(one.pulse.deadlineMs).toBe(15_000);
    expect(one.look()).toEqual([]);
  });
});

test("a reboot that does not come within 5 minutes is left to the hardware", () => {
  const one = pulseIn("BEATING");
  signs(one, 20_000);
  one.pulse.onReboot(20_000);
  const list = signs(one, 900_000);
  const alive = list.filter(({ isAlive }) => isAlive);
  expect(alive.at(-1)!.atMs).toBeLessThan(320_000);
  expect(alive.at(-1)!.atMs).toBeGreaterThanOrEqual(320_000 - 15_000);
  // The service manager goes on being fed: a new process would feed the hardware again.
  expect(list.at(-1)).toEqual({ atMs: 885_000, isAlive: false });
});
