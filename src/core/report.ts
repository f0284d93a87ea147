// Report: brings reported properties to the hub, one PATCH at a time, until it has them all.
// Neighbours: `lamps` (a ReportSource) says what to report; `traffic` hands over the answers.
// Invariant: a property counts as reported only after a 204 for a PATCH that carried its latest
// value; a change while a PATCH is under way goes into the next one.

// state   | onReady | pump           | answer done   | answer later     | answer refused
// OFF     | IDLE    | -              | stray         | stray            | stray
// IDLE    | -       | PATCH, SENDING | stray         | stray            | stray
// SENDING | -       | -              | confirm, IDLE | retract, DELAYED | confirm, IDLE
// DELAYED | -       | -              | stray         | stray            | stray
//
// state   | deadline         | onDown
// OFF     | -                | -
// IDLE    | -                | OFF
// SENDING | retract, DELAYED | retract, OFF
// DELAYED | IDLE             | OFF
// done: 200, 204; later: 429, 5xx; refused: any other. The third deadline in a row without an
// answer is TWIN_TIMEOUT; a transmit buffer without room leaves IDLE as it is.

import { twinReportedTopic } from "../codec/topic.ts";
import type { Writer } from "../codec/writer.ts";
import { unreachable } from "../kit/assert.ts";
import { BACKOFF_MS_MAX, TWIN_ANSWER_MS, TWIN_TRIES } from "../limits.ts";
import type { Backoff } from "./backoff.ts";
import type { Counters } from "./counters.ts";
import { Cause, type Effects, Level } from "./effects.ts";
import type { Rids } from "./rids.ts";

export enum ReportState {
  OFF,
  IDLE,
  SENDING,
  DELAYED,
}

/** Who has something to report. */
export interface ReportSource {
  /** A JSON merge patch of all that is not reported yet, marked as sent; "" for nothing. */
  takeReport(): string;
  /** The hub has what was taken; `version` of its reported properties then, -1 if unknown. */
  confirmReport(version: number): void;
  /** The hub may not have it: take it again next time. */
  retractReport(): void;
}

const NEVER = Number.POSITIVE_INFINITY;

/** The reported half of the device twin. */
export class Report {
  state = ReportState.OFF;
  deadlineMs = NEVER;
  private rid = -1;
  private tries = 0;

  constructor(
    private readonly effects: Effects,
    private readonly writer: Writer,
    private readonly counters: Counters,
    private readonly rids: Rids,
    private readonly backoff: Backoff,
    private readonly source: ReportSource,
  ) {}

  /** The twin is in step: what we report now answers what is desired now. */
  onReady(): void {
    if (this.state !== ReportState.OFF) return;
    this.tries = 0;
    this.backoff.reset();
    this.enter(ReportState.IDLE, NEVER);
  }

  onDown(): void {
    if (this.state === ReportState.SENDING) this.source.retractReport();
    this.rid = -1;
    this.enter(ReportState.OFF, NEVER);
  }

  /** Sends what there is to report, when nothing is under way; after the pins were driven. */
  pump(nowMs: number): void {
    if (this.state !== ReportState.IDLE) return;
    const patch = this.source.takeReport();
    if (patch === "") return;
    const rid = this.rids.next();
    if (!this.writer.publishText(twinReportedTopic(rid), patch, 0, 0)) {
      this.source.retractReport();
      return;
    }
    this.rid = rid;
    this.enter(ReportState.SENDING, nowMs + TWIN_ANSWER_MS);
  }

  /** True when the answer with this request number is for us. */
  isMine(rid: number): boolean {
    return rid >= 0 && rid === this.rid;
  }

  /** The hub answered our PATCH; `version` of the reported properties, -1 without one. */
  onAnswer(status: number, version: number, nowMs: number): void {
    if (this.state !== ReportState.SENDING) {
      this.counters.stray++;
      return;
    }
    this.rid = -1;
    this.tries = 0;
    if (status === 204 || status === 200) {
      this.backoff.reset();
      this.settle(version);
      return;
    }
    const text = `the hub answered a report of properties with status ${status}`;
    if (status === 429 || status >= 500) {
      this.effects.log(Level.WARNING, text);
      this.delay(nowMs);
      return;
    }
    // The same patch would be refused for ever; the next change of these properties tries anew.
    this.effects.log(Level.ERROR, `${text}: given up`);
    this.settle(-1);
  }

  onDeadline(nowMs: number): Cause {
    if (nowMs < this.deadlineMs) return Cause.NONE;
    switch (this.state) {
      case ReportState.OFF:
      case ReportState.IDLE:
        return Cause.NONE;
      case ReportState.SENDING:
        this.tries++;
        if (this.tries >= TWIN_TRIES) return Cause.TWIN_TIMEOUT;
        this.rid = -1;
        this.delay(nowMs);
        return Cause.NONE;
      case ReportState.DELAYED:
        this.enter(ReportState.IDLE, NEVER);
        return Cause.NONE;
      default:
        return unreachable(this.state);
    }
  }

  /** True while a PATCH waits for its answer. */
  get isWaiting(): boolean {
    return this.state === ReportState.SENDING;
  }

  private settle(version: number): void {
    this.source.confirmReport(version);
    this.enter(ReportState.IDLE, NEVER);
  }

  private delay(nowMs: number): void {
    this.source.retractReport();
    this.enter(ReportState.DELAYED, nowMs + this.backoff.next(BACKOFF_MS_MAX, 1000));
  }

  private enter(state: ReportState, deadlineMs: number): void {
    this.state = state;
    this.deadlineMs = deadlineMs;
  }
}
