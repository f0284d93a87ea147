// Stage: the port's courier between a library, a chip, a clock and a turn that are played.
// Neighbours: `courier.test.ts`.
// Invariant: everything that the courier asks of its neighbours is in the log, in order.

import { drainMicrotasks } from "bun:jsc";
import { type TpmEvents, TpmOperation, type TpmRequest } from "../../src/core/effects.ts";
import { Courier, type Native } from "../../src/port/courier.ts";

/** Code of libtss2 for "the command was submitted again". */
export const PENDING = 0x00070009;
const RC_LOST = 0x000b000a;
const RC_SILENT = 0x00f00006;
/** A response without anything in it. */
export const SOUND = new Uint8Array([0x80, 0x01, 0, 0, 0, 10, 0, 0, 0, 0]);
export const NOTHING = new Uint8Array(0);

export const HMAC: TpmRequest = {
  operation: TpmOperation.HMAC,
  a: 0x81000100,
  b: 0,
  c: 0,
  d: 0,
  input: NOTHING,
};

/** A library that gives the codes it is told to. */
class FakeNative implements Native {
  hasCommand = false;
  handle = 0;
  output: Uint8Array = NOTHING;
  initCode = 0;
  /** Codes of the next starts and finishes; 0 when there are none left. */
  readonly starts: number[] = [];
  readonly finishes: number[] = [];
  readonly begun: TpmRequest[] = [];

  constructor(private readonly log: string[]) {}

  init(): number {
    this.log.push("init");
    return this.initCode;
  }

  fini(): void {
    this.log.push("free");
  }

  start(asked: TpmRequest): number {
    this.begun.push(asked);
    return this.starts.shift() ?? 0;
  }

  finish(response: Uint8Array): number {
    if (response[7] === 0x0b) {
      this.log.push("end");
      return RC_LOST;
    }
    const rc = this.finishes.shift() ?? 0;
    this.hasCommand = rc === PENDING;
    return rc;
  }

  setPassword(hierarchy: number, password: Uint8Array): number {
    this.log.push(`password ${hierarchy} ${password.length}`);
    return hierarchy === 1 ? 0 : 1;
  }

  takeCommand(): Uint8Array {
    this.hasCommand = false;
    return NOTHING;
  }
}

export class Stage implements TpmEvents {
  readonly log: string[] = [];
  readonly native = new FakeNative(this.log);
  isManaged = false;
  nowMs = 0;
  atMs = Number.POSITIVE_INFINITY;
  onDone: (ticket: number) => void = () => {};
  readonly courier: Courier;
  private ring: () => void = () => {};
  private tickets = 0;

  constructor() {
    const isManaged = () => this.isManaged;
    const chip = {
      get isManaged() {
        return isManaged();
      },
      open: () => void this.log.push("connect"),
      send: () => void this.log.push("send"),
      abandon: () => void this.log.push("abandon"),
    };
    const clock = { nowMs: () => this.nowMs, wallS: () => 0 };
    const arm = (atMs: number) => {
      this.atMs = atMs;
    };
    const makeAlarm = (ring: () => void) => {
      this.ring = ring;
      return { arm };
    };
    this.courier = new Courier(this, this.native, clock, () => chip, makeAlarm);
  }

  /** Lets time pass until the alarm rings; how long that was. */
  wait(): number {
    const ms = this.atMs - this.nowMs;
    this.nowMs = this.atMs;
    this.atMs = Number.POSITIVE_INFINITY;
    this.ring();
    drainMicrotasks();
    return ms;
  }

  ask(...asked: readonly TpmRequest[]): void {
    for (const each of asked) {
      this.tickets += 1;
      this.courier.perform(this.tickets, each);
    }
    drainMicrotasks();
  }

  sweep(): void {
    this.tickets += 1;
    this.courier.flushAll(this.tickets);
    drainMicrotasks();
  }

  opened(): void {
    this.courier.onChipOpened();
    drainMicrotasks();
  }

  closed(): void {
    this.courier.onChipClosed("gone");
    drainMicrotasks();
  }

  /** A response arrives, which the library takes for this code. */
  answer(rc = 0, bytes = SOUND): void {
    this.native.finishes.push(rc);
    this.courier.onChipAnswer(bytes);
    drainMicrotasks();
  }

  /** What was logged since the last look. */
  look(): string[] {
    return this.log.splice(0);
  }

  onTpmOpened(): void {
    this.log.push("up");
  }

  onTpmClosed(): void {
    this.log.push("down");
  }

  onTpmDone(ticket: number, rc: number): void {
    const words = new Map([
      [0, "done"],
      [RC_LOST, "lost"],
      [RC_SILENT, "silent"],
    ]);
    this.log.push(words.get(rc) ?? `refused ${rc.toString(16)}`);
    this.onDone(ticket);
  }
}
