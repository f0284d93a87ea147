// States: rigs that stand in each state of the agent, and the acts that bring them there.
// Neighbours: `agent.test` walks its table with them, `startup.test` changes the settings in them.
// Invariant: states are reached through the turn alone, as the world would do it.

import type { AgentState } from "../../src/core/agent.ts";
import { Cause, type WebAnswer } from "../../src/core/effects.ts";
import { connack, Rig, SIGNATURE, settings } from "../rig.ts";
import { Enclave } from "./enclave.ts";

export const MANUAL = settings({ data: { autoOnStartup: false } });

export type State = keyof typeof AgentState;

/** Online, with the signature for the renewal asked for. */
export function asked(): Rig {
  const rig = new Rig();
  rig.online();
  rig.answerReport();
  rig.toRenewal();
  return rig;
}

/** The same with a message in flight, so that a quiet end has to wait for it. */
export function busy(...acts: readonly ((rig: Rig) => void)[]): Rig {
  const rig = asked();
  rig.accept("m");
  for (const act of acts) act(rig);
  return rig;
}

export function started(given = settings({}), ...acts: readonly ((rig: Rig) => void)[]): Rig {
  const rig = new Rig(given);
  rig.turn.start();
  for (const act of acts) act(rig);
  return rig;
}

export const connect = (rig: Rig): void => rig.turn.onCommand(1, ["connect"]);
export const disconnect = (rig: Rig): void => rig.turn.onCommand(1, ["disconnect"]);
export const stop = (rig: Rig): void => rig.turn.stop();
export const sign = (rig: Rig): void => rig.turn.onSigned(SIGNATURE);
export const lose = (rig: Rig): void => rig.close(Cause.TCP_RESET);
export const manual = (rig: Rig): void => rig.turn.onSettings(MANUAL);

const scheduled = (inactivityS: number) => settings({ schedule: { isEnabled: true, inactivityS } });

/** Under a schedule, with nothing left to say, and the signature for the renewal asked for. */
function paused(): Rig {
  const rig = new Rig(scheduled(86_400));
  rig.nextS = (wallS) => wallS + 1;
  rig.turn.start();
  rig.pass(1000);
  sign(rig);
  rig.secure();
  rig.turn.onData(connack());
  rig.synchronise({}, 1);
  rig.answerReport();
  rig.toRenewal();
  rig.turn.onSettings(scheduled(1));
  rig.pass(1000);
  return rig;
}

const enclaves = new WeakMap<Rig, Enclave>();

/** At DPS for the first time, with a TPM that answers when asked to. */
function registering(): Enclave {
  const enclave = new Enclave().start();
  enclaves.set(enclave.rig, enclave);
  return enclave;
}

/** What comes of a registration, or a late word of DPS where there is none. */
export function told(rig: Rig, ...answers: WebAnswer[]): void {
  const enclave = enclaves.get(rig);
  if (enclave === undefined) return rig.turn.onFetched(1, answers[0]!);
  enclave.answers = answers;
  enclave.settle();
}

/** A rig in each state; wherever that can be, a signature has been asked for. */
export const STATES: Readonly<Record<State, () => Rig>> = {
  IDLE: () => busy(lose, manual),
  HELD: () => started(settings({}), disconnect),
  WAITING: () => busy(lose),
  PROVISIONING: () => registering().rig,
  SIGNING: () => started(),
  LINKING: () => started(settings({}), sign, (rig) => rig.secure()),
  ONLINE: asked,
  RENEWING: () => busy(disconnect, connect),
  HOLDING: () => busy(disconnect),
  PAUSING: paused,
  STOPPING: () => busy(stop),
  STOPPED: () => started(settings({}), stop),
};
