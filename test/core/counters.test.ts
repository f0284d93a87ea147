// Counters, tested: all begin at zero and are what a status shows.
// Neighbours: `src/core/counters.ts`; each count is tested where it is counted.
// Invariant: a counter that nothing counts would fail here.

import { expect, test } from "bun:test";
import { Counters } from "../../src/core/counters.ts";
import { connack, publish, Rig, settings } from "../rig.ts";

test("all begin at zero", () => {
  for (const count of Object.values({ ...new Counters() })) expect(count).toBe(0);
});

test("a run with a bit of everything moves each of them", () => {
  const rig = new Rig(settings({}));
  rig.online();
  rig.answerReport();
  rig.push({}, 2);
  rig.push({}, 2);
  rig.push({}, 9);
  rig.turn.onData(publish("devices/dev1/messages/devicebound/", "x"));
  rig.turn.onData(Uint8Array.of(0xd0, 0));
  const counters: Record<string, number> = { ...rig.turn.agent.machines.counters };
  const untouched = Object.keys(counters).filter((name) => counters[name] === 0);
  expect(untouched).toEqual([]);
  expect(counters).toMatchObject({ attempts: 1, connects: 1, desired: 2, desiredStale: 1 });
  expect(counters).toMatchObject({ desiredGaps: 1, unhandled: 1, tokens: 1, stray: 1 });
});

test("bytes and packets are counted as they pass", () => {
  const rig = new Rig();
  rig.greet();
  const { counters } = rig.turn.agent.machines;
  expect(counters.bytesOut).toBe(rig.stream.length);
  rig.turn.onData(connack());
  expect([counters.bytesIn, counters.packetsIn]).toEqual([4, 1]);
  expect(counters.bytesOut).toBe(rig.stream.length);
});
