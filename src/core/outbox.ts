// Outbox: from a message offered to its acknowledgement: what is accepted, what goes next, and
// what is given up when there is no room.
// Neighbours: producers offer; `journal` makes durable; `drain` picks the priority whose turn it
// is; `window` holds what is on its way to the hub; `session` sends from there.
// Invariant: what is not durable is never sent; an accepted message leaves by its PUBACK, or is
// counted under the reason for which it was given up; within a priority order is kept.

import { keyOf, messageBytes, PRIORITIES } from "../kit/key.ts";
import * as limits from "../limits.ts";
import type { Drain } from "./drain.ts";
import { type Effects, Level, type Message, type StoreOutcome } from "./effects.ts";
import { Hold } from "./hold.ts";
import { type Journal, type JournalEvents, JournalState } from "./journal.ts";
import { Pending } from "./pending.ts";
import { Fate, Tally } from "./tally.ts";
import { TOPIC_MAX, type Window } from "./window.ts";

/** Why a message was not accepted. */
export enum Refused {
  NO,
  FULL,
  TOO_LONG,
  /** The store takes nothing now. */
  STORE,
}

/** What gives way when the queue is full. */
export enum WhenFull {
  DROP_OLDEST,
  DROP_NEWEST,
  REFUSE,
}

/** How much the queue holds, and for how much longer. */
export interface Bounds {
  /** Of all messages together, as `messageBytes` reckons. */
  readonly bytesMax: number;
  /** Messages; 0: as many as fit. Priorities 0 and 1 are not held to it, as in Kura. */
  readonly countMax: number;
  readonly whenFull: WhenFull;
  /** Topic and body of one message together, and its body. */
  readonly messageBytesMax: number;
  readonly bodyBytesMax: number;
}

/** Priorities below this are not held to the bound in messages. */
const COUNTED_FROM = 2;
const NO_STORE =
  "no message is accepted until the store opens: make [agent] state-dir writable, with room, or " +
  "set [data] store.place = memory and restart";
const encoder = new TextEncoder();
const NEVER = Number.POSITIVE_INFINITY;

/** The queue of messages to the hub. */
export class Outbox implements JournalEvents {
  readonly tally = new Tally();
  /** When `fill` takes more although nothing else happens, in monotonic ms. */
  resumeMs = NEVER;
  private prefix: Uint8Array = new Uint8Array(0);
  private readonly hold: Hold;
  private readonly pending = new Pending();
  private readonly ready = new Uint8Array(PRIORITIES);
  private purgeMs = NEVER;
  /** Messages that the store has refused since it last took one. */
  private refusals = 0;
  /** Calendar less monotonic time, in s, and the last sequence whose age it cannot tell. */
  private offsetS = 0;
  private agelessTo = 0;
  /** Keys of messages that the hub has, whose removal may not be written yet. */
  private acknowledged: number[] = [];

  /** @param purgeIntervalMs between two looks for messages that have expired */
  constructor(
    private readonly effects: Effects,
    readonly journal: Journal,
    readonly drain: Drain,
    readonly window: Window,
    public bounds: Bounds,
    public purgeIntervalMs: number,
  ) {
    this.hold = new Hold(journal.ledger, this.tally);
  }

  /** Opens the store; before the loop turns. */
  open(nowMs: number, wallS: number): void {
    this.journal.open(nowMs, wallS);
    this.offsetS = wallS - nowMs / 1000;
    this.purgeMs = nowMs + this.purgeIntervalMs;
    const { count } = this;
    const isOne = count === 1;
    const text = `${isOne ? "1 message waits" : `${count} messages wait`} from an earlier run`;
    if (count > 0) this.effects.log(Level.NOTICE, text);
    if (this.journal.state === JournalState.LOST) this.effects.log(Level.ERROR, NO_STORE);
  }

  /** Writes and closes the store: what is not acknowledged waits there. */
  close(): void {
    this.journal.close();
  }

  /** Whose messages they are: the topic that every bag follows, "" while nobody knows. */
  identify(topic: string): void {
    const prefix = encoder.encode(topic);
    if (isSame(prefix, this.prefix)) return;
    this.prefix = prefix;
    this.window.clear((message) => this.hold.give(message));
  }

  /**
   * Takes a message over, or says why not. It is accepted when the store has it on disk.
   * @param priority 0, the most urgent, .. 9
   * @param ttlS seconds after which nobody wants it any more; 0: never
   * @param bag property bag, ASCII
   * @param body which nobody changes from here
   */
  offer(priority: number, ttlS: number, bag: string, body: Uint8Array, wallS: number): Refused {
    const { bodyBytesMax, whenFull } = this.bounds;
    const prefixLength = this.prefix.length || limits.TOPIC_BYTES_MAX;
    if (this.isTooLong(prefixLength, bag, body) || body.length > bodyBytesMax) {
      return this.refuse(priority, Refused.TOO_LONG, Fate.REFUSED_LONG);
    }
    const bytes = messageBytes(bag.length, body.length);
    if (!this.makeRoom(priority, bytes)) {
      const isTold = whenFull === WhenFull.REFUSE;
      return this.refuse(priority, Refused.FULL, isTold ? Fate.REFUSED_FULL : Fate.DROPPED_NEW);
    }
    const acceptedS = Math.floor(wallS);
    const isForEver = ttlS === 0 || wallS < limits.CALENDAR_S_MIN;
    const expiresS = isForEver ? 0 : acceptedS + ttlS;
    const sequence = this.journal.append(priority, acceptedS, expiresS, bag, body);
    if (sequence === 0) return this.refuse(priority, Refused.STORE, Fate.REFUSED_STORE);
    this.pending.add(sequence, priority, bytes);
    return Refused.NO;
  }

  onAccepted(sequence: number): void {
    this.pending.settle(sequence, (priority) => {
      this.tally.add(priority, Fate.ACCEPTED);
      this.hold.onAccepted(priority);
    });
    if (this.refusals === 0) return;
    const text = `messages are accepted again; ${this.refusals} were not`;
    this.effects.log(Level.NOTICE, text);
    this.refusals = 0;
  }

  onRefused(_first: number, last: number, _why: StoreOutcome, detail: string): void {
    // One line a trouble, not one a second.
    if (this.refusals === 0) this.effects.log(Level.ERROR, `messages are not accepted: ${detail}`);
    this.pending.settle(last, (priority) => {
      this.tally.add(priority, Fate.REFUSED_STORE);
      this.refusals++;
    });
  }

  onLine(line: string): void {
    this.effects.log(Level.WARNING, line);
  }

  /**
   * Moves what goes next into the window. Messages there, and those acknowledged that the store
   * still has, are `most` together: so many come twice after a power cut, and no more.
   */
  fill(most: number, nowMs: number, wallS: number): void {
    const { window, drain, hold, ready } = this;
    this.look(nowMs, wallS);
    this.resumeMs = NEVER;
    const limit = most - this.unwritten();
    for (let ended = 0; window.count < limit; ) {
      hold.look(ready);
      const priority = drain.next(ready, nowMs);
      if (priority < 0) {
        this.resumeMs = drain.nextMs(ready, nowMs);
        return;
      }
      const wanted = Math.min(limit - window.count, limits.LOAD_MESSAGES);
      const message = hold.first(priority, wanted);
      if (message === undefined) continue;
      const fate = this.fateOf(message, wallS);
      if (fate === Fate.ACCEPTED) {
        if (!window.stage(this.prefix, message)) return;
        hold.shift(priority);
        drain.onSent(priority, nowMs);
        continue;
      }
      hold.shift(priority);
      this.end(message, fate);
      // Others have their turn before more of them.
      if (++ended < limits.EXPIRE_MET_MAX) continue;
      this.resumeMs = nowMs;
      return;
    }
  }

  /** Nothing is sent until the next `fill`. */
  pause(): void {
    this.resumeMs = NEVER;
  }

  /** The hub has the message sent under `identifier`; false when nothing in flight has that. */
  release(identifier: number): boolean {
    const message = this.window.release(identifier);
    if (message === undefined) return false;
    this.end(message, Fate.ACKNOWLEDGED);
    this.acknowledged.push(keyOf(message.priority, message.sequence));
    return true;
  }

  /** Gives up what was in flight on an earlier connection: the hub may have it, or not. */
  forget(): void {
    this.window.clear((message, wasSent) => {
      if (wasSent) this.end(message, Fate.UNCONFIRMED);
      else this.hold.give(message);
    });
  }

  /** When something is due here, in monotonic ms. */
  get deadlineMs(): number {
    return Math.min(this.journal.deadlineMs, this.isEmpty ? NEVER : this.purgeMs);
  }

  /** Time has come to {@link deadlineMs}. */
  onDeadline(nowMs: number, wallS: number): void {
    const { journal } = this;
    this.look(nowMs, wallS);
    if (nowMs >= journal.deadlineMs) {
      const before = journal.state;
      journal.onDeadline(nowMs, wallS);
      const wasAway = before === JournalState.BROKEN || before === JournalState.LOST;
      if (wasAway && !this.isAway) {
        this.hold.recheck(this.window.open);
        this.effects.log(Level.NOTICE, "the store takes messages again");
      }
    }
    if (nowMs < this.purgeMs) return;
    this.purgeMs = nowMs + this.purgeIntervalMs;
    this.purge(wallS);
  }

  /** Removes what has expired, some of it each time. */
  private purge(wallS: number): void {
    const { ledger } = this.journal;
    const before = ledger.counts.slice();
    ledger.expire(
      wallS,
      this.hold.taken.map((taken) => Math.max(taken, this.agelessTo)),
    );
    ledger.counts.forEach((count, priority) => {
      this.tally.add(priority, Fate.EXPIRED, before[priority]! - count);
    });
  }

  /** Of one priority: messages that the hub has not acknowledged, accepted or about to be. */
  countOf(priority: number): number {
    return this.journal.ledger.counts[priority]! + this.hold.ghostCounts[priority]!;
  }

  /** The same of all priorities. */
  get count(): number {
    let count = 0;
    for (let priority = 0; priority < PRIORITIES; priority++) count += this.countOf(priority);
    return count;
  }

  /** The same, not on their way to the hub. */
  get waiting(): number {
    return this.count - this.window.inFlight;
  }

  /** What they need, as `messageBytes` reckons. */
  get bytes(): number {
    let bytes = 0;
    for (const each of this.journal.ledger.bytes) bytes += each;
    return bytes;
  }

  get isEmpty(): boolean {
    return this.count === 0;
  }

  /** Acknowledged messages that the store still has; a store that takes nothing holds up nobody. */
  private unwritten(): number {
    if (this.acknowledged.length === 0) return 0;
    const { released } = this.journal.ledger;
    this.acknowledged = this.acknowledged.filter((key) => released.has(key));
    return this.isAway || this.journal.state === JournalState.BLOCKED
      ? 0
      : this.acknowledged.length;
  }

  private get isAway(): boolean {
    const { state } = this.journal;
    return state === JournalState.BROKEN || state === JournalState.LOST;
  }

  private isTooLong(prefixLength: number, bag: string, body: Uint8Array): boolean {
    const topicLength = prefixLength + bag.length;
    return topicLength > TOPIC_MAX || topicLength + body.length > this.bounds.messageBytesMax;
  }

  /**
   * Looks at the calendar. When it has jumped, nobody can tell the age of what was made before,
   * and that is kept; but out of a calendar that was never set, nothing was given an end.
   */
  private look(nowMs: number, wallS: number): void {
    const offsetS = wallS - nowMs / 1000;
    const isJump = Math.abs(offsetS - this.offsetS) > limits.CLOCK_JUMP_S;
    const wasSet = this.offsetS + nowMs / 1000 >= limits.CALENDAR_S_MIN;
    if (isJump && wasSet) this.agelessTo = this.journal.ledger.last;
    this.offsetS = offsetS;
  }

  /** What becomes of a message that is the next to be sent; ACCEPTED: it is sent. */
  private fateOf({ bag, body, sequence, expiresS }: Message, wallS: number): Fate {
    const isOver = expiresS !== 0 && expiresS <= wallS && sequence > this.agelessTo;
    if (isOver) return Fate.EXPIRED;
    return this.isTooLong(this.prefix.length, bag, body) ? Fate.OUTGROWN : Fate.ACCEPTED;
  }

  /** True when one message more fits, if need be in the place of others. */
  private makeRoom(priority: number, bytes: number): boolean {
    const { bytesMax, countMax, whenFull } = this.bounds;
    const isCounted = countMax > 0 && priority >= COUNTED_FROM;
    const overBytes = this.bytes + bytes - bytesMax;
    const overCount = isCounted ? this.count + 1 - countMax : 0;
    if (overBytes <= 0 && overCount <= 0) return true;
    if (whenFull !== WhenFull.DROP_OLDEST) return false;
    // Nothing is dropped for a message that does not fit all the same.
    if (!this.canDrop(priority, overBytes, overCount)) return false;
    return this.drop(priority, overBytes, overCount);
  }

  /** Whether messages as urgent as `priority`, or less, that nobody holds make up for it. */
  private canDrop(priority: number, overBytes: number, overCount: number): boolean {
    const { hold, pending, journal } = this;
    const { counts, bytes } = journal.ledger;
    let [freeBytes, freeCount] = [0, 0];
    for (let at = priority; at < PRIORITIES; at++) {
      freeBytes += bytes[at]! - hold.bytes[at]! - pending.bytes[at]!;
      freeCount += counts[at]! - hold.counts[at]! - pending.counts[at]!;
    }
    return freeBytes >= overBytes && freeCount >= overCount;
  }

  /** Drops the oldest of the least urgent, then of the next. */
  private drop(priority: number, overBytes: number, overCount: number): boolean {
    const { ledger } = this.journal;
    let [bytesLeft, countLeft] = [overBytes, overCount];
    for (let lowest = PRIORITIES - 1; lowest >= priority; ) {
      const wanted = Math.max(bytesLeft, countLeft * messageBytes(0, 0));
      if (wanted <= 0) break;
      const { bytes, count } = ledger.evict(lowest, this.hold.taken[lowest]!, wanted, false);
      this.tally.add(lowest, Fate.EVICTED, count);
      bytesLeft -= bytes;
      countLeft -= count;
      if (count === 0) lowest--;
    }
    return bytesLeft <= 0 && countLeft <= 0;
  }

  /** A held message leaves the store for good. */
  private end(message: Message, fate: Fate): void {
    this.tally.add(message.priority, fate);
    this.hold.end(message);
  }

  private refuse(priority: number, why: Refused, fate: Fate): Refused {
    this.tally.add(priority, fate);
    return why;
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}
