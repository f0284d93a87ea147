// Ledger: what was promised and what came true, message by message and lamp by lamp.
// Neighbours: the hub's events and the taps write into it; `fleet` reads the verdict at the end.
// Invariant: it counts from what the hub received, never from what our machines say they did.

import type { HubEvent } from "../azure/model/events.ts";

/** Verdict and counts of one run. */
export class Ledger {
  readonly violations: string[] = [];
  readonly faults = new Map<string, number>();
  readonly refusals = new Map<string, number>();
  readonly diagnoses = new Map<string, number>();
  delivered = 0;
  duplicates = 0;
  twinChanges = 0;
  /** Messages that a power cut leaves alone from now on. */
  durable = 0;
  /** What became of the messages of each device, by their ids. */
  private readonly books = new Map<string, Book>();

  onViolation(text: string): void {
    if (this.violations.length < 100) this.violations.push(text);
  }

  onFault(kind: string): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
  }

  onLog(_device: string, text: string): void {
    const at = text.indexOf("; next attempt in ");
    if (at < 0) return;
    const kind = text.slice(0, at).replace(/\d+(\.\d+)? (ms|s|min|h|d)/g, "N");
    this.diagnoses.set(kind, (this.diagnoses.get(kind) ?? 0) + 1);
  }

  onHubEvent(event: HubEvent): void {
    switch (event.type) {
      case "telemetry":
        return this.onTelemetry(event.deviceId, event.properties.system.messageId ?? "", event.dup);
      case "refuse":
      case "close": {
        const name = `${event.type} ${event.codeName}`;
        this.refusals.set(name, (this.refusals.get(name) ?? 0) + 1);
        return;
      }
      case "twin":
        if (event.part === "desired") this.twinChanges++;
        return;
      default:
        return;
    }
  }

  /** The store of a device has made this message durable. */
  onDurable(device: string, bag: string): void {
    const id = idOf(bag);
    const book = this.book(device);
    if (!book.durable.has(id)) this.durable++;
    book.durable.add(id);
  }

  /** A device has seen the PUBACK of this message; for those that take the time. */
  onAcknowledged(_device: string, _id: string): void {}

  /** A device has written DISCONNECT; for those that look what it had left to say. */
  onDisconnect(_device: string): void {}

  /** A device has lost power: up to `most` messages come again, and as new. */
  onCut(device: string, most: number): void {
    this.book(device).unmarked += most;
  }

  /** All that was durable must have arrived. */
  settle(device: string): number {
    const { durable, arrivals } = this.book(device);
    let lost = 0;
    for (const id of durable) {
      if (arrivals.has(id)) continue;
      lost++;
      if (lost <= 3) this.onViolation(`${device}: message ${id} is lost`);
    }
    return lost;
  }

  private book(device: string): Book {
    const known = this.books.get(device);
    if (known !== undefined) return known;
    const made = { durable: new Set(), arrivals: new Set(), highest: new Map(), unmarked: 0 };
    this.books.set(device, made as Book);
    return made as Book;
  }

  private onTelemetry(device: string, messageId: string, dup: boolean): void {
    const [source = "", number] = messageId.split(".");
    const sequence = Number(number);
    if (!(sequence > 0)) return this.onViolation(`${device}: message id "${messageId}"`);
    const book = this.book(device);
    // Design, decision 5: only accepted messages are sent, and those are durable.
    if (!book.durable.has(messageId)) {
      this.onViolation(`${device}: message ${messageId} was sent before it was durable`);
    }
    if (!book.arrivals.has(messageId)) {
      book.arrivals.add(messageId);
      this.delivered++;
      const highest = book.highest.get(source) ?? 0;
      // Order per source: first arrivals ascend.
      if (sequence <= highest) {
        this.onViolation(`${device}: message ${messageId} came first after ${highest}`);
      }
      book.highest.set(source, sequence);
      return;
    }
    this.duplicates++;
    if (dup) return;
    if (book.unmarked-- <= 0) {
      this.onViolation(`${device}: message ${messageId} came again without DUP`);
    }
  }
}

/** The message id in a property bag, "" when there is none. */
export function idOf(bag: string): string {
  return /%24\.mid=([^&]*)/.exec(bag)?.[1] ?? "";
}

interface Book {
  readonly durable: Set<string>;
  readonly arrivals: Set<string>;
  /** By source, the number of the message that came last for the first time. */
  readonly highest: Map<string, number>;
  /** How many may still come again without DUP. */
  unmarked: number;
}
