// Store: the shape of the durable store, in the words of both sides.
// Neighbours: `core/effects` shows it to the rooms; core/journal orders its steps; port/store is
// the real one, and a simulated disk may be another.
// Invariant: types and values, no behaviour; no step but `open`, `rebuild`, `put` and `close`
// waits for a disk.

import type { Message } from "./row.ts";

/** How a step of the store went; `detail` has the words. */
export enum StoreOutcome {
  DONE,
  /** Another program holds the database for the moment; nothing was changed. */
  BUSY,
  /** No space, a read-only or failing disk: nothing was changed, and a later try may succeed. */
  REFUSED,
  /** The database is damaged, or not ours any more: `rebuild` is what helps. */
  BROKEN,
}

/** What `open` and `rebuild` have to say. */
export interface StoreOpened {
  readonly isOpen: boolean;
  /** One line for the log; "" when there is nothing to say. */
  readonly line: string;
}

/** How much of one priority is in the store. */
export interface StoreCount {
  readonly priority: number;
  readonly count: number;
  /** As `messageBytes` reckons. */
  readonly bytes: number;
}

/** A message in a list of what to remove. */
export interface StoreEntry {
  /** Priority and sequence as one number (`kit/key`). */
  readonly key: number;
  readonly bytes: number;
  readonly expiresS: number;
}

/** What the store tells the turn; never from inside a call into the port. */
export interface StoreEvents {
  /** The answer to a `sync…`; "" or one line that says what went wrong. */
  onStoreSynced(detail: string): void;
}

/** The durable store, in steps that never wait for the disk; `core/journal` orders them. */
export interface Store {
  /** One line about the last outcome that was not DONE. */
  readonly detail: string;
  /** Times that a database of ours was opened, this time included; rises over a new one too. */
  readonly boot: number;
  /** Highest sequence that a message may have got before this opening. */
  readonly lastSequence: number;
  /** Bytes of what was written since the journal was last emptied. */
  readonly journalBytes: number;
  /** Opens or creates; may take as long as it takes, for the loop does not turn yet. */
  open(wallS: number): StoreOpened;
  /** Copies what is sound, up to this sequence, to a fresh database; the old one is kept. */
  rebuild(wallS: number, sequenceMax: number): StoreOpened;
  /** Writes and removes in one transaction, all or nothing; not durable before a `sync`. */
  write(appended: readonly Message[], releasedKeys: Iterable<number>): StoreOutcome;
  /** Starts to make durable what was written. */
  sync(): void;
  /** Copies the journal into the database; `sync`s nothing, but nobody else may write from here. */
  fill(): StoreOutcome;
  /** Starts to make the database durable. */
  syncFilled(): void;
  /** After `fill` and its sync: empties the journal; nothing is written before its sync. */
  empty(): StoreOutcome;
  /** Starts to make the journal's new length durable. */
  syncEmptied(): void;
  /** Gives up after `fill`: others may write again. */
  unfill(): void;
  /**
   * Reads up to `limit` rows after `key`, not beyond `keyMax`, in order; those whose sum is wrong
   * go to `takeDamaged`.
   */
  load(
    key: number,
    keyMax: number,
    limit: number,
    take: (message: Message) => void,
    takeDamaged: (entry: StoreEntry) => void,
  ): StoreOutcome;
  /** Looks at up to `limit` rows between two keys, both excluded, from either end. */
  scan(
    above: number,
    below: number,
    isNewestFirst: boolean,
    limit: number,
    take: (entry: StoreEntry) => void,
  ): StoreOutcome;
  /** What there was, by priority, when it was opened or rebuilt. */
  readonly counts: readonly StoreCount[];
  /** A small text that outlives restarts; "" when there is none. */
  get(name: string): string;
  /** Keeps one, durably; waits for the disk, so only for what happens once a day. */
  put(name: string, value: string): StoreOutcome;
  /** Writes this too, waits until all is durable, closes; "" or one line about what failed. */
  close(appended: readonly Message[], releasedKeys: Iterable<number>): string;
}
