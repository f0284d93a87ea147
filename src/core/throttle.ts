// Throttle: how fast a hub takes our messages that has said it was too fast.
// Neighbours: `drain` asks when the next message may go; `agent` reports refusals and closes.
// Invariant: a cut halves the rate that there was; without a further one it is back after
// RATE_RECOVER_MS, grows on, and ends as no limit at all; never below RATE_MIN.

import {
  RATE_BURST_MS,
  RATE_CUT_MS_MIN,
  RATE_MAX,
  RATE_MIN,
  RATE_RECOVER_MS,
  RATE_SUSPECT,
  RATE_SUSPECT_MS,
} from "../limits.ts";

const NEVER = Number.POSITIVE_INFINITY;
/** The rate that there was is that of the last so many ms. */
const MEASURE_MS = 5_000;
const PART_MS_MIN = 1_000;

/** Multiplicative decrease, additive increase of the rate of messages. */
export class Throttle {
  /** Cuts since the start. */
  cuts = 0;
  private cutMs = Number.NEGATIVE_INFINITY;
  private suspectMs = Number.NEGATIVE_INFINITY;
  /** Messages a second at the last cut, after and before it; Infinity: no limit. */
  private cutRate = NEVER;
  private formerRate = NEVER;
  /** The next message evenly spaced. */
  private slotMs = Number.NEGATIVE_INFINITY;
  private markMs = Number.NEGATIVE_INFINITY;
  private sent = 0;
  private measured = 0;

  /** Messages a second that may be sent now; Infinity: as many as the window takes. */
  rate(nowMs: number): number {
    if (this.cutRate === NEVER) return NEVER;
    let rate = this.cutRate;
    let step = this.formerRate - this.cutRate;
    for (let leftMs = nowMs - this.cutMs; leftMs > 0; leftMs -= RATE_RECOVER_MS) {
      rate += step * Math.min(1, leftMs / RATE_RECOVER_MS);
      step *= 2;
      if (rate >= RATE_MAX) return NEVER;
    }
    return rate;
  }

  /** The moment from which the next message may be sent, in monotonic ms. */
  get nextMs(): number {
    return this.slotMs - RATE_BURST_MS;
  }

  /** A message was sent. */
  onSent(nowMs: number): void {
    if (nowMs - this.markMs >= MEASURE_MS) {
      const isOld = nowMs - this.markMs >= 2 * MEASURE_MS;
      this.measured = isOld ? 0 : (this.sent * 1000) / (nowMs - this.markMs);
      this.markMs = nowMs;
      this.sent = 0;
    }
    this.sent++;
    const rate = this.rate(nowMs);
    if (rate === NEVER) this.cutRate = NEVER;
    else this.slotMs = Math.max(this.slotMs, nowMs) + 1000 / rate;
  }

  /** The hub said that we are too fast (429). */
  onThrottled(nowMs: number): void {
    if (nowMs - this.cutMs < RATE_CUT_MS_MIN) return;
    // Told while next to nothing is sent, the first cut is no lower than half a message a second.
    const before = Math.min(this.rate(nowMs), Math.max(1, this.measure(nowMs)), RATE_MAX);
    this.formerRate = Math.max(before, 2 * RATE_MIN);
    this.cutRate = this.formerRate / 2;
    this.cutMs = nowMs;
    this.slotMs = nowMs;
    this.cuts++;
  }

  /**
   * The hub closed the connection without a word, which may mean 429002.
   * @param inFlight messages without an acknowledgement at that moment
   */
  onClosed(inFlight: number, nowMs: number): void {
    if (inFlight === 0) return;
    const isFast = this.measure(nowMs) >= RATE_SUSPECT;
    const isSecond = nowMs - this.suspectMs < RATE_SUSPECT_MS;
    this.suspectMs = nowMs;
    if (isFast || isSecond) this.onThrottled(nowMs);
  }

  /** Messages a second of late. */
  private measure(nowMs: number): number {
    const passedMs = nowMs - this.markMs;
    if (passedMs >= 2 * MEASURE_MS) return 0;
    return Math.max(this.measured, (this.sent * 1000) / Math.max(passedMs, PART_MS_MIN));
  }
}
