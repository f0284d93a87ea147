// Approach, tested on a rig: which step comes first, and how long an attempt is said to have taken.
// Neighbours: `src/core/approach.ts`; `agent.test` walks through the states that follow.
// Invariant: each step is seen by what is asked of the world.

import { expect, test } from "bun:test";
import { AgentState } from "../../src/core/agent.ts";
import { Cause } from "../../src/core/effects.ts";
import { connack, Rig, SIGNATURE } from "../rig.ts";
import { assigned, challenged, Enclave } from "./enclave.ts";

test("an attempt is timed from its first step, over signature and dial", () => {
  const rig = new Rig();
  rig.turn.start();
  expect(rig.turn.agent.state).toBe(AgentState.SIGNING);
  rig.pass(2_000);
  rig.turn.onSigned(SIGNATURE);
  rig.pass(3_000);
  rig.secure();
  rig.turn.onData(connack());
  expect(rig.logs()).toContainEqual(expect.stringContaining("as dev1 in 5 s ("));
});

test("the next attempt is timed anew", () => {
  const rig = new Rig();
  rig.greet();
  rig.close(Cause.REFUSED);
  rig.pass(100);
  rig.redial();
  rig.take();
  rig.pass(1_000);
  rig.secure();
  rig.turn.onData(connack());
  expect(rig.logs()).toContainEqual(expect.stringContaining("as dev1 in 1 s ("));
});

test("DPS comes before the signature, and the hub after both", () => {
  const enclave = new Enclave().start();
  const { rig } = enclave;
  expect(rig.turn.agent.state).toBe(AgentState.PROVISIONING);
  enclave.answers = [challenged(), assigned()];
  enclave.settle();
  expect(rig.turn.agent.state).toBe(AgentState.LINKING);
  expect(rig.target.at(-1)!.host).toBe("hub7.example");
});
