// Shelf: a store in memory, for the rig and the simulator: durable is what a sync has answered for.
// Neighbours: `core/journal` drives it as it does `port/store`; `till` of the core tests has a
// script.
// Invariant: after `crash` there is what was durable, and of the rest what chance has left.

import {
  type Message,
  type Store,
  type StoreCount,
  type StoreEntry,
  type StoreOpened,
  StoreOutcome,
} from "../src/core/effects.ts";
import { keyOf, messageBytes } from "../src/kit/key.ts";

/** A store whose syncs are answered by whoever owns it. */
export class Shelf implements Store {
  detail = "";
  boot = 0;
  lastSequence = 0;
  counts: StoreCount[] = [];
  /** What the next writes come to. */
  outcome = StoreOutcome.DONE;
  /** It cannot be opened. */
  isStuck = false;
  /** Reads find damage, until it is rebuilt. */
  isUnreadable = false;
  /** True while a sync waits for its answer. */
  isSyncing = false;
  private keys: number[] = [];
  private readonly rows = new Map<number, Message>();
  private added: number[] = [];
  private removed: Message[] = [];
  private readonly texts = new Map<string, string>();
  private readonly damaged = new Set<number>();

  /**
   * @param onSync a sync has begun; its answer goes to the turn, later
   * @param onDurable told of each message that outlives a power cut from now on
   */
  constructor(
    private readonly onSync: () => void = () => {},
    private readonly onDurable: (message: Message) => void = () => {},
  ) {}

  get journalBytes(): number {
    return 0;
  }

  get size(): number {
    return this.rows.size;
  }

  open(): StoreOpened {
    if (this.isStuck) return { isOpen: false, line: this.detail };
    this.boot++;
    this.count();
    return { isOpen: true, line: "" };
  }

  rebuild(_wallS: number, sequenceMax: number): StoreOpened {
    for (const [key, { sequence }] of this.rows) if (sequence > sequenceMax) this.rows.delete(key);
    this.outcome = StoreOutcome.DONE;
    this.isUnreadable = false;
    this.added = [];
    this.removed = [];
    this.count();
    return { isOpen: true, line: "rebuilt" };
  }

  /** Turns out to be damaged at the next write, and without its first `lost` messages. */
  break(lost: number): void {
    this.outcome = StoreOutcome.BROKEN;
    this.detail = "damaged";
    for (const key of [...this.rows.keys()].sort((a, b) => a - b).slice(0, lost)) {
      this.rows.delete(key);
    }
  }

  /** The bytes of the message with this body have changed. */
  damage(text: string): void {
    for (const [key, { body }] of this.rows) {
      if (new TextDecoder().decode(body) === text) this.damaged.add(key);
    }
  }

  write(appended: readonly Message[], releasedKeys: Iterable<number>): StoreOutcome {
    if (this.outcome !== StoreOutcome.DONE) return this.outcome;
    for (const message of appended) {
      const key = keyOf(message.priority, message.sequence);
      this.place(key, message);
      this.added.push(key);
    }
    for (const key of releasedKeys) {
      const message = this.rows.get(key);
      if (message === undefined) continue;
      this.removed.push(message);
      this.rows.delete(key);
    }
    return StoreOutcome.DONE;
  }

  sync(): void {
    this.isSyncing = true;
    this.onSync();
  }

  /** What was written is durable: whoever owns the shelf tells the turn next. */
  answer(): void {
    this.isSyncing = false;
    for (const key of this.added) this.onDurable(this.rows.get(key)!);
    this.added = [];
    this.removed = [];
  }

  /** The sync fails: whoever owns the shelf tells the turn next. */
  fail(): void {
    this.isSyncing = false;
    this.detail = "the sync failed";
  }

  /** The power goes; what was written and not synced has come through, or not. */
  crash(isKept: boolean): void {
    if (isKept) return this.answer();
    this.isSyncing = false;
    for (const key of this.added) this.rows.delete(key);
    for (const message of this.removed) {
      this.place(keyOf(message.priority, message.sequence), message);
    }
    this.added = [];
    this.removed = [];
  }

  fill(): StoreOutcome {
    return StoreOutcome.DONE;
  }

  syncFilled(): void {
    this.sync();
  }

  empty(): StoreOutcome {
    return StoreOutcome.DONE;
  }

  syncEmptied(): void {
    this.sync();
  }

  unfill(): void {}

  load(
    key: number,
    keyMax: number,
    limit: number,
    take: (message: Message) => void,
    takeDamaged: (entry: StoreEntry) => void,
  ): StoreOutcome {
    if (this.isStuck || this.isUnreadable) return StoreOutcome.BROKEN;
    for (const each of this.between(key, keyMax + 1, limit)) {
      const message = this.rows.get(each)!;
      if (this.damaged.has(each)) takeDamaged(entryOf(each, message));
      else take(message);
    }
    return StoreOutcome.DONE;
  }

  scan(
    above: number,
    below: number,
    isNewestFirst: boolean,
    limit: number,
    take: (entry: StoreEntry) => void,
  ): StoreOutcome {
    const keys = this.between(above, below, isNewestFirst ? Number.POSITIVE_INFINITY : limit);
    if (isNewestFirst) keys.reverse();
    for (const key of keys.slice(0, limit)) take(entryOf(key, this.rows.get(key)!));
    return StoreOutcome.DONE;
  }

  get(name: string): string {
    return this.texts.get(name) ?? "";
  }

  put(name: string, value: string): StoreOutcome {
    this.texts.set(name, value);
    return StoreOutcome.DONE;
  }

  close(appended: readonly Message[], releasedKeys: Iterable<number>): string {
    this.write(appended, releasedKeys);
    this.answer();
    return "";
  }

  private place(key: number, message: Message): void {
    if (!this.rows.has(key)) {
      const at = this.position(key);
      if (this.keys[at] !== key) this.keys.splice(at, 0, key);
    }
    this.rows.set(key, message);
    this.lastSequence = Math.max(this.lastSequence, message.sequence);
  }

  /** Index of the first key that is not below `key`. */
  private position(key: number): number {
    let [low, high] = [0, this.keys.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private between(above: number, below: number, limit: number): number[] {
    this.tidy();
    const found: number[] = [];
    for (let at = this.position(above + 1); at < this.keys.length && found.length < limit; at++) {
      if (this.keys[at]! >= below) break;
      if (this.rows.has(this.keys[at]!)) found.push(this.keys[at]!);
    }
    return found;
  }

  private tidy(): void {
    if (this.keys.length < 2 * this.rows.size + 64) return;
    this.keys = this.keys.filter((key) => this.rows.has(key));
  }

  private count(): void {
    const counts = new Map<number, { count: number; bytes: number }>();
    for (const { priority, bag, body } of this.rows.values()) {
      const sum = counts.get(priority) ?? { count: 0, bytes: 0 };
      sum.count++;
      sum.bytes += messageBytes(bag.length, body.length);
      counts.set(priority, sum);
    }
    this.counts = [...counts].map(([priority, sum]) => ({ priority, ...sum }));
  }
}

function entryOf(key: number, { bag, body, expiresS }: Message): StoreEntry {
  return { key, bytes: messageBytes(bag.length, body.length), expiresS };
}
