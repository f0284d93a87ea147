// Pulse: signs of life for the watchdogs, given by the turn itself.
// Neighbours: the turn calls it at the end of each step and carries out `feed`; the ports know how
// long the watchdogs wait; `ladder` says when a reboot was asked for.
// Invariant: a loop that hangs gives no sign; an idle one wakes for PULSES signs within the time
// that a watchdog gives. A reboot that does not come is left to the hardware.

// state   | opened  | turn | reboot | closed | last
// OFF     | BEATING | -    | -      | -      | -
// BEATING | -       | feed | LAST   | OFF    | feed
// LAST    | -       | feed | -      | OFF    | feed, SILENT
// SILENT  | -       | feed | -      | OFF    | feed
// turn: at the moment of the next sign; last: at the one after which a reboot is overdue. In SILENT
// only the service manager is fed: a restart of the process would save the machine from its reset.

import { assert, unreachable } from "../kit/assert.ts";
import { PULSE_LAST_MS, PULSE_MS_MIN, PULSES } from "../limits.ts";
import type { Effects } from "./effects.ts";

export enum PulseState {
  OFF,
  BEATING,
  LAST,
  SILENT,
}

const NEVER = Number.POSITIVE_INFINITY;

/** Paces the signs of life. */
export class Pulse {
  state = PulseState.OFF;
  /** The next sign, in monotonic ms; Infinity: none. */
  deadlineMs = NEVER;
  private intervalMs = NEVER;
  private lastMs = NEVER;

  constructor(private readonly effects: Effects) {}

  /** Watchdogs wait from now on; the shortest of their times is `timeoutMs`, from 1. */
  onOpened(timeoutMs: number, nowMs: number): void {
    if (this.state !== PulseState.OFF) return;
    assert(timeoutMs > 0, "a watchdog gives some time");
    this.intervalMs = Math.max(PULSE_MS_MIN, Math.floor(timeoutMs / PULSES));
    this.enter(PulseState.BEATING, nowMs);
  }

  /** A turn ends; gives a sign when one is due. */
  onTurn(nowMs: number): void {
    if (nowMs < this.deadlineMs) return;
    const isOver = this.state === PulseState.LAST && nowMs >= this.lastMs;
    if (isOver) this.enter(PulseState.SILENT, nowMs);
    switch (this.state) {
      case PulseState.OFF:
        return;
      case PulseState.BEATING:
      case PulseState.LAST:
      case PulseState.SILENT:
        this.effects.feed(this.state !== PulseState.SILENT);
        return this.enter(this.state, nowMs + this.intervalMs);
      default:
        return unreachable(this.state);
    }
  }

  /** The machine was told to restart. */
  onReboot(nowMs: number): void {
    if (this.state !== PulseState.BEATING) return;
    this.lastMs = nowMs + PULSE_LAST_MS;
    this.enter(PulseState.LAST, this.deadlineMs);
  }

  /** The watchdogs are closed: the process ends of its own will. */
  onClosed(): void {
    this.enter(PulseState.OFF, NEVER);
  }

  private enter(state: PulseState, deadlineMs: number): void {
    this.state = state;
    this.deadlineMs = deadlineMs;
  }
}
