// Greeting: how a device of an enclave greets the hub, and what comes of a refusal.
// Neighbours: `identity.test` and `proven.test` look at it; `enclave` is TPM, signer and DPS.
// Invariant: what is said to the hub is read off the wire.

import { AgentState } from "../../src/core/agent.ts";
import { connack } from "../rig.ts";
import { type Enclave, HUB, signatureOf } from "./enclave.ts";

/** The agent's state by name. */
export const state = ({ rig }: Enclave): string => AgentState[rig.turn.agent.state]!;

/** The password of the CONNECT that is sent next. */
export function password({ rig }: Enclave): string {
  rig.secure();
  const connect = rig.sent().findLast((one) => one.type === 1);
  return new TextDecoder().decode(connect!.body).split("SharedAccessSignature ")[1]!;
}

/** The token that a device of this key shows. */
export function tokenOf(key: Buffer, expiryS: number, deviceId = "gw7", hub = HUB): string {
  const resource = encodeURIComponent(`${hub}/devices/${deviceId}`);
  const signature = encodeURIComponent(signatureOf(key, `${resource}\n${expiryS}`));
  return `sr=${resource}&sig=${signature}&se=${expiryS}`;
}

/** The hub refuses, and the next attempt has begun. */
export function refuse(enclave: Enclave): void {
  const { rig } = enclave;
  rig.secure();
  rig.turn.onData(connack(5));
  while (rig.turn.agent.state === AgentState.WAITING) rig.ring();
  enclave.settle();
}
