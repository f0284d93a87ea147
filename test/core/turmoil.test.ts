// Turmoil: an endpoint with a TPM, when everything happens in any order.
// Neighbours: `enclave` is TPM and DPS, `disorder` does the same without them.
// Invariant: what happens follows from the seed alone.

import { expect, test } from "bun:test";
import { AgentState } from "../../src/core/agent.ts";
import { type Cause, TpmOperation } from "../../src/core/effects.ts";
import { VaultState } from "../../src/core/vault.ts";
import { Prng } from "../../src/kit/prng.ts";
import { connack } from "../rig.ts";
import { answered, assigned, assigning, challenged, Enclave, IDENTITY, SPARE } from "./enclave.ts";

const ANSWERS = [
  challenged(),
  assigning({ retryAfterS: 1 }),
  assigned(),
  assigned("gw8"),
  answered(500, {}),
  answered(404, { errorCode: 404201 }),
  answered(200, { status: "disabled" }),
  answered(200, {}),
];
const CODES = [0x903, 0x910, 0x100, 0x921, 0x9a2, 0x1df, 0x18b, 0x101];

/** One thing that the world may do, likely or not. */
function disturb(enclave: Enclave, prng: Prng): void {
  const { rig, tpm } = enclave;
  const { turn } = rig;
  const { vault } = turn.agent.machines.identity;
  const deeds: readonly (() => void)[] = [
    () => enclave.answers.push(ANSWERS[prng.below(ANSWERS.length)]!),
    () => {
      const code = CODES[prng.below(CODES.length)]!;
      // A handle that cannot be flushed would stay, whoever does what.
      enclave.refuse = (operation) =>
        operation !== TpmOperation.FLUSH && prng.chance(0.1) ? code : 0;
    },
    () => {
      tpm.restart();
      rig.performed.length = 0;
      rig.swept = 0;
      turn.onTpmClosed("gone");
    },
    () => {
      if (vault.state === VaultState.CLOSED) turn.onTpmOpened();
    },
    () => tpm.persistent.delete(prng.chance(0.5) ? IDENTITY : SPARE),
    () => void Object.assign(enclave, { diskProblem: prng.chance(0.3) ? "full" : "" }),
    () => turn.onFetched(prng.below(20), assigned()),
    () => turn.onSaved(""),
    () => turn.onTpmDone(0, 0, 0, new Uint8Array(0)),
    () => rig.close(prng.between(1, 14) as Cause),
    () => rig.secure(),
    () => {
      rig.secure();
      turn.onData(connack(prng.chance(0.3) ? 0 : 5));
    },
    () => rig.probed({ status: prng.chance(0.5) ? 404 : 401 }),
    () => turn.onCommand(prng.below(8), ["connect"]),
    () => turn.onCommand(prng.below(8), ["disconnect"]),
    () => turn.onCommand(prng.below(8), ["status"]),
    () => rig.pass(prng.below(2 ** prng.between(1, 20))),
  ];
  deeds[prng.below(deeds.length)]!();
}

test("no defect, no spin, no secret, nothing left in the TPM, and an end", () => {
  const states = new Set<AgentState>();
  for (let seed = 0; seed < 300; seed++) {
    const prng = new Prng(seed);
    const enclave = new Enclave();
    const { rig } = enclave;
    const { agent } = rig.turn;
    if (prng.chance(0.5)) {
      enclave.answers = [challenged()];
      enclave.start().settle();
    } else rig.turn.start();
    for (let at = 0; at < 200; at++) {
      if (prng.chance(0.3)) disturb(enclave, prng);
      else enclave.step();
      states.add(agent.state);
      for (let rings = 0; rig.alarmMs <= rig.nowMs; rings++) {
        expect(rings).toBeLessThan(5);
        rig.turn.onAlarm();
      }
    }
    rig.turn.stop();
    rig.pass(60_000);
    enclave.settle();
    expect(enclave.tpm.leftovers).toBe(0);
    const calls = rig.take(true);
    expect(calls.filter((call) => call.startsWith("exit "))).toEqual(["exit 0"]);
    expect(calls.filter((call) => /sig=|authenticationKey/.test(call))).toEqual([]);
  }
  expect(states).toContain(AgentState.PROVISIONING);
  expect(states).toContain(AgentState.SIGNING);
  expect(states).toContain(AgentState.ONLINE);
});
