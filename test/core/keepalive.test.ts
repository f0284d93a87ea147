// KeepAlive, tested: its table cell by cell, when it pings and when silence is death.
// Neighbours: `src/core/keepalive.ts`; on a rig also session and twin, which say what is in flight.
// Invariant: time passes only where a test says so.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AgentState } from "../../src/core/agent.ts";
import { Cause } from "../../src/core/effects.ts";
import { KeepAlive, KeepAliveState } from "../../src/core/keepalive.ts";
import { HALF_OPEN_MS, PINGRESP_MS, PUBACK_MS, SILENCE_MS } from "../../src/limits.ts";
import { pingresp, puback, Rig, settings } from "../rig.ts";
import { walkTable } from "./table.ts";
import { World } from "./world.ts";

const NEVER = Number.POSITIVE_INFINITY;
const KEEP_ALIVE_MS = 240_000;

interface Subject extends World {
  keepAlive: KeepAlive;
}

function off(): Subject {
  const world = new World();
  const keepAlive = new KeepAlive(world.writer, world.counters, KEEP_ALIVE_MS);
  return Object.assign(world, { keepAlive });
}

function quiet(nowMs = 0): Subject {
  const one = off();
  one.keepAlive.onUp(nowMs);
  return one;
}

function pinged(): Subject {
  const one = quiet();
  one.keepAlive.onDeadline(KEEP_ALIVE_MS, NEVER);
  return one;
}

function nameOf(cause: Cause): string {
  return cause === Cause.NONE ? "" : Cause[cause]!;
}

walkTable<Subject>({
  file: "core/keepalive.ts",
  states: { OFF: off, QUIET: quiet, PINGED: pinged },
  stateOf: ({ keepAlive }) => KeepAliveState[keepAlive.state]!,
  events: {
    onUp: ({ keepAlive }) => void keepAlive.onUp(1),
    deadline: ({ keepAlive }) => nameOf(keepAlive.onDeadline(1_000_000, NEVER)),
    onPingresp: ({ keepAlive }) => void keepAlive.onPingresp(),
    onDown: ({ keepAlive }) => void keepAlive.onDown(),
  },
  look: (one) => one.look(),
});

describe("when", () => {
  test("idle: after the keep-alive since we last sent, whatever came in", () => {
    const { keepAlive } = quiet(1000);
    keepAlive.onSent(5000);
    keepAlive.onReceived(9000);
    expect(keepAlive.nextMs(NEVER)).toBe(5000 + KEEP_ALIVE_MS);
  });

  test("a link that has just come up begins with silence on both sides", () => {
    const { keepAlive } = quiet(1000);
    expect(keepAlive.nextMs(NEVER)).toBe(1000 + KEEP_ALIVE_MS);
    expect(keepAlive.nextMs(0)).toBe(1000 + SILENCE_MS);
  });

  test("with something in flight: after silence since it was sent or since the last byte", () => {
    const { keepAlive } = quiet(0);
    expect(keepAlive.nextMs(3000)).toBe(3000 + SILENCE_MS);
    keepAlive.onReceived(7000);
    expect(keepAlive.nextMs(3000)).toBe(7000 + SILENCE_MS);
  });

  test("not a millisecond too early", () => {
    const one = quiet(0);
    expect(one.keepAlive.onDeadline(KEEP_ALIVE_MS - 1, NEVER)).toBe(Cause.NONE);
    expect(one.look()).toEqual([]);
    one.keepAlive.onDeadline(KEEP_ALIVE_MS, NEVER);
    expect(one.look()).toEqual(["PINGREQ"]);
    const dueMs = KEEP_ALIVE_MS + PINGRESP_MS;
    expect(one.keepAlive.nextMs(0)).toBe(dueMs);
    expect(one.keepAlive.onDeadline(dueMs - 1, 0)).toBe(Cause.NONE);
    expect(one.keepAlive.onDeadline(dueMs, 0)).toBe(Cause.PINGRESP_TIMEOUT);
  });

  test("the moment asked for is always one at which something happens", () => {
    const time = fc.nat(1_000_000);
    fc.assert(
      fc.property(time, time, time, fc.option(time, { nil: NEVER }), (up, sent, heard, since) => {
        const one = quiet(up);
        one.keepAlive.onSent(up + sent);
        one.keepAlive.onReceived(up + heard);
        const dueMs = one.keepAlive.nextMs(since);
        expect(one.keepAlive.onDeadline(dueMs - 1, since)).toBe(Cause.NONE);
        expect(one.keepAlive.state).toBe(KeepAliveState.QUIET);
        one.keepAlive.onDeadline(dueMs, since);
        expect(one.keepAlive.state).toBe(KeepAliveState.PINGED);
        expect(one.keepAlive.nextMs(since)).toBeGreaterThan(dueMs);
      }),
    );
  });
});

/** Rings alarms until the connection is given up; how long that took, in ms. */
function noticed(rig: Rig): number {
  const startMs = rig.nowMs;
  while (rig.turn.agent.state === AgentState.ONLINE) rig.ring();
  return rig.nowMs - startMs;
}

describe("a half-open link", () => {
  test("with a message in flight is noticed within 30 s", () => {
    const rig = new Rig();
    rig.online();
    rig.answerReport();
    rig.pass(60_000);
    rig.accept("m");
    expect(noticed(rig)).toBeLessThanOrEqual(HALF_OPEN_MS);
    expect(rig.turn.agent.machines.verdict.cause).toBe(Cause.PINGRESP_TIMEOUT);
    expect(rig.take()).toContain("abort");
  });

  test("with a twin request in flight is noticed within 30 s", () => {
    const rig = new Rig();
    rig.online();
    expect(rig.sent().at(-1)?.topic).toStartWith("$iothub/twin/PATCH/");
    expect(noticed(rig)).toBeLessThanOrEqual(HALF_OPEN_MS);
  });

  test("with SUBSCRIBE in flight is noticed within 30 s", () => {
    const rig = new Rig();
    rig.greet();
    rig.turn.onData(Uint8Array.of(0x20, 2, 0, 0));
    expect(noticed(rig)).toBeLessThanOrEqual(HALF_OPEN_MS);
  });

  test("is asked after ten seconds, whatever it is that has no answer", () => {
    for (const upTo of ["SUBSCRIBE", "GET", "PATCH"]) {
      const rig = new Rig();
      rig.greet();
      rig.turn.onData(Uint8Array.of(0x20, 2, 0, 0));
      if (upTo !== "SUBSCRIBE") rig.turn.onData(Uint8Array.of(0x90, 4, 0, 1, 0, 0));
      if (upTo === "PATCH") rig.answerGet({}, 1);
      rig.sent();
      rig.pass(SILENCE_MS - 1);
      expect(rig.sent()).toEqual([]);
      rig.pass(1);
      expect(rig.sent().map((one) => one.type)).toEqual([12]);
    }
  });

  test("idle is noticed after keep-alive and PINGRESP deadline", () => {
    const rig = new Rig();
    rig.online();
    rig.answerReport();
    expect(noticed(rig)).toBe(KEEP_ALIVE_MS + PINGRESP_MS);
    expect(rig.turn.agent.machines.verdict.text).toContain("no answer to a ping");
  });

  test("a hub that pings back but keeps a PUBACK is given up after its deadline", () => {
    const rig = new Rig();
    rig.online();
    rig.answerReport();
    rig.sent();
    rig.accept("m");
    const startMs = rig.nowMs;
    while (rig.turn.agent.state === AgentState.ONLINE) {
      rig.ring();
      if (rig.sent().some((one) => one.type === 12)) rig.turn.onData(pingresp());
    }
    expect(rig.nowMs - startMs).toBe(PUBACK_MS);
    expect(rig.turn.agent.machines.verdict.text).toContain("no answer to a message (PUBACK)");
  });
});

test("an idle link that answers lives on, with one ping a keep-alive", () => {
  const rig = new Rig(settings({ endpoint: { keepAliveS: 60 } }));
  rig.online();
  rig.answerReport();
  rig.sent();
  let pings = 0;
  const untilMs = rig.nowMs + 30 * 60_000;
  while (rig.nowMs < untilMs) {
    rig.pass(1000);
    for (const { type } of rig.sent()) {
      if (type !== 12) continue;
      pings++;
      rig.turn.onData(pingresp());
    }
  }
  expect(rig.turn.agent.state).toBe(AgentState.ONLINE);
  expect(pings).toBe(30);
});

test("a link that is busy needs no ping", () => {
  const rig = new Rig(settings({ endpoint: { keepAliveS: 60 } }));
  rig.online();
  rig.answerReport();
  for (let round = 0; round < 20; round++) {
    rig.accept("m");
    const [message] = rig.messages();
    rig.turn.onData(puback(message!.identifier));
    rig.pass(30_000);
  }
  expect(rig.sent().filter((one) => one.type === 12)).toEqual([]);
});
