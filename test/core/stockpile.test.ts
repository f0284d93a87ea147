// Stockpile: the outbox by property: connections that fall, power cuts, stores made anew.
// Neighbours: `src/core/outbox.ts`; `outbox.test` has each rule by itself.
// Invariant: what was durable is known from the store's answers, never from the outbox's counters.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { Refused } from "../../src/core/outbox.ts";
import { DROPPED, Fate, REFUSED } from "../../src/core/tally.ts";
import { Shelf } from "../shelf.ts";
import { Stock } from "./stock.ts";

const BYTES_MAX = 1500;

/** One gateway's outbox over its restarts, and what a hub and its producers saw. */
class Story {
  readonly shelf = new Shelf();
  stock = new Stock({ shelf: this.shelf, bounds: { bytesMax: BYTES_MAX } });
  /** By message, in the order of offering. */
  readonly offered: { text: string; priority: number; isDurable: boolean }[] = [];
  readonly arrived = new Map<string, number>();
  /** Of all runs that have ended. */
  private drops = 0;
  private waiting: string[] = [];
  private flying: string[] = [];
  isCut = false;
  private identifiers: number[] = [];
  private identifier = 0;

  offer(priority: number, length: number): void {
    const text = `${this.offered.length}`.padEnd(length, ".");
    if (this.stock.offer(text, priority) !== Refused.NO) return;
    this.offered.push({ text, priority, isDurable: false });
    this.waiting.push(text);
  }

  commit(): void {
    const { shelf } = this;
    const wasSyncing = shelf.isSyncing;
    this.stock.outbox.journal.commit(this.stock.nowMs);
    if (!wasSyncing && shelf.isSyncing) this.fly();
  }

  sync(): void {
    const { shelf, stock } = this;
    if (!shelf.isSyncing) return;
    shelf.answer();
    for (const each of this.offered) if (this.flying.includes(each.text)) each.isDurable = true;
    this.flying = [];
    stock.outbox.journal.onSynced(stock.nowMs, "");
    if (shelf.isSyncing) this.fly();
  }

  private fly(): void {
    this.flying = this.waiting;
    this.waiting = [];
  }

  /** Sends what the window takes; nothing that is not durable may be among it. */
  send(): void {
    const { stock } = this;
    const { window } = stock;
    stock.fill(4);
    while (window.hasNext()) {
      const { bytes, topicEnd, payloadEnd } = window;
      const text = new TextDecoder().decode(bytes.subarray(topicEnd, payloadEnd));
      const known = this.offered.find((each) => each.text === text);
      expect(known).toBeDefined();
      if (!this.isCut) expect(known!.isDurable).toBe(true);
      this.arrived.set(text, (this.arrived.get(text) ?? 0) + 1);
      const identifier = window.identifier || ++this.identifier;
      window.sent(identifier, stock.nowMs);
      this.identifiers.push(identifier);
    }
  }

  acknowledge(n: number): void {
    const [identifier] = this.identifiers.splice(n % Math.max(this.identifiers.length, 1), 1);
    if (identifier !== undefined) expect(this.stock.outbox.release(identifier)).toBe(true);
  }

  fall(): void {
    this.stock.window.rewind();
    this.identifiers = [];
  }

  /** The power goes; of what was written and not synced all or nothing is left. */
  cut(isKept: boolean): void {
    this.isCut = true;
    this.shelf.crash(isKept);
    this.drops += this.dropped;
    this.waiting = [];
    this.flying = [];
    this.identifiers = [];
    this.stock = new Stock({ shelf: this.shelf, bounds: { bytesMax: BYTES_MAX } });
  }

  /** A write finds the database broken; a new one is made of what is sound. */
  rebuild(): void {
    const { stock } = this;
    while (this.shelf.isSyncing) this.sync();
    stock.nowMs += 10_000;
    stock.wallS += 10;
    this.shelf.break(0);
    this.commit();
    stock.outbox.onDeadline(stock.nowMs, stock.wallS);
    this.shelf.outcome = 0;
    if (this.shelf.isSyncing) this.fly();
  }

  get dropped(): number {
    return this.stock.outbox.tally.sum(...DROPPED);
  }

  /** Lets all come to an end and holds it against what was promised. */
  settle(): void {
    const { outbox } = this.stock;
    this.commit();
    while (this.shelf.isSyncing) this.sync();
    for (let round = 0; outbox.count > 0 && round < this.offered.length; round++) {
      this.send();
      while (this.identifiers.length > 0) this.acknowledge(0);
      this.commit();
      while (this.shelf.isSyncing) this.sync();
    }
    expect([outbox.count, outbox.bytes, outbox.window.isEmpty]).toEqual([0, 0, true]);
    const lost = this.offered.filter(({ text, isDurable }) => isDurable && !this.arrived.has(text));
    const drops = this.drops + this.dropped;
    if (this.isCut) expect(lost.length).toBeLessThanOrEqual(drops);
    else {
      expect(lost.length).toBe(drops);
      const { tally } = outbox;
      expect(tally.sum(Fate.ACCEPTED)).toBe(this.offered.length);
      expect(tally.sum(Fate.ACKNOWLEDGED)).toBe(this.offered.length - drops);
      expect(tally.sum(Fate.REFUSED_STORE, Fate.REFUSED_LONG)).toBe(0);
      expect(tally.sum(...REFUSED)).toBe(tally.sum(Fate.DROPPED_NEW));
    }
    // What made room and was brought back by a cut comes late.
    if (this.isCut && drops > 0) return;
    for (let priority = 0; priority < 10; priority++) this.expectOrder(priority);
  }

  private expectOrder(priority: number): void {
    const those = this.offered.filter((each) => each.priority === priority);
    const arrivals = [...this.arrived.keys()];
    const order = those.map(({ text }) => arrivals.indexOf(text)).filter((at) => at >= 0);
    expect(order).toEqual([...order].sort((one, other) => one - other));
  }
}

const offer = fc.record({
  priority: fc.constantFrom(0, 4, 7, 7, 9),
  length: fc.oneof(fc.integer({ min: 4, max: 30 }), fc.integer({ min: 4, max: 400 })),
});
const often = fc.constantFrom("commit", "sync", "send", "acknowledge", "acknowledge");
const seldom = fc.constantFrom("fall", "rebuild", "cut kept", "cut lost");

function play(story: Story, steps: readonly (string | { priority: number; length: number })[]) {
  for (const [at, step] of steps.entries()) {
    if (typeof step !== "string") story.offer(step.priority, step.length);
    else if (step === "commit") story.commit();
    else if (step === "sync") story.sync();
    else if (step === "send") story.send();
    else if (step === "acknowledge") story.acknowledge(at);
    else if (step === "fall") story.fall();
    else if (step === "rebuild") story.rebuild();
    else story.cut(step === "cut kept");
    const { outbox } = story.stock;
    expect(outbox.bytes).toBeLessThanOrEqual(BYTES_MAX);
    expect(outbox.count).toBeGreaterThanOrEqual(outbox.window.count);
  }
  story.settle();
}

test("all that was durable arrives, in order within its priority, or was dropped for room", () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: offer },
    { weight: 16, arbitrary: often },
    { weight: 1, arbitrary: fc.constantFrom("fall", "rebuild") },
  );
  const steps = fc.array(step, { maxLength: 300, size: "max" });
  fc.assert(
    fc.property(steps, (run) => play(new Story(), run)),
    { numRuns: 200 },
  );
});

test("over power cuts, too: only copies are more than they were", () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: offer },
    { weight: 16, arbitrary: often },
    { weight: 1, arbitrary: seldom },
  );
  const steps = fc.array(step, { maxLength: 300, size: "max" });
  fc.assert(
    fc.property(steps, (run) => play(new Story(), run)),
    { numRuns: 200 },
  );
});
