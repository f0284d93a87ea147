// Stopwatch: the TPM port's library and chip, with the time that each of them takes.
// Neighbours: `tpm.ts` puts them in the place of the plain ones.
// Invariant: does nothing but look at the clock before and after.

import * as request from "../../src/codec/request.ts";
import type { Chip, ChipEvents } from "../../src/core/effects.ts";
import type { Native } from "../../src/port/courier.ts";
import { SocketChip } from "../../src/port/swtpm.ts";
import { library } from "../port/desk.ts";
import type { Place } from "../tpm/swtpm.ts";

/** The library, with its longest call. */
export class TimedNative implements Native {
  longestMs = 0;
  longest = "";
  private readonly inner = library();
  private operation = "";

  get hasCommand(): boolean {
    return this.inner.hasCommand;
  }

  get handle(): number {
    return this.inner.handle;
  }

  get output(): Uint8Array {
    return this.inner.output;
  }

  init(): number {
    return this.time("init", () => this.inner.init());
  }

  fini(): void {
    this.time("fini", () => this.inner.fini());
  }

  start(asked: request.TpmRequest): number {
    this.operation = request.TpmOperation[asked.operation];
    return this.time(`start of ${this.operation}`, () => this.inner.start(asked));
  }

  finish(response: Uint8Array): number {
    return this.time(`finish of ${this.operation}`, () => this.inner.finish(response));
  }

  setPassword(hierarchy: number, password: Uint8Array): number {
    return this.inner.setPassword(hierarchy, password);
  }

  takeCommand(): Uint8Array {
    return this.inner.takeCommand();
  }

  private time<T>(name: string, work: () => T): T {
    const startMs = performance.now();
    const value = work();
    const ms = performance.now() - startMs;
    if (ms > this.longestMs) {
      this.longestMs = ms;
      this.longest = name;
    }
    return value;
  }
}

/** A chip that adds up how long its TPM takes. */
export class TimedChip implements Chip {
  readonly isManaged = false;
  commands = 0;
  busyMs = 0;
  private sentMs = 0;
  private readonly inner: SocketChip;

  constructor(events: ChipEvents, place: Place) {
    const answered = (response: Uint8Array) => {
      this.busyMs += performance.now() - this.sentMs;
      events.onChipAnswer(response);
    };
    this.inner = new SocketChip(
      {
        onChipOpened: () => events.onChipOpened(),
        onChipAnswer: answered,
        onChipClosed: (detail) => events.onChipClosed(detail),
      },
      place,
    );
  }

  open(): void {
    this.inner.open();
  }

  send(command: Uint8Array): void {
    this.commands += 1;
    this.sentMs = performance.now();
    this.inner.send(command);
  }

  abandon(): void {
    this.inner.abandon();
  }
}
