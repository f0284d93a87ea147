// Startup, tested on a rig: what connect.auto-on-startup means at start and when it changes.
// Neighbours: `src/core/{agent,recovery}.ts`; the agent's table is walked in `agent.test`.
// Invariant: what an operator asks for counts more than what the settings say.

import { describe, expect, test } from "bun:test";
import { AgentState } from "../../src/core/agent.ts";
import { connack, settings } from "../rig.ts";
import {
  asked,
  connect,
  disconnect,
  lose,
  MANUAL,
  manual,
  STATES,
  type State,
  sign,
  started,
} from "./states.ts";

describe("connect.auto-on-startup", () => {
  const AUTO = settings({});

  test("true connects at start, false waits to be told", () => {
    expect(started(AUTO).take().at(-1)).toStartWith("sign ");
    const rig = started(MANUAL);
    expect(rig.take(true).at(-1)).toBe(
      "log 5 connect.auto-on-startup is false: waiting for `azimuth connect`",
    );
    expect(rig.turn.agent.state).toBe(AgentState.IDLE);
    expect(rig.alarmMs).toBe(Number.POSITIVE_INFINITY);
  });

  test("false to true connects at once, whatever it was that kept us away", () => {
    for (const act of [() => {}, disconnect]) {
      const rig = started(MANUAL, act);
      rig.take();
      rig.turn.onSettings(AUTO);
      expect(rig.take().at(-1)).toStartWith("sign ");
    }
  });

  test("false to true while waiting does not wait any longer", () => {
    const rig = started(MANUAL, connect, sign, lose);
    expect(rig.turn.agent.state).toBe(AgentState.WAITING);
    rig.turn.onSettings(AUTO);
    expect(rig.turn.agent.state).toBe(AgentState.LINKING);
  });

  test("true to false does not disconnect, and the connection comes back after a loss", () => {
    const rig = asked();
    manual(rig);
    expect(rig.turn.agent.state).toBe(AgentState.ONLINE);
    lose(rig);
    rig.redial();
  });

  test("true to false lets an attempt under way go on", () => {
    for (const state of ["SIGNING", "LINKING", "RENEWING"] as const) {
      const rig = STATES[state]();
      manual(rig);
      expect(AgentState[rig.turn.agent.state]).toBe(state);
    }
  });

  test("true to false: an attempt under way that fails is the last, until a connect", () => {
    for (const state of ["SIGNING", "LINKING"] as const) {
      const rig = STATES[state]();
      manual(rig);
      rig.take();
      if (state === "SIGNING") rig.turn.onSignFailed("locked");
      else lose(rig);
      expect(rig.logs()[0]).toEndWith("; no further attempt, waiting for `azimuth connect`");
      rig.pass(3_600_000);
      expect(rig.take()).toEqual([]);
      expect(rig.turn.agent.state).toBe(AgentState.IDLE);
      connect(rig);
      rig.turn.onSignFailed("locked");
      expect(rig.turn.agent.state).toBe(AgentState.WAITING);
    }
  });

  test("true to false: an attempt under way that succeeds stays and comes back", () => {
    const rig = STATES.LINKING();
    manual(rig);
    rig.turn.onData(connack());
    lose(rig);
    rig.redial();
    expect(rig.turn.agent.state).toBe(AgentState.LINKING);
  });

  test("true to false: what an operator asked for meanwhile, or then, goes on", () => {
    for (const acts of [
      [connect, manual],
      [manual, connect],
    ]) {
      const rig = STATES.LINKING();
      for (const act of acts) act(rig);
      lose(rig);
      expect(rig.turn.agent.state).toBe(AgentState.WAITING);
    }
  });

  test("true to false and back: the attempt under way is one of many again", () => {
    const rig = STATES.LINKING();
    manual(rig);
    rig.turn.onSettings(AUTO);
    lose(rig);
    expect(rig.turn.agent.state).toBe(AgentState.WAITING);
  });

  test("true to false is told with what it means, until we stop", () => {
    const stays = "the connection stays, and comes back after a loss, until `azimuth disconnect`";
    const last = "the attempt under way is the last one, unless it succeeds";
    const waits = "waiting for `azimuth connect`";
    const meanings: Partial<Record<State, string>> = {
      HELD: waits,
      WAITING: waits,
      PROVISIONING: last,
      SIGNING: last,
      LINKING: last,
      ONLINE: stays,
      RENEWING: stays,
      HOLDING: waits,
      PAUSING: waits,
    };
    for (const state of Object.keys(STATES).slice(1) as State[]) {
      const rig = STATES[state]();
      rig.take();
      manual(rig);
      const logs = rig.take(true).filter((call) => call.startsWith("log "));
      const meaning = meanings[state];
      expect(logs).toEqual(
        meaning === undefined ? [] : [`log 5 connect.auto-on-startup is now false: ${meaning}`],
      );
    }
    const asked = started(settings({}), connect);
    asked.take();
    manual(asked);
    expect(asked.logs()).toEqual([
      "connect.auto-on-startup is now false: the connection asked for by hand is made all the same",
    ]);
  });

  test("true to false ends the waiting for the next attempt", () => {
    const rig = STATES.WAITING();
    manual(rig);
    rig.take();
    rig.pass(3_600_000);
    expect(rig.take()).toEqual([]);
    expect(rig.turn.agent.state).toBe(AgentState.IDLE);
  });

  test("the same value again changes nothing in any state", () => {
    for (const state of Object.keys(STATES) as State[]) {
      const rig = STATES[state]();
      const { settings: given, deadlineMs } = rig.turn.agent;
      rig.turn.onSettings(given);
      expect(AgentState[rig.turn.agent.state]).toBe(state);
      expect(rig.turn.agent.deadlineMs).toBe(deadlineMs);
    }
  });
});
