// Backlog: a gateway comes back after an outage with a long queue, and live messages go on.
// Neighbours: `stage` is where it plays; `scene` is its command line.
// Invariant: live messages begin with the first connection; the queue was durable before it.

import { Stage } from "./stage.ts";
import type { Waits } from "./stopwatch.ts";
import { Network } from "./uplink.ts";

/** Priorities of the queue and of the two live sources. */
const QUEUED = 7;
const LIVE = 2;
const URGENT = 0;
const BODY_BYTES = 200;
const OFFER_MS = 50;
const OFFERED = 100;
const SECOND_MS = 1000;
const URGENT_MS = 10_000;
const CONNECT_MS_MAX = 120_000;
const TAIL_MS = 120_000;
/** With a window of 8 and syncs of up to 50 ms about 100 messages a second. */
const LATENCY_MS = 33;

/** How it is played. */
export interface BacklogSetup {
  readonly seed: number;
  /** Messages that wait at the start. */
  readonly messages: number;
  /** Live messages a second of priority 2; one of priority 0 comes each 10 s. */
  readonly livePerS?: number;
  /** Messages a second above which the hub closes with 429002; 0: it takes what comes. */
  readonly overloadPerS?: number;
  /** Of a sync that takes 2 s. */
  readonly slowChance?: number;
  /** The scene ends after so much time at the hub, drained or not. */
  readonly limitS?: number;
}

/** What came of it. */
export interface BacklogOutcome {
  readonly accepted: number;
  readonly lost: number;
  readonly isDrained: boolean;
  /** From the first connection to the last PUBACK of the queue. */
  readonly drainS: number;
  /** PUBACKs a second meanwhile, and how many of 100 were the queue's. */
  readonly perS: number;
  readonly sharePercent: number;
  /** Waits from durable to PUBACK. */
  readonly live: Waits;
  readonly urgent: Waits;
  readonly connections: number;
  /** Closes with 429002. */
  readonly throttled: number;
  readonly duplicates: number;
  readonly violations: readonly string[];
}

/** Plays it. */
export function playBacklog(setup: BacklogSetup): BacklogOutcome {
  const { seed, messages, livePerS = 1, overloadPerS = 0, slowChance = 0 } = setup;
  const parts = { data: { inFlightMax: 8, connectSpreadS: 0 }, telemetry: { intervalS: 0 } };
  const stage = new Stage(seed, { parts, latencyMs: LATENCY_MS, slowChance }, overloadPerS);
  const { gateway, stopwatch } = stage;
  gateway.uplink.network = Network.DOWN;
  gateway.start();
  pile(stage, messages);
  gateway.uplink.network = Network.UP;
  if (!stage.until(SECOND_MS / 10, CONNECT_MS_MAX, () => stage.isOnline)) {
    stopwatch.onViolation("no connection after the outage");
  }
  const startMs = stage.nowMs;
  let isLive = true;
  stage.each(SECOND_MS, () => say(stage, LIVE, livePerS, isLive));
  stage.each(URGENT_MS, () => say(stage, URGENT, 1, isLive));
  const countOf = (priority: number): number => stopwatch.acknowledgedOf(stage.sourceOf(priority));
  const limitMs = (setup.limitS ?? messages) * SECOND_MS;
  const isDrained = stage.until(SECOND_MS / 10, limitMs, () => countOf(QUEUED) === messages);
  const drainS = (stage.nowMs - startMs) / SECOND_MS;
  const all = countOf(QUEUED) + countOf(LIVE) + countOf(URGENT);
  const sharePercent = (100 * countOf(QUEUED)) / all;
  isLive = false;
  if (isDrained) {
    stage.pass(TAIL_MS);
    if (stopwatch.open > 0) stopwatch.onViolation(`${stopwatch.open} messages wait at the end`);
  }
  return {
    accepted: stopwatch.durable,
    lost: isDrained ? stage.settle() : 0,
    isDrained,
    drainS,
    perS: all / drainS,
    sharePercent,
    live: stopwatch.waitsOf(stage.sourceOf(LIVE)),
    urgent: stopwatch.waitsOf(stage.sourceOf(URGENT)),
    connections: gateway.uplink.connections,
    throttled: stage.throttled,
    duplicates: stopwatch.duplicates,
    violations: stopwatch.violations,
  };
}

/** Piles the queue up, until the disk has all of it. */
function pile(stage: Stage, messages: number): void {
  let offered = 0;
  stage.each(OFFER_MS, () => {
    const count = Math.min(OFFERED, messages - offered);
    stage.gateway.producer.say(QUEUED, BODY_BYTES, count);
    offered += count;
    return offered < messages;
  });
  const isDone = () => stage.stopwatch.durable === messages;
  if (!stage.until(SECOND_MS, messages * SECOND_MS, isDone)) {
    stage.stopwatch.onViolation(`${stage.stopwatch.durable} of ${messages} are durable`);
  }
}

function say(stage: Stage, priority: number, count: number, isLive: boolean): boolean {
  if (isLive) stage.gateway.producer.say(priority, BODY_BYTES, count);
  return isLive;
}
