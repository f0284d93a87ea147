// Metered: days of a link that is paid for by the minute, under the connection schedule.
// Neighbours: `stage` is where it plays; `scene` is its command line.
// Invariant: the bill is the link's own: a link counts from its dialling to its end.

import { AgentState } from "../../src/core/state.ts";
import { Stage } from "./stage.ts";
import type { Waits } from "./stopwatch.ts";
import { Network } from "./uplink.ts";

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
/** A window each four hours of UTC. */
const WINDOW_S = 4 * 3600;
const ALARM = 1;
const ALARM_BYTES = 80;
const ALARM_MS_MAX = 6 * HOUR_MS;
/** Of a link over the mobile network. */
const LATENCY_MS = 150;
const CUT_CHANCE = 0.3;
/** States in which there is a link, or one is being made. */
const LINKED = new Set([AgentState.LINKING, AgentState.ONLINE, AgentState.PAUSING]);

/** How it is played. */
export interface MeteredSetup {
  readonly seed: number;
  readonly hours: number;
  /** With clocks that jump, links that fall, dead networks and power cuts. */
  readonly isTroubled: boolean;
  /** Quiet time after which the link is given up. */
  readonly inactivityS?: number;
}

/** What came of it. */
export interface MeteredOutcome {
  readonly accepted: number;
  readonly lost: number;
  readonly duplicates: number;
  /** In the hours of the scene; what a window after them brings is not counted. */
  readonly windows: number;
  readonly connections: number;
  readonly linkMinutes: number;
  /** Waits of alarms from durable to PUBACK. */
  readonly alarms: Waits;
  /** DISCONNECTs, and those with a message that had no PUBACK. */
  readonly hangups: number;
  readonly early: number;
  readonly jumps: number;
  readonly cuts: number;
  readonly outages: number;
  readonly powerCuts: number;
  readonly violations: readonly string[];
}

/** Troubles of a run, by kind. */
class Troubles {
  jumps = 0;
  cuts = 0;
  outages = 0;
  powerCuts = 0;
  private isOver = false;

  constructor(
    private readonly stage: Stage,
    private readonly inactivityS: number,
  ) {
    this.repeat(4 * HOUR_MS, () => this.jump());
    this.repeat(12 * HOUR_MS, () => this.breakNetwork());
    this.repeat(18 * HOUR_MS, () => this.cutPower());
    stage.stopwatch.onConnect = () => this.threaten();
  }

  /** From now on all is well. */
  end(): void {
    this.isOver = true;
    this.stage.gateway.uplink.network = Network.UP;
    this.stage.gateway.restore();
  }

  private repeat(mostMs: number, act: () => void): void {
    const { stage } = this;
    stage.clockwork.after(stage.prng.between(mostMs / 2, mostMs), () => {
      if (this.isOver) return;
      act();
      this.repeat(mostMs, act);
    });
  }

  /** Somebody sets the clock by up to 20 minutes, or right. */
  private jump(): void {
    const { prng, gateway } = this.stage;
    this.jumps++;
    gateway.skewS = prng.chance(0.3) ? 0 : prng.between(-1200, 1200);
  }

  /** Some of the connections fall, loudly or not, while something is being said or is over. */
  private threaten(): void {
    const { gateway, prng, clockwork } = this.stage;
    if (this.isOver || !prng.chance(CUT_CHANCE)) return;
    const isLoud = prng.chance(0.5);
    const share = prng.unit() ** 3;
    clockwork.after(LATENCY_MS + share * this.inactivityS * SECOND_MS, () => {
      if (this.isOver || gateway.isOff) return;
      this.cuts++;
      if (isLoud) gateway.uplink.cut();
      else gateway.uplink.deaden();
    });
  }

  private breakNetwork(): void {
    const { gateway, prng, clockwork } = this.stage;
    const isLoud = prng.chance(0.5);
    this.outages++;
    if (isLoud) gateway.uplink.cut();
    else gateway.uplink.deaden();
    gateway.uplink.network = isLoud ? Network.DOWN : Network.SILENT;
    clockwork.after(prng.between(MINUTE_MS, 40 * MINUTE_MS), () => {
      gateway.uplink.network = Network.UP;
    });
  }

  private cutPower(): void {
    const { gateway, prng, clockwork } = this.stage;
    this.powerCuts++;
    gateway.cut();
    clockwork.after(prng.between(SECOND_MS, 10 * MINUTE_MS), () => gateway.restore());
  }
}

/** Plays it. */
export function playMetered(setup: MeteredSetup): MeteredOutcome {
  const { seed, hours, isTroubled, inactivityS = 60 } = setup;
  const parts = {
    data: { inFlightMax: 8, connectSpreadS: 0 },
    telemetry: { intervalS: 600, priority: 7 },
    schedule: { isEnabled: true, overrideThreshold: ALARM, inactivityS },
  };
  const calendar = { nextS: (wallS: number) => (Math.floor(wallS / WINDOW_S) + 1) * WINDOW_S };
  const stage = new Stage(seed, { parts, calendar, latencyMs: LATENCY_MS, slowChance: 0.001 });
  const { gateway, stopwatch } = stage;
  gateway.start();
  const troubles = isTroubled ? new Troubles(stage, inactivityS) : undefined;
  let isOver = false;
  let linkS = 0;
  stage.each(SECOND_MS, () => {
    if (!gateway.isOff && LINKED.has(gateway.turn.agent.state)) linkS++;
    return !isOver;
  });
  alarm(stage, () => isOver);
  // Half an hour more, so that the last window is whole.
  stage.pass(hours * HOUR_MS + HOUR_MS / 2);
  isOver = true;
  const bill = {
    windows: Math.floor((hours * 3600) / WINDOW_S),
    connections: gateway.uplink.connections,
    linkMinutes: linkS / 60,
    alarms: stopwatch.waitsOf(stage.sourceOf(ALARM)),
  };
  troubles?.end();
  const telemetry = { ...gateway.settings.telemetry, intervalS: 0 };
  gateway.turn.onSettings({ ...gateway.settings, telemetry });
  stage.pass(WINDOW_S * SECOND_MS + HOUR_MS);
  if (stage.isOnline) stopwatch.onViolation("the link is never given up");
  return {
    accepted: stopwatch.durable,
    lost: stage.settle(),
    duplicates: stopwatch.duplicates,
    ...bill,
    hangups: stopwatch.left.length,
    early: stopwatch.left.filter((count) => count > 0).length,
    jumps: troubles?.jumps ?? 0,
    cuts: troubles?.cuts ?? 0,
    outages: troubles?.outages ?? 0,
    powerCuts: troubles?.powerCuts ?? 0,
    violations: stopwatch.violations,
  };
}

/** An alarm every few hours, at any moment. */
function alarm(stage: Stage, isOver: () => boolean): void {
  stage.clockwork.after(stage.prng.between(HOUR_MS, ALARM_MS_MAX), () => {
    if (isOver()) return;
    stage.gateway.producer.say(ALARM, ALARM_BYTES);
    alarm(stage, isOver);
  });
}
