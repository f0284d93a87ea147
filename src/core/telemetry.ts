// Telemetry: the built-in message that says, every so often, that this gateway lives and how.
// Neighbours: `outbox` takes its messages; `lamps` and `counters` are what it tells of.
// Invariant: messages are made on schedule whether connected or not; a stall makes one message
// late, never a burst; each carries its id `boot.sequence`.

import { encodeBag } from "../codec/bag.ts";
import { isoUtc } from "../kit/time.ts";
import { type Effects, Level } from "./effects.ts";
import type { Lamps } from "./lamps.ts";
import { type Outbox, Refused } from "./outbox.ts";
import type { TelemetrySettings } from "./settings.ts";

const NEVER = Number.POSITIVE_INFINITY;
const encoder = new TextEncoder();

/** Makes a message every `intervalMs`; 0 makes none. */
export class Telemetry {
  deadlineMs = NEVER;
  sequence = 0;
  private startedMs = 0;
  private complained = Refused.NO;

  /**
   * @param boot tells this run of the process from all others; part of each message's id
   */
  constructor(
    private readonly effects: Effects,
    private readonly outbox: Outbox,
    private readonly lamps: Lamps,
    private readonly boot: string,
    private settings: TelemetrySettings,
  ) {}

  start(nowMs: number): void {
    this.startedMs = nowMs;
    this.schedule(nowMs);
  }

  /** A new interval counts from now; the same one changes nothing. */
  configure(settings: TelemetrySettings, nowMs: number): void {
    const isSame = settings.intervalS === this.settings.intervalS;
    this.settings = settings;
    if (!isSame) this.schedule(nowMs);
  }

  /** Makes no more messages. */
  stop(): void {
    this.deadlineMs = NEVER;
  }

  /** @param wallS calendar time for the message's own time stamp */
  onDeadline(nowMs: number, wallS: number): void {
    if (nowMs < this.deadlineMs) return;
    const { intervalMs } = this;
    const late = nowMs - this.deadlineMs;
    this.deadlineMs = nowMs - (late % intervalMs) + intervalMs;
    this.make(nowMs, wallS);
  }

  private schedule(nowMs: number): void {
    this.deadlineMs = this.intervalMs === 0 ? NEVER : nowMs + this.intervalMs;
  }

  private get intervalMs(): number {
    return this.settings.intervalS * 1000;
  }

  private make(nowMs: number, wallS: number): void {
    this.sequence++;
    const body: Record<string, unknown> = {
      sequence: this.sequence,
      time: isoUtc(wallS),
      uptimeS: Math.floor((nowMs - this.startedMs) / 1000),
    };
    for (const lamp of this.lamps.all) body[lamp.name] = lamp.lit;
    this.offer(JSON.stringify(body), wallS);
  }

  private offer(body: string, wallS: number): void {
    const bag = encodeBag([
      ["$.mid", `${this.boot}.${this.sequence}`],
      ["$.ct", "application/json"],
      ["$.ce", "utf-8"],
    ]);
    const { priority, ttlS } = this.settings;
    const refused = this.outbox.offer(priority, ttlS, bag, encoder.encode(body), wallS);
    if (refused === this.complained) return;
    this.complained = refused;
    if (refused === Refused.NO) this.effects.log(Level.NOTICE, "telemetry is accepted again");
    else this.effects.log(Level.WARNING, `telemetry is refused: ${REFUSALS[refused]}`);
  }
}

const REFUSALS = ["", "the queue is full", "the message is too long", "the store takes nothing"];
