// Desk: the TPM port with its events on record, over a chip that can be made to fail.
// Neighbours: tests and figures of the TPM port; `flow` does whole procedures with it.
// Invariant: an event that comes from inside a call into the port fails the test.

import type { TpmRequest } from "../../src/codec/request.ts";
import type { Alarm, Chip, ChipEvents, Clock, TpmEvents } from "../../src/core/effects.ts";
import { TimerAlarm } from "../../src/port/alarm.ts";
import { SystemClock } from "../../src/port/clock.ts";
import { Courier, type Native } from "../../src/port/courier.ts";
import { SocketChip } from "../../src/port/swtpm.ts";
import { Library } from "../../src/port/tpm.ts";
import { FaultChip } from "../tpm/fault.ts";
import { libraryPath } from "../tpm/library.ts";
import type { Place } from "../tpm/swtpm.ts";

/** An answer, with a copy of its bytes. */
export interface Answered {
  readonly rc: number;
  readonly handle: number;
  readonly output: Uint8Array;
}

/** Time that a test moves by hand. */
class HandClock implements Clock, Alarm {
  onAlarm: () => void = () => {};
  private timeMs = 0;
  private atMs = Number.POSITIVE_INFINITY;

  nowMs(): number {
    return this.timeMs;
  }

  wallS(): number {
    return 0;
  }

  arm(atMs: number): void {
    this.atMs = atMs;
  }

  /** Milliseconds until the alarm rings. */
  get leftMs(): number {
    return this.atMs - this.timeMs;
  }

  advance(ms: number): void {
    this.timeMs += ms;
    if (this.timeMs < this.atMs) return;
    this.atMs = Number.POSITIVE_INFINITY;
    this.onAlarm();
  }
}

let shared: Library | undefined;

/** The library, loaded once: its state is one for the process. */
export function library(): Library {
  shared ??= new Library(libraryPath());
  return shared;
}

export interface DeskOptions {
  /** Time stands still but for `time.advance`. */
  readonly isHandTime?: boolean;
  readonly native?: Native;
  readonly makeChip?: (events: ChipEvents) => Chip;
  /** Without the chip in between, which keeps every byte. */
  readonly isBare?: boolean;
}

export class Desk implements TpmEvents {
  readonly courier: Courier;
  readonly time = new HandClock();
  /** `opened`, and `closed: …` with the detail. */
  readonly heard: string[] = [];
  chip!: FaultChip;
  private readonly answers = new Map<number, (answer: Answered) => void>();
  private readonly waiting = new Set<() => void>();
  private tickets = 0;
  private isInside = false;

  constructor(place: Place, options: DeskOptions = {}) {
    const { isHandTime = false, native = library() } = options;
    const makeInner = options.makeChip ?? ((events) => new SocketChip(events, place));
    const makeAlarm = (onAlarm: () => void): Alarm => {
      this.time.onAlarm = onAlarm;
      return isHandTime ? this.time : new TimerAlarm(onAlarm);
    };
    const makeFault = (events: ChipEvents) => {
      this.chip = new FaultChip(events, makeInner);
      return this.chip;
    };
    const makeChip = options.isBare ? makeInner : makeFault;
    const clock = isHandTime ? this.time : new SystemClock();
    this.courier = new Courier(this, native, clock, makeChip, makeAlarm);
  }

  /** Opens and waits until it is open. */
  async open(): Promise<void> {
    const from = this.heard.length;
    this.call(() => this.courier.open());
    await this.until("opened", from);
  }

  close(): void {
    this.call(() => this.courier.close());
  }

  perform(request: TpmRequest): Promise<Answered> {
    return this.ask((ticket) => this.courier.perform(ticket, request));
  }

  flushAll(): Promise<Answered> {
    return this.ask((ticket) => this.courier.flushAll(ticket));
  }

  /** Resolves when something that begins with `word` is on record at `from` or later. */
  async until(word: string, from = 0): Promise<string> {
    for (;;) {
      const found = this.heard.slice(from).find((each) => each.startsWith(word));
      if (found !== undefined) return found;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.waiting.add(resolve);
      await promise;
    }
  }

  onTpmOpened(): void {
    this.note("opened");
  }

  onTpmClosed(detail: string): void {
    this.note(`closed: ${detail}`);
  }

  onTpmDone(ticket: number, rc: number, handle: number, output: Uint8Array): void {
    if (this.isInside) throw new Error("an answer from inside a call");
    const resolve = this.answers.get(ticket);
    if (resolve === undefined) throw new Error(`ticket ${ticket} answered twice, or never asked`);
    this.answers.delete(ticket);
    resolve({ rc, handle, output: output.slice() });
  }

  private ask(put: (ticket: number) => void): Promise<Answered> {
    this.tickets += 1;
    const ticket = this.tickets;
    const { promise, resolve } = Promise.withResolvers<Answered>();
    this.answers.set(ticket, resolve);
    this.call(() => put(ticket));
    return promise;
  }

  private note(what: string): void {
    this.heard.push(this.isInside ? `inside a call: ${what}` : what);
    for (const resolve of this.waiting) resolve();
    this.waiting.clear();
  }

  private call(work: () => void): void {
    this.isInside = true;
    work();
    this.isInside = false;
  }
}
