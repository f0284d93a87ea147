// Stock: an outbox over a store in memory, for the tests of what puts in and what takes out.
// Neighbours: `shelf` is the store; tests of `outbox`, `session` and `telemetry` build on it.
// Invariant: nothing becomes durable before the test says so.

import { Drain, type DrainSettings } from "../../src/core/drain.ts";
import { Effects } from "../../src/core/effects.ts";
import { Journal } from "../../src/core/journal.ts";
import { type Bounds, Outbox, Refused, WhenFull } from "../../src/core/outbox.ts";
import { Window } from "../../src/core/window.ts";
import { WINDOW_BYTES, WINDOW_MESSAGES } from "../../src/limits.ts";
import { Shelf } from "../shelf.ts";

export const TOPIC = "devices/dev1/messages/events/";
/** A plausible calendar, in s. */
export const WALL_S = 1_700_000_000;

const ROOMY: Bounds = {
  bytesMax: 1024 * 1024,
  countMax: 0,
  whenFull: WhenFull.DROP_OLDEST,
  messageBytesMax: 262_140,
  bodyBytesMax: 262_144,
};
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

/** What a stock is made of, where it is not the usual. */
export interface Parts {
  readonly effects?: Effects;
  readonly bounds?: Partial<Bounds>;
  readonly drain?: DrainSettings;
  readonly shelf?: Shelf;
  readonly topic?: string;
  readonly bytes?: Uint8Array;
  readonly slots?: number;
  readonly wallS?: number;
}

/** An open outbox and its store. */
export class Stock {
  readonly effects: Effects;
  readonly shelf: Shelf;
  readonly window: Window;
  readonly outbox: Outbox;
  nowMs = 0;
  wallS: number;
  private identifier = 0;

  constructor(parts: Parts = {}) {
    this.effects = parts.effects ?? new Effects();
    this.shelf = parts.shelf ?? new Shelf();
    const { bytes = new Uint8Array(WINDOW_BYTES), slots = WINDOW_MESSAGES } = parts;
    this.window = new Window(bytes, slots);
    this.wallS = parts.wallS ?? WALL_S;
    const journal: Journal = new Journal(this.shelf, {
      onAccepted: (sequence) => outbox.onAccepted(sequence),
      onRefused: (first, last, why, detail) => outbox.onRefused(first, last, why, detail),
      onLine: (line) => outbox.onLine(line),
    });
    const drain = new Drain(parts.drain ?? { sharePercent: 20, limit: null });
    const bounds = { ...ROOMY, ...parts.bounds };
    const outbox = new Outbox(this.effects, journal, drain, this.window, bounds, 900_000);
    this.outbox = outbox;
    outbox.open(this.nowMs, this.wallS);
    outbox.identify(parts.topic ?? TOPIC);
  }

  offer(text: string, priority = 7, ttlS = 0): Refused {
    return this.outbox.offer(priority, ttlS, "", ENCODER.encode(text), this.wallS);
  }

  /** Offers, and lets the disk have them. */
  accept(...texts: readonly string[]): void {
    for (const text of texts) if (this.offer(text) !== Refused.NO) throw new Error("refused");
    this.settle();
  }

  /** Writes what was offered and has it on the disk; so often until nothing is left to do. */
  settle(): void {
    const { journal } = this.outbox;
    journal.commit(this.nowMs);
    while (this.shelf.isSyncing) {
      this.shelf.answer();
      journal.onSynced(this.nowMs, "");
    }
  }

  fill(limit = 8): void {
    this.outbox.fill(limit, this.nowMs, this.wallS);
  }

  /** Fills the window and sends all in it: the bodies, in the order of sending. */
  send(limit = 8): string[] {
    this.fill(limit);
    const sent: string[] = [];
    const { window } = this;
    while (window.hasNext()) {
      sent.push(DECODER.decode(window.bytes.subarray(window.topicEnd, window.payloadEnd)));
      window.sent(window.identifier || ++this.identifier, this.nowMs);
    }
    return sent;
  }

  /** Sends and acknowledges until nothing more comes. */
  drain(limit = 8): string[] {
    const all: string[] = [];
    for (let some = this.send(limit); some.length > 0; some = this.send(limit)) {
      all.push(...some);
      this.acknowledge();
    }
    return all;
  }

  /** The hub has all that was sent. */
  acknowledge(): void {
    for (let identifier = 1; this.window.inFlight > 0; identifier++) {
      this.outbox.release(identifier);
    }
    this.settle();
  }

  /** Log lines since the last look. */
  logs(): string[] {
    const { effects } = this;
    const lines = effects.texts.slice(0, effects.count);
    effects.count = 0;
    return lines;
  }
}
