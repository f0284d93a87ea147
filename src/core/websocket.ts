// WebSocket: an uplink over another uplink: where the target names a path, MQTT travels in the
// frames of a WebSocket; where it names none, every call and event passes through untouched.
// Neighbours: the turn and the link above notice no difference; the TLS port is below.
// Invariant: `onSecured` comes once the server has proved that it speaks WebSocket, nothing of MQTT
// leaves before; no event comes from inside a call, and none after `onClosed` or `abort`.

// state    | open plain  | open          | opened | secured     | data | close frame
// DOWN     | dial, PLAIN | dial, OPENING | -      | -           | -    | -
// PLAIN    | broken      | broken        | opened | secured     | data | data
// OPENING  | broken      | broken        | opened | ask, ASKING | -    | -
// ASKING   | broken      | broken        | -      | -           | -    | -
// CARRYING | broken      | broken        | -      | -           | data | frame, half-close, CLOSING
// CLOSING  | broken      | broken        | -      | -           | data | -
//
// state    | answer yes                | answer no                 | writable   | closed
// DOWN     | -                         | -                         | -          | -
// PLAIN    | data                      | data                      | writable   | closed, DOWN
// OPENING  | -                         | -                         | -          | closed, DOWN
// ASKING   | secured, CARRYING         | drop, closed, DOWN        | -          | closed, DOWN
// CARRYING | frame, drop, closed, DOWN | frame, drop, closed, DOWN | writable   | closed, DOWN
// CLOSING  | drop, closed, DOWN        | drop, closed, DOWN        | -          | closed, DOWN
//
// state    | end()                      | abort()    | deadline
// DOWN     | -                          | -          | -
// PLAIN    | half-close                 | drop, DOWN | -
// OPENING  | half-close                 | drop, DOWN | -
// ASKING   | half-close                 | drop, DOWN | drop, closed, DOWN
// CARRYING | frame, half-close, CLOSING | drop, DOWN | -
// CLOSING  | -                          | drop, DOWN | (farewell) -
// "broken" is an assertion; an HTTP answer where frames are due breaks their rules. Only where the
// server closed first has CLOSING a deadline: it then has CLOSE_MS to end the socket.

import { Masker } from "../codec/masker.ts";
import { acceptText, UpgradeAnswer, UpgradeOutcome, upgradeRequest } from "../codec/upgrade.ts";
import { utf8 } from "../codec/utf8.ts";
import { CLOSE_NO_CODE, FrameReader, FrameResult } from "../codec/websocket.ts";
import { assert, unreachable } from "../kit/assert.ts";
import { CLOSE_MS, FRAME_BYTES_MAX, FRAME_TRANSMIT_BYTES, UPGRADE_MS } from "../limits.ts";
import {
  type Alarm,
  Cause,
  type Clock,
  type Entropy,
  type Target,
  type Uplink,
  type UplinkEvents,
} from "./effects.ts";

export enum WebSocketState {
  DOWN,
  PLAIN,
  OPENING,
  ASKING,
  CARRYING,
  CLOSING,
}

const NEVER = Number.POSITIVE_INFINITY;
const NORMAL = 1000;
const PROTOCOL_ERROR = 1002;
const UNFIT = /[^\x20-\x7e]/g;

/** MQTT over WebSocket, or over TLS itself, as the target says. */
export class WebSocketUplink implements Uplink, UplinkEvents {
  state = WebSocketState.DOWN;
  private deadlineMs = NEVER;
  private readonly inner: Uplink;
  private readonly alarm: Alarm;
  private readonly reader = new FrameReader(FRAME_BYTES_MAX);
  private readonly masker: Masker;
  private target: Target | null = null;
  private answer = new UpgradeAnswer("");
  /** What the server gave as the reason of its close frame. */
  private farewell = "";
  /** Counts connections, so that a step that went on to another one is noticed. */
  private epoch = 0;

  /** @param makeUplink makes the uplink below, whose events come here */
  constructor(
    private readonly events: UplinkEvents,
    makeUplink: (events: UplinkEvents) => Uplink,
    makeAlarm: (onAlarm: () => void) => Alarm,
    private readonly clock: Clock,
    private readonly entropy: Entropy,
  ) {
    this.masker = new Masker(FRAME_TRANSMIT_BYTES, () => entropy.word());
    this.inner = makeUplink(this);
    this.alarm = makeAlarm(() => this.onAlarm());
  }

  open(target: Target): void {
    assert(this.state === WebSocketState.DOWN, "one connection at a time");
    this.epoch++;
    this.target = target;
    this.farewell = "";
    this.reader.reset();
    this.masker.reset();
    const isPlain = target.webSocketPath === undefined;
    this.enter(isPlain ? WebSocketState.PLAIN : WebSocketState.OPENING, NEVER);
    this.inner.open(target);
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (this.state === WebSocketState.PLAIN) return this.inner.write(bytes, start, end);
    // What was taken before goes first; as long as it waits, the socket is full.
    if (this.state !== WebSocketState.CARRYING || !this.masker.isEmpty) return 0;
    const taken = this.masker.data(bytes, start, end);
    this.flush();
    return taken;
  }

  end(): void {
    switch (this.state) {
      case WebSocketState.DOWN:
        return;
      case WebSocketState.PLAIN:
      case WebSocketState.OPENING:
      case WebSocketState.ASKING:
        return this.inner.end();
      case WebSocketState.CARRYING:
        this.masker.close(NORMAL);
        this.enter(WebSocketState.CLOSING, NEVER);
        return this.flush();
      case WebSocketState.CLOSING:
        return;
      default:
        unreachable(this.state);
    }
  }

  abort(): void {
    if (this.state === WebSocketState.DOWN) return;
    this.epoch++;
    this.enter(WebSocketState.DOWN, NEVER);
    this.inner.abort();
  }

  onOpened(): void {
    // Armed once there is something to wait for; until then the link's own deadline holds.
    if (this.state === WebSocketState.OPENING) this.deadlineMs = this.clock.nowMs() + UPGRADE_MS;
    const { PLAIN, OPENING } = WebSocketState;
    if (this.state === PLAIN || this.state === OPENING) this.events.onOpened();
  }

  onSecured(): void {
    if (this.state === WebSocketState.PLAIN) return this.events.onSecured();
    if (this.state !== WebSocketState.OPENING) return;
    const { host, port, webSocketPath = "" } = this.target!;
    const key = this.entropy.nonce();
    this.answer = new UpgradeAnswer(this.entropy.sha1(acceptText(key)));
    const request = utf8(upgradeRequest(host, port, webSocketPath, key));
    this.enter(WebSocketState.ASKING, this.deadlineMs);
    // A socket that has carried nothing yet takes a few hundred bytes at once.
    const taken = this.inner.write(request, 0, request.length);
    if (taken === request.length && taken > 0) return;
    this.fail(Cause.WEBSOCKET_BROKEN, "the request could not be sent");
  }

  onData(chunk: Uint8Array): void {
    switch (this.state) {
      case WebSocketState.DOWN:
      case WebSocketState.OPENING:
        return;
      case WebSocketState.PLAIN:
        return this.events.onData(chunk);
      case WebSocketState.ASKING:
        return this.onAnswer(chunk);
      case WebSocketState.CARRYING:
      case WebSocketState.CLOSING:
        return this.onFrames(chunk, 0);
      default:
        unreachable(this.state);
    }
  }

  onWritable(): void {
    if (this.state === WebSocketState.PLAIN) return this.events.onWritable();
    this.flush();
    if (this.state === WebSocketState.CARRYING && this.masker.isEmpty) this.events.onWritable();
  }

  onClosed(cause: Cause, detail: string): void {
    if (this.state === WebSocketState.DOWN) return;
    this.enter(WebSocketState.DOWN, NEVER);
    const isFarewell = cause === Cause.CLOSED_BY_PEER && this.farewell !== "";
    this.events.onClosed(cause, isFarewell ? this.farewell : detail);
  }

  private onAlarm(): void {
    if (this.clock.nowMs() < this.deadlineMs) return;
    if (this.state === WebSocketState.ASKING) this.fail(Cause.WEBSOCKET_TIMEOUT, "");
    else this.fail(Cause.CLOSED_BY_PEER, this.farewell);
  }

  private onAnswer(chunk: Uint8Array): void {
    const { answer, epoch } = this;
    switch (answer.feed(chunk)) {
      case UpgradeOutcome.MORE:
        return;
      case UpgradeOutcome.DONE:
        this.enter(WebSocketState.CARRYING, NEVER);
        this.events.onSecured();
        if (this.epoch === epoch && answer.taken < chunk.length) this.onFrames(chunk, answer.taken);
        return;
      case UpgradeOutcome.REFUSED:
        return this.fail(causeOf(answer.status), answer.detail);
      case UpgradeOutcome.BROKEN:
        return this.fail(Cause.WEBSOCKET_BROKEN, answer.detail);
    }
  }

  /** Data of all frames in the chunk is moved together, so that one view of it is enough. */
  private onFrames(chunk: Uint8Array, from: number): void {
    const { reader, masker, epoch } = this;
    reader.feed(chunk, from);
    let start = 0;
    let end = 0;
    let result = reader.next();
    for (; result === FrameResult.DATA || result === FrameResult.PING; result = reader.next()) {
      if (result === FrameResult.PING) {
        masker.pong(reader.control, reader.controlLength);
      } else if (end === 0) {
        start = reader.start;
        end = reader.end;
      } else {
        chunk.copyWithin(end, reader.start, reader.end);
        end += reader.end - reader.start;
      }
    }
    if (end > 0) this.events.onData(chunk.subarray(start, end));
    if (this.epoch !== epoch || this.state === WebSocketState.DOWN) return;
    if (result === FrameResult.REFUSED) return this.onViolation(reader.problem);
    if (result === FrameResult.CLOSE) this.onFarewell();
    this.flush();
  }

  private onViolation(problem: string): void {
    // RFC 6455, 7.1.7: said where it can be said, then the connection is dropped.
    this.masker.close(PROTOCOL_ERROR);
    this.flush();
    this.fail(Cause.WEBSOCKET_BROKEN, problem);
  }

  private onFarewell(): void {
    const { closeCode, control, controlLength } = this.reader;
    let text = "";
    for (let at = 2; at < controlLength; at++) text += String.fromCharCode(control[at]!);
    const why = text.replace(UNFIT, "?");
    this.farewell =
      closeCode === CLOSE_NO_CODE ? "WebSocket close" : `WebSocket close ${closeCode}`;
    if (why !== "") this.farewell += `: ${why}`;
    // RFC 6455, 5.5.1: answered with the same code.
    this.masker.close(closeCode === CLOSE_NO_CODE ? NORMAL : closeCode);
    if (this.state === WebSocketState.CLOSING) return;
    this.enter(WebSocketState.CLOSING, this.clock.nowMs() + CLOSE_MS);
  }

  /** Writes what waits; behind a close frame the socket is ended. */
  private flush(): void {
    const { masker, inner } = this;
    if (masker.isEmpty) return;
    while (!masker.isEmpty) {
      const taken = inner.write(masker.bytes, masker.start, masker.end);
      if (taken <= 0) return;
      masker.consume(taken);
    }
    if (this.state === WebSocketState.CLOSING) inner.end();
  }

  private fail(cause: Cause, detail: string): void {
    this.abort();
    this.events.onClosed(cause, detail);
  }

  private enter(state: WebSocketState, deadlineMs: number): void {
    this.state = state;
    this.deadlineMs = deadlineMs;
    this.alarm.arm(deadlineMs);
  }
}

function causeOf(status: number): Cause {
  switch (status) {
    case 401:
    case 403:
      return Cause.WEBSOCKET_FORBIDDEN;
    case 404:
      return Cause.WEBSOCKET_NOT_FOUND;
    case 407:
      return Cause.PROXY_CREDENTIALS;
    default:
      return Cause.WEBSOCKET_REFUSED;
  }
}
