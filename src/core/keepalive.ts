// KeepAlive: is the hub still there?
// Neighbours: `traffic` tells it of bytes in and out and asks for its next moment.
// Invariant: the hub hears from us within the keep-alive (MQTT-3.1.2-23), and a link without an
// answer counts as dead PINGRESP_MS after a ping (MQTT-3.1.2-24 leaves the time to the client).

// state  | onUp   | deadline         | onPingresp | onDown
// OFF    | QUIET  | -                | stray      | -
// QUIET  | broken | PINGREQ, PINGED  | stray      | OFF
// PINGED | broken | PINGRESP_TIMEOUT | QUIET      | OFF
// "broken" is an assertion. A cause is given back to `traffic`: the link falls, onDown follows.

import type { Writer } from "../codec/writer.ts";
import { assert, unreachable } from "../kit/assert.ts";
import { PINGRESP_MS, SILENCE_MS } from "../limits.ts";
import type { Counters } from "./counters.ts";
import { Cause } from "./effects.ts";

export enum KeepAliveState {
  OFF,
  QUIET,
  PINGED,
}

const NEVER = Number.POSITIVE_INFINITY;

/** Pings when the link was silent and decides when silence means death. */
export class KeepAlive {
  state = KeepAliveState.OFF;
  /** Moment at which a ping counts as unanswered; the quiet deadline follows the traffic. */
  deadlineMs = NEVER;
  private sentMs = 0;
  private receivedMs = 0;

  /** @param keepAliveMs the keep-alive of our CONNECT, in ms */
  constructor(
    private readonly writer: Writer,
    private readonly counters: Counters,
    public keepAliveMs: number,
  ) {}

  onUp(nowMs: number): void {
    assert(this.state === KeepAliveState.OFF, "a link comes up once a connection");
    this.sentMs = nowMs;
    this.receivedMs = nowMs;
    this.enter(KeepAliveState.QUIET, NEVER);
  }

  onDown(): void {
    this.enter(KeepAliveState.OFF, NEVER);
  }

  /** Bytes went out. */
  onSent(nowMs: number): void {
    this.sentMs = nowMs;
  }

  /** Bytes came in. */
  onReceived(nowMs: number): void {
    this.receivedMs = nowMs;
  }

  onPingresp(): void {
    if (this.state === KeepAliveState.PINGED) this.enter(KeepAliveState.QUIET, NEVER);
    else this.counters.stray++;
  }

  /**
   * When to ping or to give up, in monotonic ms.
   * @param waitingSinceMs since when something unanswered is in flight; Infinity: nothing is
   */
  nextMs(waitingSinceMs: number): number {
    switch (this.state) {
      case KeepAliveState.OFF:
        return NEVER;
      case KeepAliveState.QUIET: {
        const quietMs = Math.max(waitingSinceMs, this.receivedMs) + SILENCE_MS;
        return Math.min(this.sentMs + this.keepAliveMs, quietMs);
      }
      case KeepAliveState.PINGED:
        return this.deadlineMs;
      default:
        return unreachable(this.state);
    }
  }

  /** Time passed; `waitingSinceMs` as for {@link nextMs}. */
  onDeadline(nowMs: number, waitingSinceMs: number): Cause {
    if (nowMs < this.nextMs(waitingSinceMs)) return Cause.NONE;
    switch (this.state) {
      case KeepAliveState.OFF:
        return Cause.NONE;
      case KeepAliveState.QUIET:
        // A transmit buffer without room for two bytes means a stalled socket: same deadline.
        this.writer.pingreq();
        this.enter(KeepAliveState.PINGED, nowMs + PINGRESP_MS);
        return Cause.NONE;
      case KeepAliveState.PINGED:
        return Cause.PINGRESP_TIMEOUT;
      default:
        return unreachable(this.state);
    }
  }

  private enter(state: KeepAliveState, deadlineMs: number): void {
    this.state = state;
    this.deadlineMs = deadlineMs;
  }
}
