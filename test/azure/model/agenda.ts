/**
 * What is due when: a binary heap of deadlines, each with something to run. Neighbours: every part
 * of the model puts its deadlines here; `hub.ts` asks for the next one and runs what is due.
 * Invariant: entries run in order of their time, then in order of arrival; a cancelled one never.
 */

/** Cancelled entries that may lie about before the heap is rebuilt without them. */
const CANCELLED_MAX = 64;

/** One planned run. */
export class Entry {
  isCancelled = false;
  /** Has left the heap. */
  isOver = false;
  constructor(
    readonly dueMs: number,
    readonly order: number,
    readonly run: () => void,
  ) {}
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}

/** Deadlines in Unix ms. */
export class Agenda {
  private heap: Entry[] = [];
  private order = 0;
  private cancelled = 0;

  /** Entries held, cancelled ones included: at most twice those in force, and some. */
  get size(): number {
    return this.heap.length;
  }

  /** Plans `run` for `dueMs` (Unix ms); the entry can be cancelled. */
  at(dueMs: number, run: () => void): Entry {
    const entry = new Entry(dueMs, this.order++, run);
    const heap = this.heap;
    let index = heap.length;
    heap.push(entry);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(entry, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
    return entry;
  }

  /** Takes an entry out of force; `undefined` and repeated calls are harmless. */
  cancel(entry: Entry | undefined): void {
    if (entry === undefined || entry.isOver || entry.isCancelled) return;
    entry.isCancelled = true;
    this.cancelled++;
    if (this.cancelled > CANCELLED_MAX && 2 * this.cancelled > this.heap.length) this.compact();
  }

  /** Unix ms of the next entry in force, Infinity when there is none. */
  nextMs(): number {
    this.dropCancelled();
    return this.heap.length === 0 ? Number.POSITIVE_INFINITY : this.heap[0]!.dueMs;
  }

  /** Runs everything due at `nowMs`, also what these runs plan for now or earlier. */
  runDue(nowMs: number): void {
    for (;;) {
      this.dropCancelled();
      const first = this.heap[0];
      if (first === undefined || first.dueMs > nowMs) return;
      this.pop();
      first.run();
    }
  }

  private dropCancelled(): void {
    while (this.heap.length > 0 && this.heap[0]!.isCancelled) this.pop();
  }

  /** Deadlines far away that no longer matter must not pile up. A sorted array is a heap. */
  private compact(): void {
    const kept = this.heap.filter((entry) => !entry.isCancelled);
    kept.sort((a, b) => a.dueMs - b.dueMs || a.order - b.order);
    this.heap = kept;
    this.cancelled = 0;
  }

  private pop(): void {
    const heap = this.heap;
    heap[0]!.isOver = true;
    if (heap[0]!.isCancelled) this.cancelled--;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}
