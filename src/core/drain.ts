// Drain: whose turn it is when messages of several priorities wait.
// Neighbours: `session` asks while its window has room; `throttle` and `bucket` say when.
// Invariant: the most urgent goes first, but while others wait, at least their share of the sends
// is theirs, the longest unserved first: nobody starves. Within a priority no order is changed.

import { BACKLOG_SHARE_DEFAULT, LIMITED_PRIORITY_MIN, PRIORITIES } from "../limits.ts";
import { Bucket, type LimitSettings } from "./bucket.ts";
import { Throttle } from "./throttle.ts";

/** How the queue is emptied. */
export interface DrainSettings {
  /** backlog-share: percent of the sends for less urgent messages that wait, 1 .. 50. */
  readonly sharePercent: number;
  /** The rate limit for priorities from 5 on; null: none. */
  readonly limit: LimitSettings | null;
}

const NEVER = Number.POSITIVE_INFINITY;
const WHOLE = 100;

/** Chooses the priority of the next message. */
export class Drain {
  readonly throttle = new Throttle();
  private sharePercent = BACKLOG_SHARE_DEFAULT;
  private bucket: Bucket | null = null;
  /** What the less urgent are owed, in percent of a send. */
  private owed = 0;
  /** Number of the send that each priority last had, and of the last of all. */
  private readonly served: number[] = new Array(PRIORITIES).fill(0);
  private sends = 0;
  /** Of the last choice: the most urgent that could be sent, and whether others waited. */
  private first = -1;
  private isContended = false;

  constructor(settings: DrainSettings) {
    this.configure(settings);
  }

  configure({ sharePercent, limit }: DrainSettings): void {
    this.sharePercent = sharePercent;
    if (limit === null) this.bucket = null;
    else if (this.bucket === null) this.bucket = new Bucket(limit);
    else this.bucket.configure(limit);
  }

  /**
   * The priority whose oldest message is the next to be sent, or -1: none now. Changes nothing
   * until {@link onSent}, so that it may be asked again.
   * @param waiting messages that are not sent yet, by priority 0 .. 9
   */
  next(waiting: ArrayLike<number>, nowMs: number): number {
    if (nowMs < this.throttle.nextMs) return -1;
    const end = this.isLimited(nowMs) ? LIMITED_PRIORITY_MIN : PRIORITIES;
    this.first = after(-1, end, waiting);
    this.isContended = this.first >= 0 && after(this.first, end, waiting) >= 0;
    if (!this.isContended || this.owed + this.sharePercent < WHOLE) return this.first;
    return this.longest(end, waiting);
  }

  /** The message that {@link next} chose was sent. */
  onSent(priority: number, nowMs: number): void {
    this.throttle.onSent(nowMs);
    if (this.bucket !== null && priority >= LIMITED_PRIORITY_MIN) this.bucket.take(nowMs);
    this.served[priority] = ++this.sends;
    if (!this.isContended) return;
    this.owed += this.sharePercent;
    if (priority !== this.first) this.owed -= WHOLE;
    // Who was served as the most urgent in their turn leaves them that turn, and no second one.
    else this.owed = Math.min(this.owed, WHOLE);
  }

  /** When to ask again, after `next` said -1 though messages wait; Infinity: when one comes. */
  nextMs(waiting: ArrayLike<number>, nowMs: number): number {
    if (after(-1, PRIORITIES, waiting) < 0) return NEVER;
    if (nowMs < this.throttle.nextMs) return this.throttle.nextMs;
    const isFree = after(-1, LIMITED_PRIORITY_MIN, waiting) >= 0;
    return isFree || this.bucket === null ? nowMs : Math.max(nowMs, this.bucket.nextMs);
  }

  /** Who has not been served for the longest, the most urgent included. */
  private longest(end: number, waiting: ArrayLike<number>): number {
    let found = this.first;
    for (let at = found + 1; at < end; at++) {
      if (waiting[at]! > 0 && this.served[at]! < this.served[found]!) found = at;
    }
    return found;
  }

  private isLimited(nowMs: number): boolean {
    return this.bucket !== null && nowMs < this.bucket.nextMs;
  }
}

/** The first priority behind `priority` and before `end` that has a message waiting, or -1. */
function after(priority: number, end: number, waiting: ArrayLike<number>): number {
  for (let at = priority + 1; at < end; at++) if (waiting[at]! > 0) return at;
  return -1;
}
