// Session: the MQTT session over whatever connection there is: identifiers, subscriptions and
// the window of unacknowledged messages.
// Neighbours: `traffic` feeds it packets; it sends what `outbox` has put into the window, through
// the packet writer.
// Invariant: an identifier is used by one unacknowledged packet at a time (MQTT-2.3.1-2), and an
// unacknowledged message goes out again under the same identifier with DUP (MQTT-4.4.0-1).

// state       | onUp                   | suback ok | suback refused    | suback odd
// OFF         | SUBSCRIBE, SUBSCRIBING | stray     | stray             | stray
// SUBSCRIBING | broken                 | READY     | SUBSCRIBE_REFUSED | PROTOCOL_VIOLATION
// READY       | broken                 | stray     | stray             | stray
//
// state       | suback overdue | puback overdue | puback  | pump    | onDown
// OFF         | -              | -              | stray   | -       | rewind
// SUBSCRIBING | SUBACK_TIMEOUT | SUBACK_TIMEOUT | release | PUBLISH | rewind, OFF
// READY       | -              | PUBACK_TIMEOUT | release | PUBLISH | rewind, OFF
// "broken" is an assertion. A cause is given back to `traffic`: the link falls, onDown follows.

import type { Writer } from "../codec/writer.ts";
import { assert } from "../kit/assert.ts";
import { PUBACK_MS, SUBACK_MS, TRANSMIT_RESERVE_BYTES } from "../limits.ts";
import type { Counters } from "./counters.ts";
import { Cause } from "./effects.ts";
import type { Outbox } from "./outbox.ts";

export enum SessionState {
  OFF,
  SUBSCRIBING,
  READY,
}

const NEVER = Number.POSITIVE_INFINITY;
const FAILURE_CODE = 0x80;

/** What we subscribe to: filters and the quality asked for, in the order of the SUBACK's codes. */
export interface Subscriptions {
  readonly filters: readonly string[];
  readonly qos: readonly (0 | 1)[];
}

/** One MQTT session with a window of QoS 1 messages. */
export class Session {
  state = SessionState.OFF;
  deadlineMs = NEVER;
  private identifier = 0;
  private subscribeIdentifier = 0;
  /** Since when the window has been full without an acknowledgement. */
  private fullMs = NEVER;

  /**
   * @param window unacknowledged messages at most, 1 .. IN_FLIGHT_MAX
   * @param isRepublished unacknowledged messages go out again in a new session
   * @param congestionMs a window that stays full so long ends the connection; 0: never
   */
  constructor(
    private readonly writer: Writer,
    private readonly outbox: Outbox,
    private readonly counters: Counters,
    private readonly subscriptions: Subscriptions,
    public window: number,
    public isRepublished: boolean,
    public congestionMs: number,
  ) {}

  /**
   * The hub accepted our CONNECT: subscribe (again, whatever it remembers).
   * @param isKnown the hub still has our session
   */
  onUp(nowMs: number, isKnown: boolean): void {
    if (!isKnown && !this.isRepublished) this.outbox.forget();
    assert(this.state === SessionState.OFF, "a session comes up once a connection");
    this.subscribeIdentifier = this.nextIdentifier();
    const { filters, qos } = this.subscriptions;
    const written = this.writer.subscribe(this.subscribeIdentifier, filters, qos);
    assert(written, "an empty transmit buffer holds a SUBSCRIBE");
    this.enter(SessionState.SUBSCRIBING, nowMs + SUBACK_MS);
  }

  /** The connection is gone; what was not acknowledged waits for the next one. */
  onDown(): void {
    this.outbox.window.rewind();
    this.fullMs = NEVER;
    this.enter(SessionState.OFF, NEVER);
  }

  /**
   * The hub answered our SUBSCRIBE with the codes bytes[start..end), one for each filter
   * (MQTT-3.9.3-1). Granting less than asked is fine, granting more or nothing is not.
   */
  onSuback(identifier: number, bytes: Uint8Array, start: number, end: number): Cause {
    if (this.state !== SessionState.SUBSCRIBING || identifier !== this.subscribeIdentifier) {
      this.counters.stray++;
      return Cause.NONE;
    }
    if (end - start !== this.subscriptions.filters.length) return Cause.PROTOCOL_VIOLATION;
    for (let at = start; at < end; at++) {
      const code = bytes[at]!;
      if (code === FAILURE_CODE) return Cause.SUBSCRIBE_REFUSED;
      if (code > this.subscriptions.qos[at - start]!) return Cause.PROTOCOL_VIOLATION;
    }
    this.enter(SessionState.READY, NEVER);
    return Cause.NONE;
  }

  /** The hub has a message. An acknowledgement of nothing we sent is counted, not fatal. */
  onPuback(identifier: number): void {
    if (this.outbox.release(identifier)) this.fullMs = NEVER;
    else this.counters.stray++;
  }

  /** Sends what waits, up to the window and the room in the transmit buffer less its reserve. */
  pump(nowMs: number, wallS: number): void {
    if (this.state === SessionState.OFF) return;
    this.outbox.fill(this.window, nowMs, wallS);
    const { writer } = this;
    const { window } = this.outbox;
    while (window.inFlight < this.window && window.hasNext()) {
      const { bytes, topicStart, topicEnd, payloadEnd } = window;
      if (writer.room() < payloadEnd - topicStart + TRANSMIT_RESERVE_BYTES) break;
      const before = window.identifier;
      const dup = before !== 0;
      const identifier = dup ? before : this.nextIdentifier();
      const written = writer.publish(
        bytes,
        topicStart,
        topicEnd,
        bytes,
        topicEnd,
        payloadEnd,
        1,
        dup,
        false,
        identifier,
      );
      assert(written, "the reserve holds a packet's header");
      window.sent(identifier, nowMs);
    }
    this.onFilled(nowMs);
  }

  private onFilled(nowMs: number): void {
    const isFull = this.outbox.window.inFlight >= this.window;
    this.fullMs = isFull ? Math.min(this.fullMs, nowMs) : NEVER;
  }

  /** When something unanswered becomes a dead link, in monotonic ms. */
  get nextMs(): number {
    const pubackMs = this.outbox.window.oldestSentMs + PUBACK_MS;
    return Math.min(this.deadlineMs, pubackMs, this.congestedMs);
  }

  private get congestedMs(): number {
    return this.congestionMs === 0 ? NEVER : this.fullMs + this.congestionMs;
  }

  /** Time has come to {@link nextMs}. */
  onDeadline(nowMs: number): Cause {
    switch (this.state) {
      case SessionState.OFF:
        return Cause.NONE;
      case SessionState.SUBSCRIBING:
        if (nowMs >= this.deadlineMs) return Cause.SUBACK_TIMEOUT;
        break;
      case SessionState.READY:
        break;
    }
    if (nowMs >= this.outbox.window.oldestSentMs + PUBACK_MS) return Cause.PUBACK_TIMEOUT;
    return nowMs >= this.congestedMs ? Cause.CONGESTED : Cause.NONE;
  }

  private nextIdentifier(): number {
    do {
      this.identifier = this.identifier === 0xffff ? 1 : this.identifier + 1;
    } while (this.isUsed(this.identifier));
    return this.identifier;
  }

  private isUsed(identifier: number): boolean {
    const subscribing = this.state === SessionState.SUBSCRIBING;
    return (
      this.outbox.window.owns(identifier) ||
      (subscribing && identifier === this.subscribeIdentifier)
    );
  }

  private enter(state: SessionState, deadlineMs: number): void {
    this.state = state;
    this.deadlineMs = deadlineMs;
  }
}
