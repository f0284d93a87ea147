// Ledger: what is in the store and what is on its way in or out, counted by priority.
// Neighbours: the journal has it written; the outbox asks it for messages and for room.
// Invariant: counts and bytes are what will be there once all that waits has been written; what
// was removed is not handed out again, even while its removal still waits.

import { assert } from "../kit/assert.ts";
import { keyOf, messageBytes, PRIORITIES, priorityOf, sequenceOf } from "../kit/key.ts";
import { EXPIRE_ROWS, PENDING_BYTES, PENDING_MESSAGES } from "../limits.ts";
import { type Message, type Store, StoreOutcome } from "./effects.ts";

/** What was removed to make room. */
export interface Removed {
  readonly count: number;
  readonly bytes: number;
}

const SCAN_ROWS = 64;

/** Messages of the store, seen from the outbox. */
export class Ledger {
  /** The last sequence given out, and the last that is durable. */
  last = 0;
  accepted = 0;
  /** Messages found changed in the store, and removed. */
  damaged = 0;
  /** Messages and bytes (`messageBytes`) by priority. */
  readonly counts = new Float64Array(PRIORITIES);
  readonly bytes = new Float64Array(PRIORITIES);
  /** Waiting to be written. */
  appended: Message[] = [];
  /** Waiting to be removed: keys and bytes. */
  readonly released = new Map<number, number>();
  private appendedBytes = 0;
  private expiredTo = 0;

  /** @param onBroken called when the store turns out to be damaged. */
  constructor(
    private readonly store: Store,
    private readonly onBroken: () => void,
  ) {}

  /** Takes over what the store holds after it was opened or rebuilt. */
  recount(): void {
    this.counts.fill(0);
    this.bytes.fill(0);
    this.expiredTo = 0;
    for (const { priority, count, bytes } of this.store.counts) this.tally(priority, count, bytes);
    for (const [key, bytes] of this.released) this.tally(priorityOf(key), -1, -bytes);
    for (const message of this.appended) this.tally(message.priority, 1, bytesOf(message));
  }

  get isEmpty(): boolean {
    return this.appended.length === 0 && this.released.size === 0;
  }

  /**
   * Takes a message over and numbers it; 0 when too much is on its way into the store.
   * @param priority 0 .. 9. @param expiresS Unix seconds; 0: never. @param bag ASCII.
   * @param body 0 .. 262,144 bytes, which nobody changes from here.
   */
  append(
    priority: number,
    acceptedS: number,
    expiresS: number,
    bag: string,
    body: Uint8Array,
  ): number {
    assert(priority >= 0 && priority < PRIORITIES, "a priority is one of ten");
    const bytes = messageBytes(bag.length, body.length);
    if (this.appended.length >= PENDING_MESSAGES) return 0;
    if (this.appendedBytes + bytes > PENDING_BYTES) return 0;
    const sequence = ++this.last;
    this.appended.push({ sequence, priority, acceptedS, expiresS, bag, body });
    this.appendedBytes += bytes;
    this.tally(priority, 1, bytes);
    return sequence;
  }

  /** An accepted message may be forgotten. Should that get lost, it is sent once more. */
  release(message: Message): void {
    this.remove(keyOf(message.priority, message.sequence), bytesOf(message));
  }

  /** All that waits was written: returns the messages among it. */
  written(): readonly Message[] {
    const { appended } = this;
    this.appended = [];
    this.appendedBytes = 0;
    this.released.clear();
    return appended;
  }

  /** Messages that waited, or were written, are not going to be in the store. */
  drop(messages: readonly Message[]): void {
    for (const message of messages) this.tally(message.priority, -1, -bytesOf(message));
    if (messages !== this.appended) return;
    this.appended = [];
    this.appendedBytes = 0;
  }

  /** Accepted messages of a priority after a sequence, in order, `limit` at most. */
  load(priority: number, afterSequence: number, limit: number): Message[] {
    const found: Message[] = [];
    let key = keyOf(priority, afterSequence);
    const keyMax = keyOf(priority, this.accepted);
    for (let rows = 1; rows > 0 && found.length < limit && key < keyMax; ) {
      rows = 0;
      const outcome = this.store.load(
        key,
        keyMax,
        limit - found.length,
        (message) => {
          rows++;
          key = keyOf(priority, message.sequence);
          if (!this.released.has(key)) found.push(message);
        },
        (entry) => {
          rows++;
          key = entry.key;
          if (this.remove(entry.key, entry.bytes)) this.damaged++;
        },
      );
      if (outcome === StoreOutcome.BROKEN) this.onBroken();
    }
    return found;
  }

  /** Removes the oldest or newest accepted messages after a sequence until `bytes` are free. */
  evict(priority: number, afterSequence: number, bytes: number, isNewestFirst: boolean): Removed {
    const removed = { count: 0, bytes: 0 };
    let above = keyOf(priority, afterSequence);
    let below = keyOf(priority, this.accepted) + 1;
    for (let rows = 1; rows > 0 && removed.bytes < bytes; ) {
      rows = 0;
      const outcome = this.store.scan(above, below, isNewestFirst, SCAN_ROWS, (entry) => {
        rows++;
        if (isNewestFirst) below = entry.key;
        else above = entry.key;
        if (removed.bytes >= bytes || !this.remove(entry.key, entry.bytes)) return;
        removed.count++;
        removed.bytes += entry.bytes;
      });
      if (outcome === StoreOutcome.BROKEN) this.onBroken();
    }
    return removed;
  }

  /**
   * Removes expired messages among the next {@link EXPIRE_ROWS}, and goes on from there the next
   * time. @param after by priority, the sequence up to which messages are out of reach.
   */
  expire(wallS: number, after: ArrayLike<number>): Removed {
    const removed = { count: 0, bytes: 0 };
    const below = keyOf(PRIORITIES, 0);
    let rows = 0;
    const outcome = this.store.scan(this.expiredTo, below, false, EXPIRE_ROWS, (entry) => {
      rows++;
      this.expiredTo = entry.key;
      if (entry.expiresS === 0 || entry.expiresS > wallS) return;
      const sequence = sequenceOf(entry.key);
      if (sequence <= (after[priorityOf(entry.key)] ?? 0) || sequence > this.accepted) return;
      if (!this.remove(entry.key, entry.bytes)) return;
      removed.count++;
      removed.bytes += entry.bytes;
    });
    if (rows < EXPIRE_ROWS) this.expiredTo = 0;
    if (outcome === StoreOutcome.BROKEN) this.onBroken();
    return removed;
  }

  private remove(key: number, bytes: number): boolean {
    if (this.released.has(key)) return false;
    this.released.set(key, bytes);
    this.tally(priorityOf(key), -1, -bytes);
    return true;
  }

  private tally(priority: number, count: number, bytes: number): void {
    this.counts[priority]! += count;
    this.bytes[priority]! += bytes;
  }
}

function bytesOf({ bag, body }: Message): number {
  return messageBytes(bag.length, body.length);
}
