// Ladder: what is done when attempt after attempt fails: from fresh addresses up to a reboot.
// Neighbours: `agent` reports how connections end; `logbook` knows what the day still allows; the
// world writes the book and does what a rung says.
// Invariant: nothing is done before its cause is durable; each kind is done at most so often a day;
// nothing is done because the hub, or we, did not like the other's credentials.

// state     | failure | last failure        | remembered      | not remembered   | climbed
// WATCHING  | -       | remember, RECORDING | stray           | stray            | stray
// NOTING    | -       | -                   | WATCHING        | WATCHING         | stray
// RECORDING | -       | -                   | climb, CLIMBING | remember, NOTING | stray
// CLIMBING  | -       | -                   | stray           | stray            | remember, NOTING
//
// state     | refused          | up               | held             | deadline
// WATCHING  | -                | -                | -                | remember, NOTING
// NOTING    | -                | -                | -                | WATCHING
// RECORDING | remember, NOTING | remember, NOTING | remember, NOTING | remember, NOTING
// CLIMBING  | -                | -                | -                | remember, NOTING
// last failure: the one that makes a rung due; refused: one that no rung helps against. WATCHING
// has a deadline only while something is spent: the running time that gives it back is noted each
// 15 minutes. In NOTING the book is written to keep an outcome, and nothing depends on it.

import { unreachable } from "../kit/assert.ts";
import { isoUtc } from "../kit/time.ts";
import {
  CLIMB_MS,
  LADDER_DAY_MS,
  LADDER_NOTE_MS,
  REMEMBER_MS,
  RUNG_MS_MIN,
  STABLE_MS,
} from "../limits.ts";
import type { Counters } from "./counters.ts";
import { Cause, type Effects, Level } from "./effects.ts";
import { Logbook, RUNGS, Rung } from "./logbook.ts";

export enum LadderState {
  WATCHING,
  NOTING,
  RECORDING,
  CLIMBING,
}

/** How far the ladder may go. */
export interface LadderSettings {
  /** enable.recovery.on.connection.failure: false stops below the restart of the process. */
  readonly isEnabled: boolean;
  /** connection.recovery.max.failures: failures in a row from one rung to the next, from 1. */
  readonly failuresMax: number;
  /** Steps a day, by {@link Rung}; 0: there is no such rung here. */
  readonly perDay: readonly number[];
}

const NEVER = Number.POSITIVE_INFINITY;
const NAMES: { readonly [rung in Rung]: string } = {
  [Rung.REFRESH]: "fresh addresses and TLS session",
  [Rung.PROVISION]: "registration at DPS",
  [Rung.RESTART]: "restart of the process",
  [Rung.HOOK]: "network hook",
  [Rung.REBOOT]: "restart of the machine",
};

/** Counts failures and climbs. */
export class Ladder {
  state = LadderState.WATCHING;
  deadlineMs = NEVER;
  readonly book = new Logbook();
  /** Failures in a row that a rung could help against. */
  failures = 0;
  private rung = Rung.REFRESH;
  private ticket = 0;
  private startedMs = 0;
  private restMs = 0;
  private silentMs = 0;
  private boot = "";

  constructor(
    private readonly effects: Effects,
    private readonly counters: Counters,
    public settings: LadderSettings,
  ) {}

  /**
   * The process starts.
   * @param text what was last remembered; "" for nothing
   * @param boot names this run of the machine
   */
  start(text: string, boot: string, nowMs: number): void {
    this.startedMs = nowMs;
    this.boot = boot;
    if (!this.book.read(text)) {
      const why =
        "the logbook of the recovery cannot be read: nothing is done for a day of running";
      this.effects.log(Level.ERROR, why);
    }
    const last = this.book.climbs.at(-1);
    if (last?.outcome === "") {
      const isDone =
        last.rung === Rung.RESTART || (last.rung === Rung.REBOOT && last.boot !== boot);
      this.book.close(isDone ? "done" : "cut short");
      const outcome = isDone ? "follows" : "comes after an unfinished";
      const what = `${NAMES[last.rung]} of ${isoUtc(last.atS)}, because: ${last.text}`;
      this.effects.log(Level.WARNING, `this start ${outcome} ${what}`);
      if (last.rung === Rung.RESTART) this.rung = Rung.HOOK;
      this.remember(LadderState.NOTING, nowMs);
    } else this.watch(nowMs);
  }

  /**
   * An attempt failed, or a connection was lost.
   * @param text the diagnosis, one line
   */
  onFailure(cause: Cause, text: string, nowMs: number, wallS: number): void {
    const reach = reachOf(cause);
    if (reach < 0) return this.relax("not done: the other end answers", nowMs);
    if (this.failures++ === 0) this.restMs = Math.max(this.restMs, nowMs + RUNG_MS_MIN);
    const isDue = this.failures >= this.settings.failuresMax && nowMs >= this.restMs;
    if (this.state !== LadderState.WATCHING || !isDue) return;
    const rung = this.choice(reach, nowMs);
    if (rung < 0) return this.despair(nowMs);
    this.rung = rung;
    const cut = { rung, cause: Cause[cause]!, text, atS: wallS, boot: this.boot, outcome: "" };
    this.book.add(cut, this.ranMs(nowMs));
    this.remember(LadderState.RECORDING, nowMs);
  }

  /** A connection stands: what is not begun yet is not done. */
  onUp(nowMs: number): void {
    if (this.state === LadderState.RECORDING) this.finish("not done: connected again", nowMs);
  }

  /** A connection ended after `upMs`; a lasting one makes the next failure a first one. */
  onDown(upMs: number): void {
    if (upMs >= STABLE_MS) this.rest();
  }

  /** Nobody wants a connection, or the process ends. */
  onHeld(nowMs: number): void {
    this.relax("not done: no connection is wanted", nowMs);
  }

  /** The answer to `remember` with this ticket; false: the text is not durable. */
  onRemembered(ticket: number, isDurable: boolean, nowMs: number): void {
    const isAwaited = this.state === LadderState.NOTING || this.state === LadderState.RECORDING;
    if (ticket !== this.ticket || !isAwaited) {
      this.counters.stray++;
    } else if (this.state === LadderState.NOTING) {
      this.watch(nowMs);
    } else if (isDurable) {
      const text = this.book.climbs.at(-1)!.text;
      this.effects.log(Level.WARNING, `recovery: ${NAMES[this.rung]}, because: ${text}`);
      this.effects.climb(this.rung);
      this.enter(LadderState.CLIMBING, nowMs + CLIMB_MS);
    } else this.finish("not done: its cause could not be written down", nowMs);
  }

  /** What a rung says was done; `detail` is "" or one line that says what went wrong. */
  onClimbed(detail: string, nowMs: number): void {
    if (this.state !== LadderState.CLIMBING) this.counters.stray++;
    else this.finish(detail, nowMs);
  }

  /** Time has come to `deadlineMs`. */
  onDeadline(nowMs: number): void {
    if (nowMs < this.deadlineMs) return;
    switch (this.state) {
      case LadderState.WATCHING:
        return this.remember(LadderState.NOTING, nowMs);
      case LadderState.NOTING:
        return this.watch(nowMs);
      case LadderState.RECORDING:
        return this.finish("not done: its cause took too long to be written down", nowMs);
      case LadderState.CLIMBING:
        return this.finish("without an end", nowMs);
      default:
        return unreachable(this.state);
    }
  }

  /** True while the process shall end to be started again. */
  get isRestarting(): boolean {
    return this.state === LadderState.CLIMBING && this.rung === Rung.RESTART;
  }

  /** The next rung from here on up, then from below, that helps and that the day allows; or -1. */
  private choice(reach: number, nowMs: number): number {
    const top = this.settings.isEnabled ? reach : Math.min(reach, Rung.PROVISION);
    const ranMs = this.ranMs(nowMs);
    for (let step = 0; step < RUNGS; step++) {
      const rung = (this.rung + step) % RUNGS;
      if (rung <= top && this.book.left(rung, this.settings.perDay[rung]!, ranMs) > 0) return rung;
    }
    return -1;
  }

  /** Nothing is left: said once a day. */
  private despair(nowMs: number): void {
    const isBare = this.settings.perDay.every((count) => count === 0);
    if (isBare || nowMs < this.silentMs) return;
    this.silentMs = nowMs + LADDER_DAY_MS;
    const text = "recovery: all that may be done in a day was done; attempts go on";
    this.effects.log(Level.WARNING, text);
  }

  private finish(detail: string, nowMs: number): void {
    this.book.close(detail === "" ? "done" : detail);
    if (detail !== "") this.effects.log(Level.WARNING, `recovery: ${NAMES[this.rung]}: ${detail}`);
    this.rung = (this.rung + 1) % RUNGS;
    this.failures = 0;
    this.restMs = nowMs + RUNG_MS_MIN;
    this.remember(LadderState.NOTING, nowMs);
  }

  /** The network is well, or nobody's concern; `outcome` is that of a rung not climbed yet. */
  private relax(outcome: string, nowMs: number): void {
    if (this.state === LadderState.RECORDING) this.finish(outcome, nowMs);
    this.rest();
  }

  /** The next failure is a first one, and the ladder begins at its foot. */
  private rest(): void {
    this.failures = 0;
    if (this.state === LadderState.WATCHING || this.state === LadderState.NOTING) {
      this.rung = Rung.REFRESH;
    }
  }

  private ranMs(nowMs: number): number {
    return this.book.earlierMs + nowMs - this.startedMs;
  }

  private remember(state: LadderState, nowMs: number): void {
    this.ticket++;
    this.effects.remember(this.ticket, this.book.write(this.ranMs(nowMs)));
    this.enter(state, nowMs + REMEMBER_MS);
  }

  private watch(nowMs: number): void {
    const isOwing = this.book.isOwing(this.ranMs(nowMs));
    this.enter(LadderState.WATCHING, isOwing ? nowMs + LADDER_NOTE_MS : NEVER);
  }

  private enter(state: LadderState, deadlineMs: number): void {
    this.state = state;
    this.deadlineMs = deadlineMs;
  }
}

/**
 * The highest rung that can help against a failure, -1 for none: what the other end says of us, or
 * we of it, is not mended by doing things again. A cause that is not listed gets none.
 */
export function reachOf(cause: Cause): number {
  switch (cause) {
    case Cause.NAME_NOT_FOUND:
    case Cause.NAME_LOOKUP_FAILED:
    case Cause.REFUSED:
    case Cause.UNREACHABLE:
    case Cause.TCP_RESET:
    case Cause.SOCKET_FAILED:
    case Cause.DIAL_TIMEOUT:
    case Cause.TLS_TIMEOUT:
    case Cause.CONNACK_TIMEOUT:
    case Cause.SUBACK_TIMEOUT:
    case Cause.PUBACK_TIMEOUT:
    case Cause.PINGRESP_TIMEOUT:
    case Cause.TWIN_TIMEOUT:
    case Cause.SIGN_TIMEOUT:
    case Cause.PROXY_UNREACHABLE:
    case Cause.PROXY_TIMEOUT:
    case Cause.WEBSOCKET_TIMEOUT:
    case Cause.DPS_FAILED:
      return Rung.REBOOT;
    // Somebody answers, so the network is not what a reboot could mend.
    case Cause.CLOSED_BY_PEER:
    case Cause.TLS_HANDSHAKE_FAILED:
    case Cause.CONNACK_UNAVAILABLE:
    case Cause.PROTOCOL_VIOLATION:
    case Cause.CONGESTED:
    case Cause.PROXY_FAILED:
    case Cause.PROXY_BROKEN:
    case Cause.WEBSOCKET_BROKEN:
      return Rung.RESTART;
    default:
      return -1;
  }
}
