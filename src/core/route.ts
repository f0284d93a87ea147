// Route: which port the next attempt takes: MQTT over TLS on 8883, or WebSocket on 443.
// Neighbours: whoever opens the link asks `isDetour`, and tells how each attempt ended; the words
// of a failure are `diagnosis`'s.
// Invariant: a refusal by the hub or a doubt about who it is never changes the port, so nothing
// can talk the gateway out of a good way; with a fixed transport nothing changes at all.

// state   | reached | blocked | failed | deadline
// MQTTS   | -       | -       | -      | -
// WSS     | -       | -       | -      | -
// DIRECT  | -       | DETOUR  | -      | -
// DETOUR  | SETTLED | DIRECT  | DIRECT | -
// SETTLED | -       | DIRECT  | -      | DIRECT
// MQTTS and WSS are the fixed transports; the others are `auto`: DIRECT takes 8883, DETOUR tries
// 443, SETTLED stays with 443, which has worked, until DETOUR_MS have passed.

import { unreachable } from "../kit/assert.ts";
import { DETOUR_MS } from "../limits.ts";
import { Cause } from "./effects.ts";
import { LinkState } from "./link.ts";

/** What the settings ask for. */
export type Transport = "mqtts" | "wss" | "auto";

export enum RouteState {
  MQTTS,
  WSS,
  DIRECT,
  DETOUR,
  SETTLED,
}

const NEVER = Number.POSITIVE_INFINITY;

/** What keeps a port from being reached at all, whoever is behind it. */
const BLOCKS: ReadonlySet<Cause> = new Set([
  Cause.REFUSED,
  Cause.UNREACHABLE,
  Cause.TCP_RESET,
  Cause.CLOSED_BY_PEER,
  Cause.DIAL_TIMEOUT,
  Cause.TLS_TIMEOUT,
  Cause.TLS_HANDSHAKE_FAILED,
  Cause.PROXY_TIMEOUT,
  Cause.PROXY_REFUSED,
  Cause.PROXY_FAILED,
  Cause.WEBSOCKET_TIMEOUT,
  Cause.WEBSOCKET_FORBIDDEN,
  Cause.WEBSOCKET_NOT_FOUND,
  Cause.WEBSOCKET_REFUSED,
  Cause.WEBSOCKET_BROKEN,
]);

/** Trouble of this side, the proxy or the resolver, which is the same for both ports. */
const ALIKE: ReadonlySet<Cause> = new Set([
  Cause.NONE,
  Cause.NAME_NOT_FOUND,
  Cause.NAME_LOOKUP_FAILED,
  Cause.SOCKET_FAILED,
  Cause.SIGN_FAILED,
  Cause.SIGN_TIMEOUT,
  Cause.PROXY_UNREACHABLE,
  Cause.PROXY_CREDENTIALS,
  Cause.PROXY_BROKEN,
]);

/** The choice between two ports. */
export class Route {
  state: RouteState;
  /** When the detour ends, in ms of the monotonic clock. */
  deadlineMs = NEVER;

  /**
   * @param preferred what {@link preferred} said in an earlier run; a restart may forget it, then
   * 8883 is tried first
   */
  constructor(transport: Transport, preferred: "mqtts" | "wss", nowMs: number) {
    this.state = RouteState.DIRECT;
    if (transport === "mqtts") this.state = RouteState.MQTTS;
    else if (transport === "wss") this.state = RouteState.WSS;
    else if (preferred === "wss") this.enter(RouteState.SETTLED, nowMs + DETOUR_MS);
  }

  /** Whether the next attempt goes over 443. */
  get isDetour(): boolean {
    const { WSS, DETOUR, SETTLED } = RouteState;
    return this.state === WSS || this.state === DETOUR || this.state === SETTLED;
  }

  /** What has worked and is worth remembering. */
  get preferred(): "mqtts" | "wss" {
    return this.state === RouteState.WSS || this.state === RouteState.SETTLED ? "wss" : "mqtts";
  }

  /** The hub has answered CONNECT, with whatever code: the way leads there. */
  onReached(nowMs: number): void {
    if (this.state === RouteState.DETOUR) this.enter(RouteState.SETTLED, nowMs + DETOUR_MS);
  }

  /** An attempt or a connection ended in `step`; `onReached` has been told if it got so far. */
  onEnded(cause: Cause, step: LinkState): void {
    if (step !== LinkState.DIALING && step !== LinkState.SECURING) return;
    if (BLOCKS.has(cause)) this.onBlocked();
    else if (!ALIKE.has(cause)) this.onFailed();
  }

  /** To be asked before each attempt: a standing connection is not ended for this. */
  onDeadline(nowMs: number): void {
    if (nowMs >= this.deadlineMs) this.enter(RouteState.DIRECT, NEVER);
  }

  private onBlocked(): void {
    switch (this.state) {
      case RouteState.MQTTS:
      case RouteState.WSS:
        return;
      case RouteState.DIRECT:
        return this.enter(RouteState.DETOUR, NEVER);
      case RouteState.DETOUR:
      case RouteState.SETTLED:
        return this.enter(RouteState.DIRECT, NEVER);
      default:
        unreachable(this.state);
    }
  }

  /** Something else is there: a detour that never worked is given up, all else stays. */
  private onFailed(): void {
    if (this.state === RouteState.DETOUR) this.enter(RouteState.DIRECT, NEVER);
  }

  private enter(state: RouteState, deadlineMs: number): void {
    this.state = state;
    this.deadlineMs = deadlineMs;
  }
}
