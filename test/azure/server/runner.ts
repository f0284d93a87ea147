/**
 * Runs a hub in real time: the clock, the one timer, and the saving of changes. Neighbours: every
 * socket and request handler calls `settle` when it has called the hub.
 * Invariant: the timer is never later than the hub's next deadline; changes are on disk within
 * a moment, and at the latest when the runner stops.
 */
import { randomBytes } from "node:crypto";
import type { HubEvent } from "../model/events.ts";
import { Hub } from "../model/hub.ts";
import type { HubSetup } from "../model/options.ts";

/** Longest time that a timer is set for, ms; it is set anew then. */
const SLEEP_MS_MAX = 1_000_000_000;
/** Least time between two writes of the file, ms. */
const SAVE_MS = 200;

/** A hub with time. */
export class Runner {
  readonly hub: Hub;
  private timer: Timer | undefined;
  private armedMs = Number.POSITIVE_INFINITY;
  private saveTimer: Timer | undefined;
  private savedRevision = 0;

  /** `save` is called after changes; without it nothing is kept. */
  constructor(
    setup: HubSetup,
    onEvent: (event: HubEvent) => void,
    private readonly save: ((hub: Hub) => void) | undefined,
  ) {
    const world = { nowMs: () => Date.now(), randomBytes: (length: number) => randomBytes(length) };
    this.hub = new Hub(world, setup, onEvent);
  }

  /** To be called after each call into the hub. */
  settle(): void {
    const nextMs = this.hub.nextDeadlineMs();
    if (nextMs < this.armedMs) this.arm(nextMs);
    if (this.hub.revision !== this.savedRevision && this.save !== undefined) {
      this.saveTimer ??= setTimeout(() => this.saveNow(), SAVE_MS);
    }
  }

  /** Ends timers and saves what is not saved. */
  stop(): void {
    clearTimeout(this.timer);
    if (this.hub.revision !== this.savedRevision) this.saveNow();
  }

  private saveNow(): void {
    clearTimeout(this.saveTimer);
    this.saveTimer = undefined;
    const revision = this.hub.revision;
    try {
      this.save?.(this.hub);
      this.savedRevision = revision;
    } catch (error) {
      process.stderr.write(`azure: changes are not saved: ${(error as Error).message}\n`);
    }
  }

  private arm(dueMs: number): void {
    clearTimeout(this.timer);
    this.armedMs = dueMs;
    const sleepMs = Math.min(Math.max(0, dueMs - Date.now()), SLEEP_MS_MAX);
    this.timer = setTimeout(() => {
      this.armedMs = Number.POSITIVE_INFINITY;
      this.hub.tick();
      this.settle();
    }, sleepMs);
  }
}
