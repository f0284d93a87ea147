// Journal: which step of the store comes when, so that accepted means durable and nobody waits.
// Neighbours: the outbox appends and releases, and hears what was accepted; the store port does
// the steps; the turn calls `commit` after every step and `onDeadline` at `deadlineMs`.
// Invariant: one sync is in the air at a time; what comes meanwhile is written as one transaction
// when it has returned, so nothing is accepted later, and a page is written once instead of often.

// state    | commit               | synced                | failed          | broken
// CLOSED   | -                    | -                     | -               | -
// RESTING  | write, sync, SYNCING | -                     | -               | BROKEN
// BLOCKED  | -                    | -                     | -               | BROKEN
// SYNCING  | -                    | accepted, RESTING     | refused, BROKEN | refused, BROKEN
// FILLING  | -                    | empty, sync, EMPTYING | BROKEN          | BROKEN
// EMPTYING | -                    | RESTING               | BROKEN          | BROKEN
// BROKEN   | -                    | -                     | -               | -
// LOST     | -                    | -                     | -               | -
//
// state    | deadline             | close
// CLOSED   | -                    | -
// RESTING  | -                    | end, CLOSED
// BLOCKED  | write, sync, SYNCING | end, accepted, CLOSED
// SYNCING  | -                    | end, accepted, CLOSED
// FILLING  | -                    | end, CLOSED
// EMPTYING | -                    | end, CLOSED
// BROKEN   | rebuild, RESTING     | end, CLOSED
// LOST     | open, RESTING        | end, CLOSED
// Where the table says RESTING, what waits is written at once: write, sync, SYNCING; before that a
// long journal is copied: fill, sync, FILLING. A write that meets another program goes BLOCKED, one
// that the disk refuses too, with `refused`; a rebuild that fails refuses what waits and is LOST.
// After a sync has failed, what it was for can be on the disk or not, and a second sync would not
// tell (fsync(2), Linux): so only a new database, durable by syncs of its own, is trusted.

import { assert, unreachable } from "../kit/assert.ts";
import * as limits from "../limits.ts";
import { type Message, type Store, StoreOutcome } from "./effects.ts";
import { Ledger } from "./ledger.ts";

export enum JournalState {
  CLOSED,
  RESTING,
  BLOCKED,
  SYNCING,
  FILLING,
  EMPTYING,
  BROKEN,
  LOST,
}

/** What the journal tells the outbox. */
export interface JournalEvents {
  /** Every message up to this sequence that was not refused is accepted: it is durable. */
  onAccepted(sequence: number): void;
  /** Messages from `first` to `last` are not in the store, and not going to be. */
  onRefused(first: number, last: number, why: StoreOutcome, detail: string): void;
  /** One line for the log. */
  onLine(line: string): void;
}

/** Messages between the outbox and the store. */
export class Journal {
  state = JournalState.CLOSED;
  /** When `onDeadline` is due (monotonic ms); Infinity: never. */
  deadlineMs = Number.POSITIVE_INFINITY;
  /** Answers that came when none was expected. */
  stray = 0;
  /** Number of openings so far; with the sequence it names a message among all of a device. */
  boot = 0;
  readonly ledger: Ledger;
  /** Written, and in the sync that is in the air. */
  private flying: readonly Message[] = [];
  private fillAfterMs = 0;
  private rebuildAfterMs = 0;
  private rebuildWaitMs = limits.STORE_REBUILD_MS_MIN;

  /** @param journalBytesFill size from which on the store's journal is emptied. */
  constructor(
    private readonly store: Store,
    private readonly events: JournalEvents,
    private readonly journalBytesFill = limits.JOURNAL_BYTES_FILL,
  ) {
    this.ledger = new Ledger(store, () => this.onBroken());
  }

  /** Opens the store; without one the journal is LOST, and tries again. */
  open(nowMs: number, wallS: number): void {
    assert(this.state === JournalState.CLOSED, "a journal is opened once");
    this.reopen(nowMs, wallS);
  }

  /** Why the store does not do what it should; "" while it does. */
  get trouble(): string {
    const { BLOCKED, BROKEN, LOST } = JournalState;
    return [BLOCKED, BROKEN, LOST].includes(this.state) ? this.store.detail : "";
  }

  /** As `Ledger.append`, with 0 as well while there is no store. */
  append(
    priority: number,
    acceptedS: number,
    expiresS: number,
    bag: string,
    body: Uint8Array,
  ): number {
    const isShut = this.state === JournalState.LOST || this.state === JournalState.CLOSED;
    return isShut ? 0 : this.ledger.append(priority, acceptedS, expiresS, bag, body);
  }

  /** Writes what has come since the last time, as soon as nothing is in the air. */
  commit(nowMs: number): void {
    if (this.state === JournalState.RESTING) this.go(nowMs);
  }

  /** A small text that outlives restarts; "" when there is none. */
  get(name: string): string {
    return this.store.get(name);
  }

  /** Keeps one, durably, waiting for the disk; false when that cannot be done now. */
  put(name: string, value: string): boolean {
    return this.store.put(name, value) === StoreOutcome.DONE;
  }

  /** The answer to a sync; `detail` is "" or says what went wrong. */
  onSynced(nowMs: number, detail: string): void {
    switch (this.state) {
      case JournalState.SYNCING:
        if (detail !== "") return this.onBroken();
        this.onLanded();
        return this.go(nowMs);
      case JournalState.FILLING:
        if (detail !== "") return this.onBroken();
        return this.empty(nowMs);
      case JournalState.EMPTYING:
        if (detail !== "") return this.onBroken();
        return this.go(nowMs);
      case JournalState.CLOSED:
      case JournalState.RESTING:
      case JournalState.BLOCKED:
      case JournalState.BROKEN:
      case JournalState.LOST:
        this.stray++;
        return;
      default:
        unreachable(this.state);
    }
  }

  /** The time of `deadlineMs` has come. */
  onDeadline(nowMs: number, wallS: number): void {
    switch (this.state) {
      case JournalState.BLOCKED:
        return this.go(nowMs);
      case JournalState.BROKEN:
        return this.rebuild(nowMs, wallS);
      case JournalState.LOST:
        return this.reopen(nowMs, wallS);
      case JournalState.CLOSED:
      case JournalState.RESTING:
      case JournalState.SYNCING:
      case JournalState.FILLING:
      case JournalState.EMPTYING:
        return;
      default:
        unreachable(this.state);
    }
  }

  /** Writes and syncs what there is, and waits for it. */
  close(): void {
    if (this.state === JournalState.CLOSED) return;
    const { appended, released } = this.ledger;
    const problem = this.store.close(appended, released.keys());
    this.enter(JournalState.CLOSED, Number.POSITIVE_INFINITY);
    if (problem !== "") this.events.onLine(problem);
    if (problem !== "") this.refuse(StoreOutcome.REFUSED, problem);
    this.flying = [...this.flying, ...this.ledger.written()];
    this.onLanded();
  }

  private enter(state: JournalState, deadlineMs: number): void {
    this.state = state;
    this.deadlineMs = deadlineMs;
  }

  /** Nothing is in the air: on with what is due, or to rest. */
  private go(nowMs: number): void {
    const isLong = this.store.journalBytes >= this.journalBytesFill;
    if (isLong && nowMs >= this.fillAfterMs && this.fill(nowMs)) return;
    if (this.ledger.isEmpty) this.enter(JournalState.RESTING, Number.POSITIVE_INFINITY);
    else this.write(nowMs);
  }

  private write(nowMs: number): void {
    const { store, ledger } = this;
    const isTooLong = store.journalBytes >= limits.JOURNAL_BYTES_MAX;
    const outcome = isTooLong
      ? StoreOutcome.REFUSED
      : store.write(ledger.appended, ledger.released.keys());
    switch (outcome) {
      case StoreOutcome.DONE:
        this.flying = ledger.written();
        store.sync();
        return this.enter(JournalState.SYNCING, Number.POSITIVE_INFINITY);
      case StoreOutcome.BUSY:
        return this.enter(JournalState.BLOCKED, nowMs + limits.STORE_BUSY_MS);
      case StoreOutcome.REFUSED: {
        this.refuse(StoreOutcome.REFUSED, store.detail);
        // Emptying the journal frees space on a full disk; but not over and over.
        const isDue = nowMs >= this.fillAfterMs && store.journalBytes > 0;
        if (isDue && this.fill(nowMs)) {
          this.fillAfterMs = nowMs + limits.STORE_FILL_MS;
          return;
        }
        return this.enter(JournalState.BLOCKED, nowMs + limits.STORE_REFUSED_MS);
      }
      case StoreOutcome.BROKEN:
        return this.onBroken();
      default:
        unreachable(outcome);
    }
  }

  /** True when the journal is being copied, or cannot go on at all. */
  private fill(nowMs: number): boolean {
    const outcome = this.store.fill();
    if (outcome === StoreOutcome.BROKEN) this.onBroken();
    if (outcome !== StoreOutcome.DONE) {
      this.fillAfterMs = nowMs + limits.STORE_FILL_MS;
      return outcome === StoreOutcome.BROKEN;
    }
    this.store.syncFilled();
    this.enter(JournalState.FILLING, Number.POSITIVE_INFINITY);
    return true;
  }

  private empty(nowMs: number): void {
    const outcome = this.store.empty();
    if (outcome === StoreOutcome.BROKEN) return this.onBroken();
    if (outcome !== StoreOutcome.DONE) {
      this.fillAfterMs = nowMs + limits.STORE_FILL_MS;
      return this.go(nowMs);
    }
    this.store.syncEmptied();
    this.enter(JournalState.EMPTYING, Number.POSITIVE_INFINITY);
  }

  private onLanded(): void {
    const last = this.flying.at(-1);
    this.flying = [];
    if (last === undefined) return;
    this.ledger.accepted = last.sequence;
    this.events.onAccepted(last.sequence);
  }

  /** The database cannot be relied on; what was not accepted yet is not going to be. */
  private onBroken(): void {
    const { CLOSED, BROKEN, LOST } = JournalState;
    if ([CLOSED, BROKEN, LOST].includes(this.state)) return;
    this.refuseFlying(StoreOutcome.BROKEN, this.store.detail);
    this.enter(BROKEN, 0);
  }

  private rebuild(nowMs: number, wallS: number): void {
    // Broken again so soon: making one database after another helps nobody.
    if (nowMs < this.rebuildAfterMs) return this.lose(nowMs);
    this.rebuildAfterMs = nowMs + limits.STORE_REBUILD_MS_MIN;
    const { isOpen, line } = this.store.rebuild(wallS, this.ledger.accepted);
    this.events.onLine(line);
    if (!isOpen) return this.lose(nowMs);
    this.ledger.recount();
    this.go(nowMs);
  }

  private reopen(nowMs: number, wallS: number): void {
    const { ledger, store } = this;
    const { isOpen, line } = store.open(wallS);
    if (line !== "") this.events.onLine(line);
    if (!isOpen) return this.lose(nowMs);
    this.boot ||= store.boot;
    this.rebuildWaitMs = limits.STORE_REBUILD_MS_MIN;
    ledger.last = Math.max(ledger.last, store.lastSequence);
    // All that an opening finds is durable.
    ledger.accepted = ledger.last;
    ledger.recount();
    this.go(nowMs);
  }

  private lose(nowMs: number): void {
    this.refuse(StoreOutcome.BROKEN, this.store.detail);
    this.enter(JournalState.LOST, nowMs + this.rebuildWaitMs);
    this.rebuildWaitMs = Math.min(2 * this.rebuildWaitMs, limits.STORE_REBUILD_MS_MAX);
  }

  /** Nothing that is not accepted is going to be. */
  private refuse(why: StoreOutcome, detail: string): void {
    this.refuseFlying(why, detail);
    const { appended } = this.ledger;
    this.ledger.drop(appended);
    this.tellRefused(appended, why, detail);
  }

  private refuseFlying(why: StoreOutcome, detail: string): void {
    const { flying } = this;
    this.flying = [];
    this.ledger.drop(flying);
    this.tellRefused(flying, why, detail);
  }

  private tellRefused(messages: readonly Message[], why: StoreOutcome, detail: string): void {
    const [first, last] = [messages[0], messages.at(-1)];
    if (first === undefined || last === undefined) return;
    this.events.onRefused(first.sequence, last.sequence, why, detail);
  }
}
