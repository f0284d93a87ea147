// Stage: one gateway at a hub, with nothing left to chance but what a scene wants so.
// Neighbours: the scenes `backlog` and `metered` play on it; `fleet` is the play without a script.
// Invariant: everything follows from the seed; messages come from the scene and nobody else.

import { AgentState } from "../../src/core/state.ts";
import { Prng } from "../../src/kit/prng.ts";
import { Clockwork } from "./clockwork.ts";
import { keepHub, makeHub } from "./fleet.ts";
import { type Choice, Gateway } from "./gateway.ts";
import { Stopwatch } from "./stopwatch.ts";
import { Trace } from "./trace.ts";

/** What its gateway is called, and so the sources of its messages: `gw0p7` at priority 7. */
const NAME = "gw0";

export class Stage {
  readonly clockwork = new Clockwork();
  readonly stopwatch = new Stopwatch(() => this.clockwork.nowMs);
  readonly prng: Prng;
  readonly gateway: Gateway;

  /** @param overloadPerS messages a second above which the hub closes with 429002; 0: never */
  constructor(seed: number, choice: Choice, overloadPerS = 0) {
    const { clockwork, stopwatch } = this;
    this.prng = new Prng(seed);
    const hub = makeHub(clockwork, this.prng, (event) => stopwatch.onHubEvent(event), overloadPerS);
    this.gateway = new Gateway(0, hub, clockwork, this.prng, new Trace(), stopwatch, choice);
    this.gateway.producer.stop();
    keepHub(hub, clockwork);
  }

  get nowMs(): number {
    return this.clockwork.nowMs;
  }

  get isOnline(): boolean {
    return !this.gateway.isOff && this.gateway.turn.agent.state === AgentState.ONLINE;
  }

  /** Source of the messages that the scene offers at `priority`. */
  sourceOf(priority: number): string {
    return `${NAME}p${priority}`;
  }

  /** How often the hub has closed with 429002. */
  get throttled(): number {
    return this.stopwatch.refusals.get("close ThrottleBacklogLimitExceeded") ?? 0;
  }

  /** Durable messages that never reached the hub. */
  settle(): number {
    return this.stopwatch.settle(NAME);
  }

  /** Runs `act` each `intervalMs` from now on, as long as it answers true. */
  each(intervalMs: number, act: () => boolean): void {
    this.clockwork.after(intervalMs, () => {
      if (act()) this.each(intervalMs, act);
    });
  }

  /** Lets time pass, `stepMs` at a time, until something has come true; false: not in `limitMs`. */
  until(stepMs: number, limitMs: number, isDone: () => boolean): boolean {
    const endMs = this.nowMs + limitMs;
    while (!isDone()) {
      if (this.nowMs >= endMs) return false;
      this.pass(stepMs);
    }
    return true;
  }

  pass(ms: number): void {
    this.clockwork.runUntil(this.nowMs + ms);
  }
}
