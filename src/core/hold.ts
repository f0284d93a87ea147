// Hold: accepted messages that were read from the store: in the window, or the next to go there.
// Neighbours: `outbox` takes from it; `ledger` reads the store and removes from it.
// Invariant: `taken` rises with the messages read; what lies at or below it is held, or gone from
// the store; a held message that the store has lost is sent all the same.

import { keyOf, messageBytes, PRIORITIES, priorityOf } from "../kit/key.ts";
import type { Message } from "./effects.ts";
import type { Ledger } from "./ledger.ts";
import { Fate, type Tally } from "./tally.ts";

/** Messages between the store and the hub. */
export class Hold {
  /** By priority: the sequence up to which messages were read. */
  readonly taken = new Float64Array(PRIORITIES);
  /** By priority: held messages that are in the store too, and their bytes. */
  readonly counts = new Float64Array(PRIORITIES);
  readonly bytes = new Float64Array(PRIORITIES);
  /** By priority: held messages that the store has lost. */
  readonly ghostCounts = new Float64Array(PRIORITIES);
  private readonly ghosts = new Set<number>();
  /** By priority: read, and not in the window yet. */
  private readonly loaded: Message[][] = Array.from({ length: PRIORITIES }, () => []);
  /** By priority: 1 when the store may have more than was read. */
  private readonly fresh = new Uint8Array(PRIORITIES).fill(1);

  constructor(
    private readonly ledger: Ledger,
    private readonly tally: Tally,
  ) {}

  /** A message of this priority has become durable. */
  onAccepted(priority: number): void {
    this.fresh[priority] = 1;
  }

  /** Marks with 1 the priorities that may have something to send. */
  look(ready: Uint8Array): void {
    for (let priority = 0; priority < PRIORITIES; priority++) {
      const isReady = this.fresh[priority] === 1 || this.loaded[priority]!.length > 0;
      ready[priority] = isReady ? 1 : 0;
    }
  }

  /** The next message of a priority; `wanted` are read when none is there. */
  first(priority: number, wanted: number): Message | undefined {
    const [message] = this.loaded[priority]!;
    if (message !== undefined) return message;
    const { ledger } = this;
    const damaged = ledger.damaged;
    const found = ledger.load(priority, this.taken[priority]!, wanted);
    this.tally.add(priority, Fate.DAMAGED, ledger.damaged - damaged);
    if (found.length < wanted) this.fresh[priority] = 0;
    for (const each of found) this.count(each, 1);
    this.loaded[priority] = found;
    this.taken[priority] = found.at(-1)?.sequence ?? this.taken[priority]!;
    return found[0];
  }

  /** The message that `first` gave goes on its way. */
  shift(priority: number): void {
    this.loaded[priority]!.shift();
  }

  /** A held message leaves for good. */
  end(message: Message): void {
    const key = keyOf(message.priority, message.sequence);
    if (this.ghosts.delete(key)) {
      this.ghostCounts[message.priority]! -= 1;
      return;
    }
    this.count(message, -1);
    this.ledger.release(message);
  }

  /** A message that never left is the next of its priority again; from the last to the first. */
  give(message: Message): void {
    this.loaded[message.priority]!.unshift(message);
  }

  /** The store is another one: finds out which messages of ours it does not have. */
  recheck(inWindow: readonly Message[]): void {
    this.fresh.fill(1);
    this.ghosts.clear();
    this.ghostCounts.fill(0);
    this.counts.fill(0);
    this.bytes.fill(0);
    for (let priority = 0; priority < PRIORITIES; priority++) {
      const ours = inWindow.filter((each) => each.priority === priority);
      ours.push(...this.loaded[priority]!);
      const first = Math.min(...ours.map(({ sequence }) => sequence));
      const found = ours.length === 0 ? [] : this.ledger.load(priority, first - 1, ours.length);
      const there = new Set(found.map(({ sequence }) => sequence));
      for (const each of ours) {
        if (there.has(each.sequence)) this.count(each, 1);
        else this.ghosts.add(keyOf(priority, each.sequence));
      }
    }
    for (const key of this.ghosts) this.ghostCounts[priorityOf(key)]! += 1;
  }

  private count({ priority, bag, body }: Message, sign: 1 | -1): void {
    this.counts[priority]! += sign;
    this.bytes[priority]! += sign * messageBytes(bag.length, body.length);
  }
}
