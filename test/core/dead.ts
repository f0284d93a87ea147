// Dead: a gateway whose network is dead, for days, with its ladder, its store and its starts.
// Neighbours: `outage.test` lets it run; `ladder.test` borrows its failures.
// Invariant: what one run of the process leaves to the next is the text that was remembered.

import { Cause, Verb } from "../../src/core/effects.ts";
import { Ladder, type LadderSettings } from "../../src/core/ladder.ts";
import { Rung } from "../../src/core/logbook.ts";
import { World } from "./world.ts";

export const ALL: LadderSettings = { isEnabled: true, failuresMax: 10, perDay: [24, 12, 4, 4, 2] };
export const WALL_S = 1_800_000_000;
export const MINUTE_MS = 60_000;
export const DAY_MS = 24 * 60 * MINUTE_MS;
export const TEXT = "no answer from hub.example:8883";

/** A failure a minute, `count` of them; the time after the last. */
export function fail(
  ladder: Ladder,
  fromMs: number,
  count: number,
  cause = Cause.DIAL_TIMEOUT,
): number {
  for (let one = 0; one < count; one++) {
    ladder.onFailure(cause, TEXT, fromMs + one * MINUTE_MS, WALL_S);
  }
  return fromMs + count * MINUTE_MS;
}

/** A gateway whose network is dead: a minute an attempt, writes and rungs answered at once. */
export class Dead {
  readonly world = new World();
  /** What the store holds. */
  text = "";
  readonly climbs: { rung: Rung; atMs: number }[] = [];
  ladder: Ladder;
  /** Since the process and the machine started, and since the beginning. */
  nowMs = 0;
  totalMs = 0;
  boots = 1;

  constructor(
    private readonly settings: LadderSettings = ALL,
    private readonly cause = Cause.DIAL_TIMEOUT,
  ) {
    this.ladder = this.begin();
  }

  begin(): Ladder {
    this.world.effects.count = 0;
    this.ladder = new Ladder(this.world.effects, this.world.counters, this.settings);
    this.nowMs = 0;
    this.ladder.start(this.text, `b${this.boots}`, 0);
    this.carryOut();
    return this.ladder;
  }

  pass(minutes: number): void {
    for (let minute = 0; minute < minutes; minute++) {
      this.nowMs += MINUTE_MS;
      this.totalMs += MINUTE_MS;
      this.ladder.onDeadline(this.nowMs);
      this.carryOut();
      this.ladder.onFailure(this.cause, TEXT, this.nowMs, WALL_S);
      this.carryOut();
    }
  }

  countOf(rung: Rung): number {
    return this.climbs.filter((climb) => climb.rung === rung).length;
  }

  private carryOut(): void {
    const { effects } = this.world;
    for (let slot = 0; slot < effects.count; slot++) {
      const { verbs, numbers, texts } = effects;
      const verb = verbs[slot]!;
      if (verb === Verb.REMEMBER) {
        this.text = texts[slot]!;
        this.ladder.onRemembered(numbers[slot]!, true, this.nowMs);
      }
      if (verb === Verb.CLIMB) {
        const rung = numbers[slot]!;
        this.climbs.push({ rung, atMs: this.totalMs });
        if (rung === Rung.REBOOT) this.boots++;
        if (rung === Rung.REBOOT || rung === Rung.RESTART) return void this.begin();
        this.ladder.onClimbed("", this.nowMs);
      }
    }
    effects.count = 0;
  }
}
