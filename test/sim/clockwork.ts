// Clockwork: simulated time and the events that wait in it.
// Neighbours: everything in the simulator schedules here and nowhere else.
// Invariant: events run in order of time, and in the order of their scheduling at equal times, so
// a seed replays a run exactly.

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** A binary heap of events. */
export class Clockwork {
  nowMs = 0;
  private readonly heap: Event[] = [];
  private order = 0;

  /** Runs `run` in `delayMs` (>= 0) from now. */
  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run);
  }

  /** Runs `run` at `atMs`, at once when that is past. */
  at(atMs: number, run: () => void): void {
    const { heap } = this;
    const event = { atMs: Math.max(atMs, this.nowMs), order: this.order++, run };
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  /** Runs everything that is due up to `untilMs`, then stands there. */
  runUntil(untilMs: number): void {
    while (this.heap.length > 0 && this.heap[0]!.atMs <= untilMs) {
      const event = this.pop();
      this.nowMs = event.atMs;
      event.run();
    }
    this.nowMs = untilMs;
  }

  private pop(): Event {
    const { heap } = this;
    const top = heap[0]!;
    const last = heap.pop()!;
    const { length } = heap;
    if (length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
