// Link: one connection to the hub, from the dial to the close, each step with its own deadline.
// Neighbours: `agent` opens and closes it and looks at its state after each event; the turn
// writes to the socket only while the link has one (GREETING, UP, CLOSING).
// Invariant: DOWN means the uplink port holds no connection of ours; `cause` says how the last
// one ended and `fellFrom` in which step.

// state    | open()        | opened   | secured           | connack 0 | connack n
// DOWN     | open, DIALING | stray    | stray             | stray     | stray
// DIALING  | broken        | SECURING | stray             | stray     | stray
// SECURING | broken        | stray    | CONNECT, GREETING | stray     | stray
// GREETING | broken        | stray    | stray             | UP        | abort, DOWN
// UP       | broken        | stray    | stray             | stray     | stray
// CLOSING  | broken        | stray    | stray             | stray     | stray
//
// state    | closed | fail()      | close()             | deadline
// DOWN     | stray  | broken      | -                   | -
// DIALING  | DOWN   | abort, DOWN | abort, DOWN         | DIAL_TIMEOUT, abort, DOWN
// SECURING | DOWN   | abort, DOWN | abort, DOWN         | TLS_TIMEOUT, abort, DOWN
// GREETING | DOWN   | abort, DOWN | abort, DOWN         | CONNACK_TIMEOUT, abort, DOWN
// UP       | DOWN   | abort, DOWN | DISCONNECT, CLOSING | -
// CLOSING  | DOWN   | abort, DOWN | -                   | abort, DOWN
// "broken" is an assertion. A link that was closing ends without a cause.

import type { Writer } from "../codec/writer.ts";
import { assert, unreachable } from "../kit/assert.ts";
import { CLOSE_MS, CONNACK_MS, DIAL_MS, TLS_MS } from "../limits.ts";
import type { Counters } from "./counters.ts";
import { Cause, type Effects } from "./effects.ts";

export enum LinkState {
  DOWN,
  DIALING,
  SECURING,
  GREETING,
  UP,
  CLOSING,
}

/** What CONNECT says; the password is given at {@link Link.open}. */
export interface Greeting {
  readonly clientId: string;
  readonly username: string;
  readonly keepAliveS: number;
}

const NEVER = Number.POSITIVE_INFINITY;
const CODE_CAUSES = [
  Cause.NONE,
  Cause.CONNACK_PROTOCOL,
  Cause.CONNACK_IDENTIFIER,
  Cause.CONNACK_UNAVAILABLE,
  Cause.CONNACK_CREDENTIALS,
  Cause.CONNACK_NOT_AUTHORISED,
];

/** TCP, TLS, CONNECT, up, closing. */
export class Link {
  state = LinkState.DOWN;
  deadlineMs = NEVER;
  /** Why the last connection ended, with the port's or reader's own words. */
  cause = Cause.NONE;
  detail = "";
  /** The state the last connection ended in. */
  fellFrom = LinkState.DOWN;
  /** How long the last connection was up, in ms; 0 when it never was. */
  upMs = 0;
  sessionPresent = false;
  private token = "";
  private connectedMs = 0;

  constructor(
    private readonly effects: Effects,
    private readonly writer: Writer,
    private readonly counters: Counters,
    private greeting: Greeting,
  ) {}

  /** Who the next connection is for. */
  identify(greeting: Greeting): void {
    this.greeting = greeting;
  }

  /** Dials; `token` is the password of the CONNECT to come. */
  open(token: string, nowMs: number): void {
    assert(this.state === LinkState.DOWN, "one connection at a time");
    this.token = token;
    this.counters.attempts++;
    this.effects.open();
    this.enter(LinkState.DIALING, nowMs + DIAL_MS);
  }

  onOpened(nowMs: number): void {
    if (this.state !== LinkState.DIALING) this.counters.stray++;
    else this.enter(LinkState.SECURING, nowMs + TLS_MS);
  }

  /** TLS stands and the server is who it should be: greet. Clean session 0 (decision 7). */
  onSecured(nowMs: number): void {
    if (this.state !== LinkState.SECURING) {
      this.counters.stray++;
      return;
    }
    const { clientId, username, keepAliveS } = this.greeting;
    const written = this.writer.connect(clientId, username, this.token, keepAliveS, false);
    assert(written, "an empty transmit buffer holds a CONNECT");
    this.token = "";
    this.enter(LinkState.GREETING, nowMs + CONNACK_MS);
  }

  /** `code` 0 .. 5, as the reader lets through. */
  onConnack(code: number, sessionPresent: boolean, nowMs: number): void {
    if (this.state !== LinkState.GREETING) {
      this.counters.stray++;
      return;
    }
    if (code !== 0) {
      this.fail(CODE_CAUSES[code] ?? Cause.PROTOCOL_VIOLATION, "", nowMs);
      return;
    }
    this.sessionPresent = sessionPresent;
    this.connectedMs = nowMs;
    this.counters.connects++;
    this.enter(LinkState.UP, NEVER);
  }

  /** The socket is closed, by whichever side. */
  onClosed(cause: Cause, detail: string, nowMs: number): void {
    switch (this.state) {
      case LinkState.DOWN:
        this.counters.stray++;
        return;
      case LinkState.DIALING:
      case LinkState.SECURING:
      case LinkState.GREETING:
      case LinkState.UP:
        this.fall(cause, detail, nowMs);
        return;
      case LinkState.CLOSING:
        this.fall(Cause.NONE, "", nowMs);
        return;
      default:
        unreachable(this.state);
    }
  }

  /** Ends the connection because of something found on this side. */
  fail(cause: Cause, detail: string, nowMs: number): void {
    assert(this.state !== LinkState.DOWN, "only a connection can fail");
    this.effects.abort();
    this.fall(cause, detail, nowMs);
  }

  /** Ends the connection as asked: with DISCONNECT where there is a session to end. */
  close(nowMs: number): void {
    switch (this.state) {
      case LinkState.DOWN:
      case LinkState.CLOSING:
        return;
      case LinkState.DIALING:
      case LinkState.SECURING:
      case LinkState.GREETING:
        this.effects.abort();
        this.fall(Cause.NONE, "", nowMs);
        return;
      case LinkState.UP:
        // Without room even for two bytes the socket has stalled: the deadline then ends it.
        this.writer.disconnect();
        this.enter(LinkState.CLOSING, nowMs + CLOSE_MS);
        return;
      default:
        unreachable(this.state);
    }
  }

  onDeadline(nowMs: number): void {
    if (nowMs < this.deadlineMs) return;
    switch (this.state) {
      case LinkState.DIALING:
        return this.fail(Cause.DIAL_TIMEOUT, "", nowMs);
      case LinkState.SECURING:
        return this.fail(Cause.TLS_TIMEOUT, "", nowMs);
      case LinkState.GREETING:
        return this.fail(Cause.CONNACK_TIMEOUT, "", nowMs);
      case LinkState.CLOSING:
        return this.fail(Cause.NONE, "", nowMs);
      case LinkState.DOWN:
      case LinkState.UP:
        return;
      default:
        unreachable(this.state);
    }
  }

  get isDown(): boolean {
    return this.state === LinkState.DOWN;
  }

  get isUp(): boolean {
    return this.state === LinkState.UP;
  }

  /** True while bytes can be written to the socket. */
  get isWritable(): boolean {
    return this.state >= LinkState.GREETING;
  }

  private fall(cause: Cause, detail: string, nowMs: number): void {
    this.cause = cause;
    this.detail = detail;
    this.fellFrom = this.state;
    this.upMs = this.state >= LinkState.UP ? nowMs - this.connectedMs : 0;
    this.token = "";
    this.writer.reset();
    this.enter(LinkState.DOWN, NEVER);
  }

  private enter(state: LinkState, deadlineMs: number): void {
    this.state = state;
    this.deadlineMs = deadlineMs;
  }
}
