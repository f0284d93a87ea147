// Pending: messages offered to the store and not durable yet, in the order of offering.
// Neighbours: `outbox` adds what it was offered, and settles it when the journal has answered.
// Invariant: sequences rise from head to tail; counts and bytes are those of what lies between.

import { PRIORITIES } from "../kit/key.ts";
import { PENDING_MESSAGES } from "../limits.ts";

/** As many again may be in the sync that is in the air. */
const SLOTS = 2 * PENDING_MESSAGES;

/** What waits for the store's answer. */
export class Pending {
  /** By priority: messages, and bytes as `messageBytes` reckons. */
  readonly counts = new Float64Array(PRIORITIES);
  readonly bytes = new Float64Array(PRIORITIES);
  private readonly sequences = new Float64Array(SLOTS);
  private readonly priorities = new Uint8Array(SLOTS);
  private readonly sizes = new Uint32Array(SLOTS);
  private head = 0;
  private tail = 0;

  add(sequence: number, priority: number, bytes: number): void {
    const slot = this.tail++ % SLOTS;
    this.sequences[slot] = sequence;
    this.priorities[slot] = priority;
    this.sizes[slot] = bytes;
    this.counts[priority]! += 1;
    this.bytes[priority]! += bytes;
  }

  /** All offered up to sequence `last` have their answer: `tell` gets the priority of each. */
  settle(last: number, tell: (priority: number) => void): void {
    for (; this.head < this.tail; this.head++) {
      const slot = this.head % SLOTS;
      if (this.sequences[slot]! > last) return;
      const priority = this.priorities[slot]!;
      this.counts[priority]! -= 1;
      this.bytes[priority]! -= this.sizes[slot]!;
      tell(priority);
    }
  }
}
