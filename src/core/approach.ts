// Approach: the steps from the wish for a connection to the dial: DPS, a signature, the hub.
// Neighbours: `agent` takes one step at a time and waits for its outcome; `identity`, `credential`,
// `recovery` and `link` each do one of them.
// Invariant: the hub is dialled only with a token that lasts or a certificate, and after DPS where
// that is due.

import type { Credential } from "./credential.ts";
import type { Identity } from "./identity.ts";
import type { Link } from "./link.ts";
import type { Recovery } from "./recovery.ts";
import { AgentState } from "./state.ts";

/** One attempt after the other. */
export class Approach {
  private startedMs = 0;

  constructor(
    private readonly identity: Identity,
    private readonly credential: Credential,
    private readonly recovery: Recovery,
    private readonly link: Link,
  ) {}

  /**
   * Begins the next step and says what it is.
   * @param state that of the agent: a step that ended well goes on with the same attempt
   */
  advance(state: AgentState, nowMs: number, wallS: number): AgentState {
    const { identity, credential } = this;
    const isBegun = state === AgentState.SIGNING || state === AgentState.PROVISIONING;
    if (!isBegun) this.startedMs = nowMs;
    if (identity.isDue) {
      identity.register();
      return AgentState.PROVISIONING;
    }
    const token = credential.usable(nowMs);
    if (token === "" && credential.isNeeded) {
      credential.request(nowMs, wallS);
      return AgentState.SIGNING;
    }
    this.recovery.onAttempt(nowMs);
    this.link.open(token, nowMs);
    return AgentState.LINKING;
  }

  /** Time since the first step of the attempt, in ms. */
  tookMs(nowMs: number): number {
    return nowMs - this.startedMs;
  }
}
