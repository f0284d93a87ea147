// Bucket: a limit of messages a time, with room for bursts (Kura's rate.limit.*; off by default).
// Neighbours: `drain` asks it before a message of lower priority is sent.
// Invariant: over any time t no more than burst + average * t / unit messages pass.

/** rate.limit.average, .time.unit and .burst.size of the settings. */
export interface LimitSettings {
  /** Messages a unit, from 1. */
  readonly average: number;
  readonly unitMs: number;
  /** Messages at once, from 1. */
  readonly burst: number;
}

/** Tokens that come back evenly; the bucket is full at the start. */
export class Bucket {
  /** When the bucket was, or will be, full, in monotonic ms. */
  private fullMs = Number.NEGATIVE_INFINITY;

  constructor(private settings: LimitSettings) {}

  /** New settings; what was taken stays taken. */
  configure(settings: LimitSettings): void {
    this.settings = settings;
  }

  /** The moment from which a message may pass, in monotonic ms; in the past: now. */
  get nextMs(): number {
    const { burst } = this.settings;
    return this.fullMs - (burst - 1) * this.tokenMs;
  }

  /** A message passed. */
  take(nowMs: number): void {
    this.fullMs = Math.max(this.fullMs, nowMs) + this.tokenMs;
  }

  private get tokenMs(): number {
    return this.settings.unitMs / this.settings.average;
  }
}
