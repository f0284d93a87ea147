// Producer: what else on a simulated gateway has messages for the hub, of several priorities.
// Neighbours: `gateway` owns it; built-in telemetry is the production machine's.
// Invariant: each priority is a source of its own, whose numbers rise over power cuts too.

import { encodeBag } from "../../src/codec/bag.ts";
import type { Prng } from "../../src/kit/prng.ts";
import type { Turn } from "../../src/turn.ts";
import type { Clockwork } from "./clockwork.ts";

const PRIORITIES = [0, 3, 9];
const INTERVAL_MS_MAX = 120_000;
const BURST_CHANCE = 0.02;
const BURST_MAX = 100;
const BODY_BYTES_MAX = 600;

/** Offers messages while the gateway is on. */
export class Producer {
  private readonly sequences = new Map<number, number>();
  private isStopped = false;

  /** @param turn undefined while the gateway is off */
  constructor(
    private readonly name: string,
    private readonly clockwork: Clockwork,
    private readonly prng: Prng,
    private readonly turn: () => Turn | undefined,
    private readonly wallS: () => number,
  ) {
    this.plan();
  }

  stop(): void {
    this.isStopped = true;
  }

  private plan(): void {
    this.clockwork.after(1000 + this.prng.below(INTERVAL_MS_MAX), () => {
      if (this.isStopped) return;
      const turn = this.turn();
      if (turn !== undefined) this.offer(turn);
      this.plan();
    });
  }

  /** Offers messages of one priority and size now, if the gateway is on. */
  say(priority: number, bytes: number, count = 1): void {
    const turn = this.turn();
    if (turn === undefined) return;
    for (let at = 0; at < count; at++) this.put(turn, priority, bytes);
    turn.onAlarm();
  }

  /** A few messages within one turn, or many. */
  private offer(turn: Turn): void {
    const { prng } = this;
    const count = prng.chance(BURST_CHANCE) ? prng.between(1, BURST_MAX) : prng.between(1, 3);
    for (let at = 0; at < count; at++) {
      const priority = PRIORITIES[prng.below(PRIORITIES.length)]!;
      this.put(turn, priority, prng.below(BODY_BYTES_MAX));
    }
    turn.onAlarm();
  }

  private put(turn: Turn, priority: number, bytes: number): void {
    const sequence = (this.sequences.get(priority) ?? 0) + 1;
    this.sequences.set(priority, sequence);
    const bag = encodeBag([["$.mid", `${this.name}p${priority}.${sequence}`]]);
    turn.agent.machines.outbox.offer(priority, 0, bag, new Uint8Array(bytes), this.wallS());
  }
}
