// Schedule: when a metered link is to be up: from a moment of the calendar until nothing is left to
// say (Kura's connection.schedule.*).
// Neighbours: `agent` tells it what happens and then looks whether it `wants` a connection; the
// calendar behind the effect `plan` knows the expression.
// Invariant: a connection is never given up with messages that wait or are in flight.

// state              | time             | message | urgent        | activity
// OFF                | -                | -       | -             | -
// AWAIT_CONNECT_TIME | AWAIT_CONNECT    | -       | AWAIT_CONNECT | -
// AWAIT_CONNECT      | -                | -       | -             | -
// AWAIT_QUIET        | AWAIT_DISCONNECT | (later) | (later)       | (later)
// AWAIT_DISCONNECT   | -                | -       | -             | -
// HELD               | -                | -       | -             | -
//
// state              | up          | down                     | down, urgent  | asked
// OFF                | -           | -                        | -             | -
// AWAIT_CONNECT_TIME | AWAIT_QUIET | -                        | AWAIT_CONNECT | AWAIT_CONNECT
// AWAIT_CONNECT      | AWAIT_QUIET | -                        | -             | -
// AWAIT_QUIET        | -           | AWAIT_CONNECT            | AWAIT_CONNECT | (later)
// AWAIT_DISCONNECT   | -           | plan, AWAIT_CONNECT_TIME | AWAIT_CONNECT | AWAIT_CONNECT
// HELD               | AWAIT_QUIET | -                        | -             | AWAIT_CONNECT
//
// state              | held | off | on
// OFF                | -    | -   | plan, AWAIT_CONNECT_TIME
// AWAIT_CONNECT_TIME | HELD | OFF | plan
// AWAIT_CONNECT      | HELD | OFF | plan, AWAIT_CONNECT_TIME
// AWAIT_QUIET        | HELD | OFF | (later)
// AWAIT_DISCONNECT   | HELD | OFF | -
// HELD               | -    | OFF | -
// time: the moment planned for, or the end of the inactivity interval with nothing undelivered.
// (later): the inactivity interval begins anew. A clock that jumps makes a new plan.

import { unreachable } from "../kit/assert.ts";
import { isoUtc } from "../kit/time.ts";
import { CLOCK_JUMP_S, CLOCK_LOOK_MS, CLOCK_MISSED_S_MAX } from "../limits.ts";
import { type Effects, Level } from "./effects.ts";

export enum ScheduleState {
  OFF,
  AWAIT_CONNECT_TIME,
  AWAIT_CONNECT,
  AWAIT_QUIET,
  AWAIT_DISCONNECT,
  HELD,
}

/** connection.schedule.* of the settings. */
export interface ScheduleSettings {
  readonly isEnabled: boolean;
  /** A message of this priority or a more urgent one connects at once; -1: none does. */
  readonly overrideThreshold: number;
  /** Time without a message or an acknowledgement before the connection ends, in s, from 1. */
  readonly inactivityS: number;
}

const NEVER = Number.POSITIVE_INFINITY;

/** Decides when a connection is wanted by the calendar. */
export class Schedule {
  state = ScheduleState.OFF;
  deadlineMs = NEVER;
  /** The next connection, in Unix s; Infinity: not known, or none. */
  nextS = NEVER;
  private markMs = 0;
  private markS = 0;

  constructor(
    private readonly effects: Effects,
    private settings: ScheduleSettings,
  ) {}

  /** False: the schedule has no say, the rest of the settings decides. */
  get isOn(): boolean {
    return this.state !== ScheduleState.OFF;
  }

  /** True while a connection shall be made or kept. */
  get wants(): boolean {
    return this.state === ScheduleState.AWAIT_CONNECT || this.state === ScheduleState.AWAIT_QUIET;
  }

  /** True for a priority (0 first) that does not wait for the calendar. */
  isUrgent(priority: number): boolean {
    return priority <= this.settings.overrideThreshold;
  }

  /**
   * The process starts, or the settings are new.
   * @param isUp a connection stands
   */
  configure(settings: ScheduleSettings, isUp: boolean, nowMs: number, wallS: number): void {
    this.settings = settings;
    if (!settings.isEnabled) return this.enter(ScheduleState.OFF, NEVER);
    switch (this.state) {
      case ScheduleState.OFF:
      case ScheduleState.AWAIT_CONNECT_TIME:
      case ScheduleState.AWAIT_CONNECT:
        return isUp ? this.linger(nowMs) : this.plan(nowMs, wallS);
      case ScheduleState.AWAIT_QUIET:
        return this.linger(nowMs);
      case ScheduleState.AWAIT_DISCONNECT:
      case ScheduleState.HELD:
        return;
      default:
        return unreachable(this.state);
    }
  }

  /** The calendar's answer to `plan`: the next occurrence in Unix s, Infinity for none. */
  onPlanned(nextS: number, nowMs: number, wallS: number): void {
    if (this.state !== ScheduleState.AWAIT_CONNECT_TIME) return;
    this.nextS = nextS;
    const text = nextS === NEVER ? "has no further connection" : `connects at ${isoUtc(nextS)}`;
    this.effects.log(Level.INFO, `the connection schedule ${text}`);
    this.sleep(nowMs, wallS);
  }

  /** @param undelivered messages that wait or are in flight */
  onDeadline(undelivered: number, nowMs: number, wallS: number): void {
    if (nowMs < this.deadlineMs) return;
    switch (this.state) {
      case ScheduleState.AWAIT_CONNECT_TIME:
        return this.look(nowMs, wallS);
      case ScheduleState.AWAIT_QUIET:
        if (undelivered > 0) return this.linger(nowMs);
        return this.enter(ScheduleState.AWAIT_DISCONNECT, NEVER);
      case ScheduleState.OFF:
      case ScheduleState.AWAIT_CONNECT:
      case ScheduleState.AWAIT_DISCONNECT:
      case ScheduleState.HELD:
        return;
      default:
        return unreachable(this.state);
    }
  }

  /** A message of this priority was accepted. */
  onMessage(priority: number, nowMs: number): void {
    const isWaiting = this.state === ScheduleState.AWAIT_CONNECT_TIME;
    if (isWaiting && this.isUrgent(priority)) this.enter(ScheduleState.AWAIT_CONNECT, NEVER);
    else this.onActivity(nowMs);
  }

  /** A message went out or was acknowledged, or the hub sent something. */
  onActivity(nowMs: number): void {
    if (this.state === ScheduleState.AWAIT_QUIET) this.linger(nowMs);
  }

  /** A connection stands, whoever wanted it. */
  onUp(nowMs: number): void {
    switch (this.state) {
      case ScheduleState.AWAIT_CONNECT_TIME:
      case ScheduleState.AWAIT_CONNECT:
      case ScheduleState.HELD:
        return this.linger(nowMs);
      case ScheduleState.OFF:
      case ScheduleState.AWAIT_QUIET:
      case ScheduleState.AWAIT_DISCONNECT:
        return;
      default:
        return unreachable(this.state);
    }
  }

  /**
   * There is no connection: it ended, was lost, or there never was one since the start.
   * @param hasUrgent a message waits that does not wait for the calendar
   */
  onDown(hasUrgent: boolean, nowMs: number, wallS: number): void {
    switch (this.state) {
      case ScheduleState.AWAIT_CONNECT_TIME:
        if (hasUrgent) this.enter(ScheduleState.AWAIT_CONNECT, NEVER);
        return;
      case ScheduleState.AWAIT_QUIET:
        return this.enter(ScheduleState.AWAIT_CONNECT, NEVER);
      case ScheduleState.AWAIT_DISCONNECT:
        if (hasUrgent) return this.enter(ScheduleState.AWAIT_CONNECT, NEVER);
        return this.plan(nowMs, wallS);
      case ScheduleState.OFF:
      case ScheduleState.AWAIT_CONNECT:
      case ScheduleState.HELD:
        return;
      default:
        return unreachable(this.state);
    }
  }

  /** An operator wants a connection. */
  onAsked(nowMs: number): void {
    if (this.state === ScheduleState.OFF || this.state === ScheduleState.AWAIT_CONNECT) return;
    if (this.state === ScheduleState.AWAIT_QUIET) this.linger(nowMs);
    else this.enter(ScheduleState.AWAIT_CONNECT, NEVER);
  }

  /** An operator wants none, until told otherwise. */
  onHeld(): void {
    if (this.state !== ScheduleState.OFF) this.enter(ScheduleState.HELD, NEVER);
  }

  /** Is it time, or has somebody set the clock? */
  private look(nowMs: number, wallS: number): void {
    const jumpS = wallS - this.markS - (nowMs - this.markMs) / 1000;
    const hasCome = wallS >= this.nextS;
    // A moment that was jumped over is made up for, unless the old time made no sense at all.
    if (hasCome && jumpS <= CLOCK_MISSED_S_MAX) this.enter(ScheduleState.AWAIT_CONNECT, NEVER);
    else if (hasCome || Math.abs(jumpS) > CLOCK_JUMP_S) this.plan(nowMs, wallS);
    else this.sleep(nowMs, wallS);
  }

  private plan(nowMs: number, wallS: number): void {
    this.nextS = NEVER;
    this.sleep(nowMs, wallS);
    this.effects.plan();
  }

  /** Until the moment planned for, but not so long that a jump of the clock goes unseen. */
  private sleep(nowMs: number, wallS: number): void {
    this.markMs = nowMs;
    this.markS = wallS;
    const waitMs = Math.max(0, (this.nextS - wallS) * 1000);
    this.enter(ScheduleState.AWAIT_CONNECT_TIME, nowMs + Math.min(waitMs, CLOCK_LOOK_MS));
  }

  private linger(nowMs: number): void {
    this.enter(ScheduleState.AWAIT_QUIET, nowMs + this.settings.inactivityS * 1000);
  }

  private enter(state: ScheduleState, deadlineMs: number): void {
    this.state = state;
    this.deadlineMs = deadlineMs;
  }
}
