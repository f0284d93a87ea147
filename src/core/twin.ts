// Twin: keeps our view of the desired properties in step with the hub's, by `$version`.
// Neighbours: `traffic` hands it answers and pushes; `lamps` takes what is desired.
// Invariant: on one connection pushes are applied in ascending order and never twice; while a GET
// is under way they only raise the version that its answer must have reached. What an earlier
// connection knew counts for nothing: a device made anew at the hub starts again at version 1.

// state   | onReady      | answer 200    | answer older | answer other | deadline
// OFF     | GET, GETTING | stray         | stray        | stray        | -
// GETTING | broken       | apply, SYNCED | GET          | DELAYED      | GET
// SYNCED  | broken       | stray         | stray        | stray        | -
// DELAYED | broken       | stray         | stray        | stray        | GET, GETTING
//
// state   | push next | push gap     | push known | refresh      | onDown
// OFF     | stray     | stray        | stray      | -            | -
// GETTING | (noted)   | (noted)      | stale      | -            | OFF
// SYNCED  | apply     | GET, GETTING | stale      | GET, GETTING | OFF
// DELAYED | (noted)   | (noted)      | stale      | -            | OFF
// "broken" is an assertion. The third deadline in a row without an answer is TWIN_TIMEOUT; the
// second and third older answer lead to DELAYED, the fourth is taken for what it is.

import { twinGetTopic } from "../codec/topic.ts";
import type { Writer } from "../codec/writer.ts";
import { assert, unreachable } from "../kit/assert.ts";
import { BACKOFF_MS_MAX, TWIN_ANSWER_MS, TWIN_TRIES } from "../limits.ts";
import type { Backoff } from "./backoff.ts";
import type { Counters } from "./counters.ts";
import { Cause, type Effects, Level } from "./effects.ts";
import type { Rids } from "./rids.ts";

export enum TwinState {
  OFF,
  GETTING,
  SYNCED,
  DELAYED,
}

/** A JSON object as the twin has it. */
export type Properties = { readonly [key: string]: unknown };

/** Who acts on desired properties. */
export interface DesiredSink {
  /**
   * The whole desired document: a key that is absent is not desired (any more).
   * `reported` is what the hub holds of our reports.
   */
  onDesired(document: Properties, reported: Properties, version: number): void;
  /** A change: keys that are absent stay as they were, null removes. */
  onDesiredPatch(patch: Properties, version: number): void;
}

const NEVER = Number.POSITIVE_INFINITY;
const decoder = new TextDecoder("utf-8", { fatal: true });

/** The JSON object in bytes[start..end), or undefined when there is none. */
export function objectIn(bytes: Uint8Array, start: number, end: number): Properties | undefined {
  try {
    const value: unknown = JSON.parse(decoder.decode(bytes.subarray(start, end)));
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? (value as Properties) : undefined;
  } catch {
    return undefined;
  }
}

/** `$version` of desired or reported properties, -1 when they have none. */
export function versionOf(properties: Properties | undefined): number {
  const version = properties?.$version;
  return typeof version === "number" && Number.isInteger(version) && version >= 0 ? version : -1;
}

/** The desired half of the device twin. */
export class Twin {
  state = TwinState.OFF;
  deadlineMs = NEVER;
  /** `$version` of what has been applied on this connection; -1 before its first document. */
  version = -1;
  private rid = -1;
  private tries = 0;
  private pushed = -1;
  private overtaken = 0;

  constructor(
    private readonly effects: Effects,
    private readonly writer: Writer,
    private readonly counters: Counters,
    private readonly rids: Rids,
    private readonly backoff: Backoff,
    private readonly sink: DesiredSink,
  ) {}

  /** The subscriptions stand: ask for the whole document. */
  onReady(nowMs: number): void {
    assert(this.state === TwinState.OFF, "a twin gets ready once a connection");
    this.version = -1;
    this.pushed = -1;
    this.overtaken = 0;
    this.tries = 0;
    this.backoff.reset();
    this.get(nowMs);
  }

  /** Somebody new acts on desired properties and has seen none of them: get them all again. */
  refresh(nowMs: number): void {
    if (this.state === TwinState.SYNCED) this.get(nowMs);
  }

  onDown(): void {
    this.rid = -1;
    this.enter(TwinState.OFF, NEVER);
  }

  /** True when the answer with this request number is for us. */
  isMine(rid: number): boolean {
    return rid >= 0 && rid === this.rid;
  }

  /** The hub answered our GET; the document stands in bytes[start..end). */
  onAnswer(status: number, bytes: Uint8Array, start: number, end: number, nowMs: number): void {
    if (this.state !== TwinState.GETTING) {
      this.counters.stray++;
      return;
    }
    this.rid = -1;
    this.tries = 0;
    if (status !== 200) {
      this.delay(`the hub answered the twin request with status ${status}`, nowMs);
      return;
    }
    const document = objectIn(bytes, start, end);
    const desired = document?.desired as Properties | undefined;
    const version = versionOf(desired);
    if (desired === undefined || version < 0) {
      this.delay("the hub sent a twin document without desired properties", nowMs);
      return;
    }
    if (version < this.pushed && this.overtaken < TWIN_TRIES) {
      this.onOvertaken(nowMs);
      return;
    }
    this.overtaken = 0;
    this.backoff.reset();
    this.apply(version);
    this.enter(TwinState.SYNCED, NEVER);
    this.sink.onDesired(desired, (document?.reported ?? {}) as Properties, version);
  }

  /** The hub pushed a change of desired properties; `version` from the topic, -1 without one. */
  onPush(version: number, bytes: Uint8Array, start: number, end: number, nowMs: number): void {
    if (this.state === TwinState.OFF) {
      this.counters.stray++;
      return;
    }
    const patch = objectIn(bytes, start, end);
    const known = version < 0 ? versionOf(patch) : version;
    if (known >= 0 && known <= this.version) {
      this.counters.desiredStale++;
      return;
    }
    this.pushed = Math.max(this.pushed, known);
    if (this.state !== TwinState.SYNCED) return;
    if (patch === undefined || known !== this.version + 1) {
      this.counters.desiredGaps++;
      this.get(nowMs);
      return;
    }
    this.apply(known);
    this.sink.onDesiredPatch(patch, known);
  }

  onDeadline(nowMs: number): Cause {
    if (nowMs < this.deadlineMs) return Cause.NONE;
    switch (this.state) {
      case TwinState.OFF:
      case TwinState.SYNCED:
        return Cause.NONE;
      case TwinState.GETTING:
        this.tries++;
        if (this.tries >= TWIN_TRIES) return Cause.TWIN_TIMEOUT;
        this.get(nowMs);
        return Cause.NONE;
      case TwinState.DELAYED:
        this.get(nowMs);
        return Cause.NONE;
      default:
        return unreachable(this.state);
    }
  }

  /** True while a request waits for its answer. */
  get isWaiting(): boolean {
    return this.state === TwinState.GETTING;
  }

  // What the document says is already history. A second one as old comes from a hub that has not
  // caught up with itself: asking on without a pause would only keep it busy.
  private onOvertaken(nowMs: number): void {
    this.overtaken++;
    if (this.overtaken === 1) this.get(nowMs);
    else this.delay("the twin document is older than a change that the hub has pushed", nowMs);
  }

  private apply(version: number): void {
    this.version = version;
    this.pushed = version;
    this.counters.desired++;
  }

  private get(nowMs: number): void {
    this.rid = this.rids.next();
    // A transmit buffer without room counts as a lost request: the deadline asks again.
    this.writer.publishText(twinGetTopic(this.rid), "", 0, 0);
    this.enter(TwinState.GETTING, nowMs + TWIN_ANSWER_MS);
  }

  private delay(why: string, nowMs: number): void {
    this.effects.log(Level.WARNING, why);
    this.enter(TwinState.DELAYED, nowMs + this.backoff.next(BACKOFF_MS_MAX, 1000));
  }

  private enter(state: TwinState, deadlineMs: number): void {
    this.state = state;
    this.deadlineMs = deadlineMs;
  }
}
