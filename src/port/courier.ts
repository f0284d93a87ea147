// Courier: brings requests to the TPM, one command at a time, and nobody waits meanwhile.
// Neighbours: core asks for single operations and hears their codes; `tpm` makes the commands and
// reads the responses; `swtpm` and `device` are the chips.
// Invariant: each request is answered once, in order; a response reaches libtss2 only when its
// head is sound and it belongs to the command that was sent last.

// state   | open()           | close()               | perform()  | sweep()    | opened
// CLOSED  | connect, OPENING | -                     | lost       | lost       | -
// OPENING | -                | abandon, free, CLOSED | lost       | lost       | init, up, READY
// RESTING | -                | abandon, free, CLOSED | lost       | lost       | -
// READY   | -                | abandon, free, CLOSED | send, BUSY | send, BUSY | -
// BUSY    | -                | abandon, free, CLOSED | -          | -          | -
// PAUSED  | -                | abandon, free, CLOSED | -          | -          | -
//
// state   | answer      | retry  | unsound
// CLOSED  | -           | -      | -
// OPENING | -           | -      | -
// RESTING | -           | -      | -
// READY   | -           | -      | -
// BUSY    | done, READY | PAUSED | end, abandon, lost, down, RESTING
// PAUSED  | -           | -      | -
//
// state   | closed                            | wait over
// CLOSED  | -                                 | -
// OPENING | abandon, down, RESTING            | abandon, down, RESTING
// RESTING | -                                 | connect, OPENING
// READY   | abandon, down, RESTING            | -
// BUSY    | end, abandon, lost, down, RESTING | end, abandon, silent, down, RESTING
// PAUSED  | end, abandon, lost, down, RESTING | send, BUSY
// "end" gives libtss2 an answer in place of the one that will not come. A sweep over a chip whose
// connections have a TPM each abandons and connects instead. RETRY and its like pause a command.

import {
  type Alarm,
  type Chip,
  type ChipEvents,
  type Clock,
  type Tpm,
  type TpmEvents,
  TpmOperation,
  type TpmRequest,
} from "../core/effects.ts";
import { assert, unreachable } from "../kit/assert.ts";
import { frameBytes } from "../kit/frame.ts";

/** How long a chip may take to connect, and the TPM to answer (the slowest made a key in 60 s). */
const OPEN_MS = 20_000;
const ANSWER_MS = 120_000;
/** Waits between attempts to connect, doubling. */
const REOPEN_MS_MIN = 1_000;
const REOPEN_MS_MAX = 60_000;
/** Waits before a command is repeated, doubling; and how long that may go on. */
const BUSY_MS_MIN = 20;
const BUSY_MS_MAX = 2_560;
const SLOW_MS_MIN = 1_000;
const SLOW_MS_MAX = 8_000;
const PAUSES_MS_MAX = 60_000;
/** Keys that one operation may need to have read first, and then some. */
const AIDS_MAX = 4;
const PASSWORD_BYTES_MAX = 64;

const RC_BUSY: readonly number[] = [0x908, 0x90a, 0x922];
const RC_SLOW: readonly number[] = [0x920, 0x923];
const RC_LOST = 0x000b000a;
const RC_SILENT = 0x00f00006;
const RC_UNKNOWN_OBJECT = 0x00f00002;
/** Base code of every "call again" of tpm2-tss. */
const TRY_AGAIN = 9;
/** Layers of tpm2-tss after whose errors its context is of no more use. */
const LAYER_ESYS = 7;
const LAYER_TCTI = 10;

/** What libtss2 gets when no response will come: to it an error of a resource manager. */
const NO_RESPONSE = new Uint8Array([0x80, 0x01, 0, 0, 0, 10, 0x00, 0x0b, 0x00, 0x0a]);
const NOTHING = new Uint8Array(0);

const CAPABILITY_HANDLES = 1;
const COUNT_MAX = 254;
/** What dies with a connection: transient objects, loaded and saved sessions (part 2, 7.4). */
const SWEPT_RANGES: readonly number[] = [0x80000000, 0x02000000, 0x03000000];

/** The operations of native/tpm.c. */
export interface Native {
  /** Begins anew: all objects and sessions are forgotten. */
  init(): number;
  /** Frees what init and the operations have taken. */
  fini(): void;
  start(request: TpmRequest): number;
  finish(response: Uint8Array): number;
  setPassword(hierarchy: number, password: Uint8Array): number;
  /** True when there is a command to send. */
  readonly hasCommand: boolean;
  /** Takes the command; valid until the next call. */
  takeCommand(): Uint8Array;
  readonly handle: number;
  readonly output: Uint8Array;
}

/** What the courier is at. */
export enum CourierState {
  CLOSED,
  OPENING,
  RESTING,
  READY,
  BUSY,
  PAUSED,
}

/** A request of core, and the operations that are left to do for it. */
interface Job {
  readonly ticket: number;
  readonly isSweep: boolean;
  readonly operations: TpmRequest[];
  aids: number;
  tries: number;
  pausedMs: number;
}

/** The TPM behind a chip. */
export class Courier implements Tpm, ChipEvents {
  state = CourierState.CLOSED;
  private readonly chip: Chip;
  private readonly alarm: Alarm;
  private readonly queue: Job[] = [];
  private job: Job | null = null;
  private isScheduled = false;
  private reopenMs = REOPEN_MS_MIN;

  /**
   * @param makeChip makes the chip that reports to the given events
   * @param makeAlarm makes a timer of its own that calls the given function, on `clock`'s time
   */
  constructor(
    private readonly events: TpmEvents,
    private readonly native: Native,
    private readonly clock: Clock,
    makeChip: (events: ChipEvents) => Chip,
    makeAlarm: (onAlarm: () => void) => Alarm,
  ) {
    this.chip = makeChip(this);
    this.alarm = makeAlarm(() => this.onAlarm());
  }

  open(): void {
    if (this.state === CourierState.CLOSED) this.connect();
  }

  close(): void {
    if (this.state === CourierState.CLOSED) return;
    this.job = null;
    this.queue.length = 0;
    this.reopenMs = REOPEN_MS_MIN;
    this.enter(CourierState.CLOSED, Number.POSITIVE_INFINITY);
    this.chip.abandon();
    this.native.fini();
  }

  perform(ticket: number, request: TpmRequest): void {
    this.put(ticket, false, [request]);
  }

  flushAll(ticket: number): void {
    this.put(ticket, true, SWEPT_RANGES.map(handlesFrom));
  }

  setPassword(hierarchy: number, password: Uint8Array): void {
    assert(password.length <= PASSWORD_BYTES_MAX, "a password of the TPM has at most 64 bytes");
    const rc = this.native.setPassword(hierarchy, password);
    assert(rc === 0, "the hierarchy is owner or endorsement");
  }

  onChipOpened(): void {
    if (this.state !== CourierState.OPENING) return;
    const rc = this.native.init();
    if (rc !== 0) return this.lose(`libtss2 does not start (0x${rc.toString(16)})`, rc);
    this.enter(CourierState.READY, Number.POSITIVE_INFINITY);
    if (this.job !== null) return this.answer(0);
    this.events.onTpmOpened();
    this.schedule();
  }

  onChipAnswer(response: Uint8Array): void {
    if (this.state !== CourierState.BUSY) return;
    const bytes = frameBytes(response, response.length);
    if (bytes === 0 || bytes !== response.length) {
      return this.lose(`no TPM response: ${response.length} bytes with an unsound head`);
    }
    this.reopenMs = REOPEN_MS_MIN;
    this.settle(this.native.finish(response));
  }

  onChipClosed(detail: string): void {
    if (this.state === CourierState.CLOSED || this.state === CourierState.RESTING) return;
    this.lose(detail);
  }

  private onAlarm(): void {
    switch (this.state) {
      case CourierState.OPENING:
        return this.lose(`no connection within ${OPEN_MS / 1000} s`);
      case CourierState.RESTING:
        return this.connect();
      case CourierState.BUSY:
        return this.lose(`no answer within ${ANSWER_MS / 1000} s`, RC_SILENT);
      case CourierState.PAUSED:
        // libtss2 resubmits by itself at first; later the operation is started again.
        return this.native.hasCommand ? this.send() : this.begin();
      case CourierState.CLOSED:
      case CourierState.READY:
        return;
      default:
        return unreachable(this.state);
    }
  }

  private put(ticket: number, isSweep: boolean, operations: TpmRequest[]): void {
    this.queue.push({ ticket, isSweep, operations, aids: 0, tries: 0, pausedMs: 0 });
    this.schedule();
  }

  private connect(): void {
    this.enter(CourierState.OPENING, this.clock.nowMs() + OPEN_MS);
    this.chip.open();
  }

  /** Looks at the queue once the caller has returned. */
  private schedule(): void {
    if (this.isScheduled || this.queue.length === 0) return;
    this.isScheduled = true;
    queueMicrotask(() => {
      this.isScheduled = false;
      this.pump();
    });
  }

  private pump(): void {
    if (this.job !== null || this.queue.length === 0) return;
    if (this.state !== CourierState.READY) {
      const { ticket } = this.queue.shift()!;
      this.events.onTpmDone(ticket, RC_LOST, 0, NOTHING);
      return this.schedule();
    }
    this.job = this.queue.shift()!;
    if (!this.job.isSweep || !this.chip.isManaged) return this.begin();
    this.chip.abandon();
    this.connect();
  }

  private begin(): void {
    const job = this.job!;
    const rc = this.native.start(job.operations[0]!);
    if (rc === 0) return this.send();
    if (rc === RC_UNKNOWN_OBJECT && job.aids < AIDS_MAX) {
      job.aids += 1;
      job.operations.unshift(operation(TpmOperation.READ_PUBLIC, this.native.handle));
      return this.begin();
    }
    if (isFatal(rc)) return this.lose(`libtss2 refuses to go on (0x${rc.toString(16)})`, rc);
    this.finish(rc);
  }

  private send(): void {
    this.enter(CourierState.BUSY, this.clock.nowMs() + ANSWER_MS);
    this.chip.send(this.native.takeCommand());
  }

  /** What follows from a code that libtss2 has made of a response. */
  private settle(rc: number): void {
    const job = this.job!;
    if ((rc & 0xffff) === TRY_AGAIN && this.native.hasCommand) {
      return this.pause(BUSY_MS_MIN, BUSY_MS_MAX);
    }
    if (job.pausedMs < PAUSES_MS_MAX) {
      if (RC_BUSY.includes(rc)) return this.pause(BUSY_MS_MIN, BUSY_MS_MAX);
      if (RC_SLOW.includes(rc)) return this.pause(SLOW_MS_MIN, SLOW_MS_MAX);
    }
    if (!isFatal(rc)) return this.finish(rc);
    this.lose(`libtss2 refuses the response (0x${rc.toString(16)})`, rc);
  }

  private pause(msMin: number, msMax: number): void {
    const job = this.job!;
    const ms = Math.min(msMin * 2 ** job.tries, msMax);
    job.tries += 1;
    job.pausedMs += ms;
    this.enter(CourierState.PAUSED, this.clock.nowMs() + ms);
  }

  /** The first operation of the job has ended: the next one, or the answer. */
  private finish(rc: number): void {
    const job = this.job!;
    const done = job.operations.shift()!;
    // A handle that was listed may be gone by itself.
    const isGone = job.isSweep && done.operation === TpmOperation.FLUSH;
    if (rc !== 0 && !isGone) return this.answer(rc);
    if (job.isSweep && done.operation === TpmOperation.CAPABILITY) {
      const handles = handlesOf(this.native.output);
      job.operations.push(...handles.map((handle) => operation(TpmOperation.FLUSH, handle)));
    }
    if (job.operations.length === 0) return this.answer(0);
    this.begin();
  }

  private answer(rc: number): void {
    const { ticket, isSweep } = this.job!;
    const isBare = rc !== 0 || isSweep;
    this.job = null;
    this.enter(CourierState.READY, Number.POSITIVE_INFINITY);
    const { handle, output } = this.native;
    this.events.onTpmDone(ticket, rc, isBare ? 0 : handle, isBare ? NOTHING : output);
    this.schedule();
  }

  /** Ends the connection and whatever was under way, and rests before the next attempt. */
  private lose(detail: string, rc = RC_LOST): void {
    const job = this.job;
    this.job = null;
    if (this.state === CourierState.BUSY || this.state === CourierState.PAUSED)
      this.native.finish(NO_RESPONSE);
    this.chip.abandon();
    this.enter(CourierState.RESTING, this.clock.nowMs() + this.reopenMs);
    this.reopenMs = Math.min(2 * this.reopenMs, REOPEN_MS_MAX);
    if (job !== null) this.events.onTpmDone(job.ticket, rc, 0, NOTHING);
    if (this.state === CourierState.RESTING) this.events.onTpmClosed(detail);
    this.schedule();
  }

  private enter(state: CourierState, deadlineMs: number): void {
    this.state = state;
    this.alarm.arm(deadlineMs);
  }
}

function operation(code: TpmOperation, a: number, b = 0, c = 0): TpmRequest {
  return { operation: code, a, b, c, d: 0, input: NOTHING };
}

function handlesFrom(range: number): TpmRequest {
  return operation(TpmOperation.CAPABILITY, CAPABILITY_HANDLES, range, COUNT_MAX);
}

/** Handles of a TPMS_CAPABILITY_DATA behind `moreData` (part 2, 10.10.1), as many as are whole. */
function handlesOf(output: Uint8Array): number[] {
  const view = new DataView(output.buffer, output.byteOffset, output.length);
  const handles: number[] = [];
  for (let at = 9; at + 4 <= output.length; at += 4) handles.push(view.getUint32(at));
  return handles;
}

function isFatal(rc: number): boolean {
  const layer = rc >>> 16;
  return (layer >= LAYER_ESYS && layer <= LAYER_TCTI) || (rc & 0xffff) === TRY_AGAIN;
}
