// Tally: what became of messages, counted by priority and cause.
// Neighbours: `outbox` counts, `status` and `metrics` show.
// Invariant: each message offered is counted once under what first became of it: accepted, or a
// cause for which it was not; each accepted one once more under what it ended by.

import { PRIORITIES } from "../kit/key.ts";

/** What can become of a message. */
export enum Fate {
  /** Durable here. */
  ACCEPTED,
  /** The hub has it. */
  ACKNOWLEDGED,
  // not accepted
  /** The queue is full, and the policy lets the producer know. */
  REFUSED_FULL,
  /** The queue is full, and the policy gives up the new message. */
  DROPPED_NEW,
  /** More than the hub takes. */
  REFUSED_LONG,
  /** The store did not take it: a full or failing disk, or too much at once. */
  REFUSED_STORE,
  // accepted, and given up
  /** Made room for others. */
  EVICTED,
  /** Its time to live was over. */
  EXPIRED,
  /** Found changed in the store. */
  DAMAGED,
  /** In flight when the hub began a new session, and not to be sent twice. */
  UNCONFIRMED,
  /** Too long for the hub, since another identity made the topic longer. */
  OUTGROWN,
}

/** What became of messages that were not accepted. */
export const REFUSED: readonly Fate[] = [
  Fate.REFUSED_FULL,
  Fate.DROPPED_NEW,
  Fate.REFUSED_LONG,
  Fate.REFUSED_STORE,
];
/** What became of accepted messages that the hub has not acknowledged. */
export const DROPPED: readonly Fate[] = [
  Fate.EVICTED,
  Fate.EXPIRED,
  Fate.DAMAGED,
  Fate.UNCONFIRMED,
  Fate.OUTGROWN,
];

const FATES = Object.keys(Fate).length / 2;

/** Counters by priority (0 .. 9) and fate. */
export class Tally {
  private readonly counts = new Float64Array(PRIORITIES * FATES);

  add(priority: number, fate: Fate, count = 1): void {
    this.counts[priority * FATES + fate]! += count;
  }

  of(priority: number, fate: Fate): number {
    return this.counts[priority * FATES + fate]!;
  }

  /** Over all priorities and these fates. */
  sum(...fates: readonly Fate[]): number {
    let sum = 0;
    for (const fate of fates) {
      for (let priority = 0; priority < PRIORITIES; priority++) sum += this.of(priority, fate);
    }
    return sum;
  }
}
