// Till: a store in memory that does what the test says, for the tests of journal and ledger.
// Neighbours: `journal.test.ts`, `ledger.test.ts`; the real one is `port/store`.
// Invariant: every call is written down; what was written is there, whatever the syncs say.

import {
  type Message,
  type Store,
  type StoreCount,
  type StoreEntry,
  StoreOutcome,
} from "../../src/core/effects.ts";
import { Journal, type JournalEvents } from "../../src/core/journal.ts";
import { keyOf, messageBytes } from "../../src/kit/key.ts";

/** A store, and the journal over it. */
export class Till implements Store, JournalEvents {
  detail = "";
  boot = 7;
  lastSequence = 100;
  journalBytes = 0;
  counts: StoreCount[] = [];
  rows = new Map<number, Message>();
  /** Keys of rows whose bytes have changed. */
  readonly damaged = new Set<number>();
  /** What the next calls come to; DONE when it is not said. */
  readonly outcomes: Record<string, StoreOutcome> = {};
  isOpen = true;
  problem = "";
  said: string[] = [];
  readonly refusals: string[] = [];
  readonly lines: string[] = [];
  accepted = 0;
  readonly journal: Journal;

  constructor(journalBytesFill = 1000) {
    this.journal = new Journal(this, this, journalBytesFill);
  }

  /** Opened and at rest. */
  static resting(): Till {
    const till = new Till();
    till.journal.open(0, 0);
    return till;
  }

  append(text = "x", priority = 7, expiresS = 0): number {
    return this.journal.append(priority, 0, expiresS, "", new TextEncoder().encode(text));
  }

  /** Appends, writes and accepts. */
  have(...texts: readonly string[]): void {
    for (const text of texts) this.append(text);
    this.journal.commit(0);
    this.journal.onSynced(0, "");
  }

  look(): string[] {
    const { said } = this;
    this.said = [];
    return said;
  }

  onAccepted(sequence: number): void {
    this.accepted = sequence;
    this.said.push("accepted");
  }

  onRefused(first: number, last: number, why: StoreOutcome, detail: string): void {
    this.said.push("refused");
    this.refusals.push(`${first}-${last} ${StoreOutcome[why]} ${detail}`);
  }

  onLine(line: string): void {
    this.lines.push(line);
  }

  open() {
    this.said.push("open");
    return { isOpen: this.isOpen, line: this.isOpen ? "" : "cannot open" };
  }

  rebuild(_wallS: number, sequenceMax: number) {
    this.said.push("rebuild");
    for (const [key, { sequence }] of this.rows) if (sequence > sequenceMax) this.rows.delete(key);
    return { isOpen: this.isOpen, line: this.isOpen ? "rebuilt" : "not rebuilt" };
  }

  write(appended: readonly Message[], releasedKeys: Iterable<number>): StoreOutcome {
    const outcome = this.step("write");
    if (outcome !== StoreOutcome.DONE) return outcome;
    for (const message of appended)
      this.rows.set(keyOf(message.priority, message.sequence), message);
    for (const key of releasedKeys) this.rows.delete(key);
    return outcome;
  }

  sync(): void {
    this.said.push("sync");
  }

  syncFilled(): void {
    this.said.push("sync");
  }

  syncEmptied(): void {
    this.said.push("sync");
  }

  fill(): StoreOutcome {
    return this.step("fill");
  }

  unfill(): void {
    this.said.push("unfill");
  }

  empty(): StoreOutcome {
    const outcome = this.step("empty");
    if (outcome === StoreOutcome.DONE) this.journalBytes = 0;
    return outcome;
  }

  load(
    key: number,
    keyMax: number,
    limit: number,
    take: (message: Message) => void,
    takeDamaged: (entry: StoreEntry) => void,
  ): StoreOutcome {
    for (const each of this.keys(key, keyMax + 1).slice(0, limit)) {
      const message = this.rows.get(each)!;
      if (this.damaged.has(each)) takeDamaged(entryOf(each, message));
      else take(message);
    }
    return this.outcomes.load ?? StoreOutcome.DONE;
  }

  scan(
    above: number,
    below: number,
    isNewestFirst: boolean,
    limit: number,
    take: (entry: StoreEntry) => void,
  ): StoreOutcome {
    const keys = this.keys(above, below);
    if (isNewestFirst) keys.reverse();
    for (const key of keys.slice(0, limit)) take(entryOf(key, this.rows.get(key)!));
    return this.outcomes.scan ?? StoreOutcome.DONE;
  }

  get(name: string): string {
    return `${name} is kept`;
  }

  put(): StoreOutcome {
    return this.step("put");
  }

  close(appended: readonly Message[]): string {
    this.said.push("end");
    if (this.problem === "") for (const message of appended) this.rows.set(0, message);
    return this.problem;
  }

  private step(name: string): StoreOutcome {
    this.said.push(name);
    const outcome = this.outcomes[name] ?? StoreOutcome.DONE;
    if (outcome !== StoreOutcome.DONE) this.detail = `no ${name}`;
    return outcome;
  }

  private keys(above: number, below: number): number[] {
    const keys = [...this.rows.keys()].sort((one, other) => one - other);
    return keys.filter((key) => key > above && key < below);
  }
}

function entryOf(key: number, { bag, body, expiresS }: Message): StoreEntry {
  return { key, bytes: messageBytes(bag.length, body.length), expiresS };
}
