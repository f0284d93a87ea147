// Keeper: what keeps a gateway going while nobody looks: owns schedule, ladder, pulse and metrics,
// and tells them what happens around them.
// Neighbours: `machines` builds it, `agent` tells it of connections; the turn carries out what its
// machines ask for.
// Invariant: a message counts as heard of once, however many steps see it.

import { PRIORITIES } from "../kit/key.ts";
import { EXIT_RESTART } from "../limits.ts";
import type { MetricsSettings } from "./care.ts";
import type { Counters } from "./counters.ts";
import type { Effects } from "./effects.ts";
import { JournalState } from "./journal.ts";
import { Ladder } from "./ladder.ts";
import { Metrics } from "./metrics.ts";
import type { Outbox } from "./outbox.ts";
import { Pulse } from "./pulse.ts";
import { Schedule } from "./schedule.ts";
import type { Settings } from "./settings.ts";
import { Fate } from "./tally.ts";
import type { Traffic } from "./traffic.ts";

/** Name of the logbook's text in the store. */
export const LOGBOOK = "ladder";
/** Stands for a logbook that nobody can read. */
const UNREAD = "the store did not open";
const NEVER = Number.POSITIVE_INFINITY;

/** Schedule, ladder, pulse and metrics. */
export class Keeper {
  readonly schedule: Schedule;
  readonly ladder: Ladder;
  readonly pulse: Pulse;
  readonly metrics = new Metrics();
  /** Messages accepted so far that the schedule knows of, by priority. */
  private readonly accepted = new Float64Array(PRIORITIES);
  /** All else that counts as activity. */
  private heard = 0;
  private inactivityMs: number;

  constructor(
    effects: Effects,
    private readonly counters: Counters,
    private readonly outbox: Outbox,
    private readonly traffic: Traffic,
    private readonly settings: Pick<Settings, "schedule" | "recovery" | "metrics">,
  ) {
    this.schedule = new Schedule(effects, settings.schedule);
    this.ladder = new Ladder(effects, counters, settings.recovery);
    this.pulse = new Pulse(effects);
    this.inactivityMs = settings.schedule.inactivityS * 1000;
  }

  /**
   * The store is open, and no connection stands.
   * @param machine names this run of the machine
   */
  start(machine: string, nowMs: number, wallS: number): void {
    const { journal } = this.outbox;
    // Without the book nobody knows what the day has seen, and nothing more may be done in it.
    const text = journal.state === JournalState.LOST ? UNREAD : journal.get(LOGBOOK);
    this.ladder.start(text, machine, nowMs);
    this.configure(this.settings, false, nowMs, wallS);
    this.schedule.onDown(this.hasUrgent, nowMs, wallS);
  }

  /** New settings. @param isUp a connection stands */
  configure(
    { schedule, recovery, metrics }: Pick<Settings, "schedule" | "recovery" | "metrics">,
    isUp: boolean,
    nowMs: number,
    wallS: number,
  ): void {
    this.inactivityMs = schedule.inactivityS * 1000;
    this.schedule.configure(schedule, isUp, nowMs, wallS);
    this.ladder.settings = recovery;
    this.metrics.configure(intervalOf(metrics), nowMs);
    this.hear(() => {});
  }

  /** A connection stands. */
  onUp(nowMs: number): void {
    this.schedule.onUp(nowMs);
    this.ladder.onUp(nowMs);
  }

  /** A connection ended after `upMs`, or was not made: 0. */
  onDown(upMs: number, nowMs: number, wallS: number): void {
    this.schedule.onDown(this.hasUrgent, nowMs, wallS);
    this.ladder.onDown(upMs);
  }

  /** Nobody wants a connection any more: an operator says so, or the process ends. */
  onHeld(nowMs: number): void {
    this.schedule.onHeld();
    this.ladder.onHeld(nowMs);
  }

  /** A step is over: looks what it has brought. */
  onStep(nowMs: number): void {
    const { schedule } = this;
    if (!schedule.isOn) return;
    if (this.hear((priority) => schedule.onMessage(priority, nowMs))) schedule.onActivity(nowMs);
  }

  /** Time has come to {@link nextMs}. */
  onDeadline(nowMs: number, wallS: number): void {
    this.schedule.onDeadline(this.undelivered(nowMs), nowMs, wallS);
    this.ladder.onDeadline(nowMs);
  }

  /** The next moment at which something is due here, in monotonic ms. */
  get nextMs(): number {
    const { schedule, ladder, pulse, metrics } = this;
    const next = Math.min(schedule.deadlineMs, ladder.deadlineMs);
    return Math.min(next, pulse.deadlineMs, metrics.deadlineMs);
  }

  /** What the process ends with when it was stopped. */
  get exitCode(): number {
    return this.ladder.isRestarting ? EXIT_RESTART : 0;
  }

  /** Whether a message waits that does not wait for the calendar. */
  private get hasUrgent(): boolean {
    for (let priority = 0; priority < PRIORITIES; priority++) {
      if (this.schedule.isUrgent(priority) && this.outbox.countOf(priority) > 0) return true;
    }
    return false;
  }

  /** What a connection is kept for: requests without an answer, and messages that may go. */
  private undelivered(nowMs: number): number {
    const { outbox, traffic } = this;
    const { journal, resumeMs, waiting } = outbox;
    // A rate limit that lets none go for so long, or a store that is away, is not waited for.
    const isLimited = resumeMs !== NEVER && resumeMs > nowMs + this.inactivityMs;
    const mayGo = !isLimited && journal.state !== JournalState.LOST;
    return (traffic.waitingSinceMs === NEVER ? 0 : 1) + (mayGo ? waiting : 0);
  }

  /** Tells of messages accepted since the last time; true when anything else has happened. */
  private hear(onMessage: (priority: number) => void): boolean {
    const { counters, outbox, accepted } = this;
    const { tally } = outbox;
    for (let priority = 0; priority < PRIORITIES; priority++) {
      const count = tally.of(priority, Fate.ACCEPTED);
      if (count === accepted[priority]) continue;
      accepted[priority] = count;
      onMessage(priority);
    }
    const { desired, desiredStale, desiredGaps, unhandled } = counters;
    const before = this.heard;
    this.heard = tally.sum(Fate.ACKNOWLEDGED) + desired + desiredStale + desiredGaps + unhandled;
    return this.heard !== before;
  }
}

/** Time between two texts, in ms; 0: nobody is told. */
function intervalOf({ file, port, intervalS }: MetricsSettings): number {
  return file === "" && port === 0 ? 0 : intervalS * 1000;
}
