// Disk: the store of one simulated gateway: slow at times, full at times, and dark at a power cut.
// Neighbours: `shelf` keeps the messages; `gateway` owns it, `chaos` troubles it, `ledger` is told
// what has become durable.
// Invariant: as of the real port: a sync has one answer, never from inside a call, and none after
// a power cut.

import { type Message, StoreOutcome } from "../../src/core/effects.ts";
import type { Prng } from "../../src/kit/prng.ts";
import { Shelf } from "../shelf.ts";
import type { Clockwork } from "./clockwork.ts";

const SYNC_MS_MAX = 50;
/** Now and then a flash card tidies up. */
const SLOW_MS = 2000;
/** After a failure a new store comes within this. */
const UNWELL_MS = 20_000;
const SLOW_CHANCE = 0.01;

/** A shelf whose syncs take their time. */
export class Disk {
  readonly shelf = new Shelf(
    () => this.sync(),
    (message) => this.onDurable(message),
  );
  private life = 0;
  private isFailing = false;
  private failedMs = Number.NEGATIVE_INFINITY;

  /**
   * @param onSynced the answer to a sync: "" or what went wrong
   * @param slowChance of a sync that takes {@link SLOW_MS}
   */
  constructor(
    private readonly clockwork: Clockwork,
    private readonly prng: Prng,
    private readonly onDurable: (message: Message) => void,
    private readonly onSynced: (detail: string) => void,
    private readonly slowChance = SLOW_CHANCE,
  ) {}

  /** Writes are refused from now on, or taken again. */
  fill(isFull: boolean): void {
    this.shelf.outcome = isFull ? StoreOutcome.REFUSED : StoreOutcome.DONE;
    this.shelf.detail = isFull ? "the simulated disk is full" : "";
  }

  /** The next sync fails. */
  fail(): void {
    this.isFailing = true;
  }

  /** True while the gateway may have no store that takes anything. */
  get isUnwell(): boolean {
    const { shelf, clockwork } = this;
    return shelf.outcome !== StoreOutcome.DONE || clockwork.nowMs - this.failedMs < UNWELL_MS;
  }

  /** The power goes: of what was written and not synced, all or nothing is there. */
  cut(): void {
    this.life++;
    this.isFailing = false;
    this.shelf.crash(this.prng.chance(0.5));
  }

  private sync(): void {
    const { prng } = this;
    const mine = this.life;
    const waitMs = prng.chance(this.slowChance) ? SLOW_MS : prng.between(1, SYNC_MS_MAX);
    this.clockwork.after(waitMs, () => {
      if (mine !== this.life) return;
      const isLost = this.isFailing;
      this.isFailing = false;
      if (isLost) this.failedMs = this.clockwork.nowMs;
      if (isLost) this.shelf.fail();
      else this.shelf.answer();
      this.onSynced(isLost ? "the simulated disk failed" : "");
    });
  }
}
