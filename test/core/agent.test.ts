// Agent, tested on a rig: its table cell by cell, stops, and wishes of operators.
// Neighbours: `src/core/agent.ts`; `startup` tests auto-on-startup; messages, twin and refusals
// are tested where they belong.
// Invariant: states are reached through the turn alone, as the world would do it.

import { describe, expect, test } from "bun:test";
import { AgentState } from "../../src/core/agent.ts";
import { Cause } from "../../src/core/effects.ts";
import { CLOSE_MS, SIGN_MS } from "../../src/limits.ts";
import { connack, pingresp, puback, Rig, settings } from "../rig.ts";
import { answered, assigned, challenged } from "./enclave.ts";
import {
  asked,
  connect,
  disconnect,
  lose,
  MANUAL,
  STATES,
  type State,
  sign,
  started,
  stop,
  told,
} from "./states.ts";
import { walkTable } from "./table.ts";

/** What an event came to beside another state. */
function word(rig: Rig, event: () => void): string {
  const { agent } = rig.turn;
  const { state } = agent;
  const { stray } = agent.machines.counters;
  event();
  if (rig.take().some((call) => / no azimuth is stopping$/.test(call))) return "refused";
  return agent.machines.counters.stray > stray && agent.state === state ? "stray" : "";
}

/** Rings alarms until one of them has a visible consequence. */
function deadline(rig: Rig): string {
  const { agent } = rig.turn;
  const before = agent.state;
  for (let rings = 0; rings < 50 && rig.alarmMs < Number.POSITIVE_INFINITY; rings++) {
    rig.ring();
    if (agent.state !== before) return "";
    if (rig.take().some((call) => call.startsWith("sign "))) return "sign";
    const types = rig.sent().map((one) => one.type);
    if (types.includes(14)) return "close";
    if (types.includes(12)) rig.turn.onData(pingresp());
  }
  return "";
}

walkTable<Rig>({
  file: "core/state.ts",
  states: STATES,
  stateOf: ({ turn }) => AgentState[turn.agent.state]!,
  arrivals: { SIGNING: "attempt", LINKING: "attempt" },
  events: {
    connect: (rig) => word(rig, () => rig.turn.onCommand(2, ["connect"])),
    disconnect: (rig) => word(rig, () => rig.turn.onCommand(2, ["disconnect"])),
    stop: (rig) => void stop(rig),
    signed: (rig) => word(rig, () => sign(rig)),
    "sign failed": (rig) => word(rig, () => rig.turn.onSignFailed("locked")),
    connack: (rig) => word(rig, () => rig.turn.onData(connack())),
    "link down": (rig) => word(rig, () => lose(rig)),
    deadline,
    registered: (rig) => word(rig, () => told(rig, challenged(), assigned())),
    "not registered": (rig) => word(rig, () => told(rig, answered(500, {}))),
  },
  look: (rig) => {
    rig.take();
    rig.sent();
    return [];
  },
});

describe("attempt", () => {
  test("without a token signs first, with a usable one dials at once", () => {
    const rig = started();
    expect(rig.turn.agent.state).toBe(AgentState.SIGNING);
    sign(rig);
    rig.take();
    rig.close(Cause.REFUSED);
    rig.redial();
    expect(rig.take()).toEqual(["open"]);
  });

  test("with a token that has less than ten minutes left signs first", () => {
    const rig = started(settings({}), sign);
    rig.close(Cause.REFUSED);
    rig.turn.onCommand(1, ["disconnect"]);
    rig.pass(51 * 60_000);
    rig.take();
    connect(rig);
    expect(rig.take()[0]).toStartWith("sign ");
  });

  test("a signature that comes while we wait is used at the next attempt", () => {
    const rig = STATES.WAITING();
    rig.take();
    sign(rig);
    expect(rig.take()).toEqual([]);
    rig.redial();
    expect(rig.take()).toEqual(["open"]);
  });
});

test("what it is about to do is said", () => {
  const rig = asked();
  rig.take();
  sign(rig);
  rig.close();
  lose(rig);
  stop(rig);
  expect(rig.logs()).toEqual([
    "token renewed: connecting again with it",
    "connecting to hub.example:8883",
    expect.stringContaining("next attempt in"),
    "stopping",
    "stopped",
  ]);
  const other = STATES.ONLINE();
  other.take();
  stop(other);
  expect(other.logs()).toEqual(["stopping"]);
});

test("a state has lasted since it was entered, the first since the start", () => {
  const rig = new Rig(MANUAL);
  rig.turn.start();
  const startS = rig.wallS;
  expect(rig.turn.agent.sinceS).toBe(startS);
  rig.pass(5000);
  connect(rig);
  connect(rig);
  expect(rig.turn.agent.sinceS).toBe(startS + 5);
});

describe("signing", () => {
  test("that takes too long is given up, told, and tried again", () => {
    const rig = started();
    rig.take();
    rig.pass(SIGN_MS);
    expect(rig.logs()[0]).toStartWith(
      "the device key took too long to sign the token; next attempt",
    );
    rig.redial();
    expect(rig.turn.agent.state).toBe(AgentState.LINKING);
  });

  test("that fails online is told and tried again, over and over, without a disconnect", () => {
    const rig = asked();
    rig.take();
    for (let round = 0; round < 5; round++) {
      rig.turn.onSignFailed("locked");
      expect(rig.logs()).toEqual(["the token was not renewed (locked); again in 30 s"]);
      expect(rig.turn.agent.deadlineMs).toBe(rig.nowMs + 30_000);
      rig.toRenewal();
    }
    expect(rig.turn.agent.state).toBe(AgentState.ONLINE);
  });

  test("a late failure of an answered request changes nothing", () => {
    const rig = new Rig();
    rig.online();
    rig.answerReport();
    const before = rig.alarmMs;
    rig.turn.onSignFailed("late");
    expect(rig.turn.agent.deadlineMs).toBe(Number.POSITIVE_INFINITY);
    expect(rig.alarmMs).toBe(before);
  });
});

describe("operators", () => {
  test("a connection made by hand comes back after a loss", () => {
    const rig = started(MANUAL, connect, sign);
    rig.reconnect();
    lose(rig);
    rig.redial();
    rig.reconnect();
    expect(rig.turn.agent.state).toBe(AgentState.ONLINE);
  });

  test("a disconnect by hand lasts until the next connect or start, over reloads too", () => {
    const rig = started(settings({}), sign);
    rig.reconnect();
    disconnect(rig);
    rig.close();
    rig.take();
    rig.turn.onSettings(rig.given);
    rig.pass(86_400_000);
    expect(rig.take().filter((call) => !call.startsWith("drive"))).toEqual([]);
    expect(rig.turn.agent.state).toBe(AgentState.HELD);
    connect(rig);
    expect(rig.take()[0]).toStartWith("sign ");
  });

  test("neither touches the settings, so the next start is as it would have been", () => {
    for (const given of [MANUAL, settings({})]) {
      const before = JSON.stringify(given);
      const rig = started(given, connect, disconnect, connect);
      expect(rig.turn.agent.settings.data.autoOnStartup).toBe(given.data.autoOnStartup);
      expect(JSON.stringify(given)).toBe(before);
    }
  });

  test("a disconnect before the connection stands drops it without a word to the hub", () => {
    const rig = started(settings({}), sign);
    rig.secure();
    rig.sent();
    rig.take();
    disconnect(rig);
    expect(rig.take()).toEqual(["abort", "reply 1 ok disconnected"]);
    expect(rig.sent()).toEqual([]);
  });

  test("that we are held is said once, however often it is asked for", () => {
    const rig = started(settings({}), disconnect, disconnect);
    expect(rig.logs().filter((line) => line.includes("held"))).toEqual([
      "disconnected; held by an operator",
    ]);
  });

  test("a quiesce time of 0 closes at once", () => {
    const rig = new Rig(settings({ data: { quiesceTimeoutS: 0 } }));
    rig.online();
    rig.accept("m");
    rig.sent();
    disconnect(rig);
    rig.pass(0);
    expect(rig.sent().map((one) => one.type)).toEqual([14]);
  });

  test("a hub that does not close after DISCONNECT is left after two seconds", () => {
    const rig = STATES.STOPPING();
    rig.take();
    rig.turn.onData(puback(2));
    rig.pass(CLOSE_MS - 1);
    expect(new Set(rig.take())).toEqual(new Set(["end"]));
    rig.pass(1);
    expect(rig.take()).toEqual(["abort", "exit 0"]);
  });
});

describe("stop", () => {
  for (const state of Object.keys(STATES) as State[]) {
    test(`in ${state} exits once with 0, and after that nothing rings any more`, () => {
      const rig = STATES[state]();
      for (let again = 0; again < 3; again++) stop(rig);
      rig.pass(60_000);
      stop(rig);
      rig.close();
      expect(rig.take().filter((call) => call.startsWith("exit "))).toEqual(["exit 0"]);
      expect(rig.turn.agent.state).toBe(AgentState.STOPPED);
      expect(rig.alarmMs).toBe(Number.POSITIVE_INFINITY);
    });
  }

  /** The last line of a stop in `state`, with messages in the outbox. */
  function lastLine(rig: Rig, count: number): string | undefined {
    rig.accept(...Array.from({ length: count }, () => "m"));
    rig.take();
    stop(rig);
    rig.pass(60_000);
    const calls = rig.take(true);
    return calls.findLast((call) => call.startsWith("log "));
  }

  test("tells the messages that wait, and how many", () => {
    expect(lastLine(STATES.SIGNING(), 0)).toBe("log 5 stopped");
    expect(lastLine(STATES.SIGNING(), 1)).toBe("log 5 stopped; 1 message waits for the next start");
    for (const state of ["HELD", "LINKING", "ONLINE"] as const) {
      const line = "log 5 stopped; 12 messages wait for the next start";
      expect(lastLine(STATES[state](), 12)).toBe(line);
    }
    expect(lastLine(STATES.HOLDING(), 12)).toBe(
      "log 5 stopped; 13 messages wait for the next start",
    );
  });

  test("tells those that are lost, when they are in memory only", () => {
    for (const [count, line] of [
      [0, "log 5 stopped"],
      [1, "log 4 stopped; 1 message in memory is lost"],
      [2, "log 4 stopped; 2 messages in memory are lost"],
    ] as const) {
      const rig = new Rig(settings({ data: { isDurable: false } }));
      rig.turn.start();
      expect(lastLine(rig, count)).toBe(line);
    }
  });

  test("makes and sends no new messages: those that wait are on disk", () => {
    const rig = new Rig(settings({ telemetry: { intervalS: 1 }, data: { inFlightMax: 1 } }));
    rig.online();
    rig.accept("a", "b", "c");
    stop(rig);
    const [message] = rig.messages();
    expect(message?.payload).toBe("a");
    rig.pass(2000);
    rig.turn.onData(puback(message!.identifier));
    expect(rig.sent().map((one) => one.type)).toEqual([14]);
    rig.close();
    expect(rig.take(true).slice(-2)).toEqual([
      "log 5 stopped; 2 messages wait for the next start",
      "exit 0",
    ]);
    expect(rig.shelf.size).toBe(2);
  });

  test("of a held or renewed connection loses nothing: what waits goes out with the next", () => {
    const rig = new Rig(settings({ data: { inFlightMax: 1 } }));
    rig.online();
    rig.accept("a", "b");
    const [first] = rig.messages();
    disconnect(rig);
    rig.turn.onData(puback(first!.identifier));
    expect(rig.sent().map((one) => one.type)).toEqual([14]);
    rig.close();
    expect(rig.logs().join()).not.toContain("lost");
    connect(rig);
    rig.reconnect();
    expect(rig.messages().map((one) => one.payload)).toEqual(["b"]);
  });

  test("with telemetry running nothing rings any more, either", () => {
    const rig = started(settings({ telemetry: { intervalS: 1 } }), stop);
    expect(rig.alarmMs).toBe(Number.POSITIVE_INFINITY);
  });
});
