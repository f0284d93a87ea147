// SimTpm: the TPM port of one simulated gateway: a modelled TPM that is slow, gets lost and fails.
// Neighbours: `gateway` owns it, `chaos` troubles it; `tpm/model.ts` is what it does when it works.
// Invariant: as of the real port: answers in the order of asking, never from inside a call; what
// was asked of a connection that is lost is answered so, and then the loss is told.

import type { TpmEvents, TpmRequest } from "../../src/core/effects.ts";
import type { Prng } from "../../src/kit/prng.ts";
import type { TpmModel } from "../tpm/model.ts";
import type { Clockwork } from "./clockwork.ts";

const RC_LOST = 0x000b000a;
/** One code of each kind: no room, gone, not started, busy memory, locked, refused, no key. */
const FAILURES = [0x902, 0x903, 0x910, 0x100, 0x920, 0x921, 0x130, 0x9a2, 0x1df, 0x18b, 0x101];
const NOTHING = new Uint8Array(0);
const MS_MIN = 50;
const MS_MAX = 5_000;

interface Job {
  readonly ticket: number;
  /** Absent: a sweep. */
  readonly request: TpmRequest | undefined;
}

export class SimTpm {
  /** Whether commands fail by chance. */
  isFlaky = true;
  private isOpen = false;
  private readonly jobs: Job[] = [];
  private life = 0;

  constructor(
    private readonly model: TpmModel,
    private readonly clockwork: Clockwork,
    private readonly prng: Prng,
    private readonly events: () => TpmEvents,
  ) {}

  open(): void {
    const mine = this.life;
    this.clockwork.after(this.prng.between(1, 1000), () => {
      if (mine !== this.life) return;
      this.isOpen = true;
      this.events().onTpmOpened();
    });
  }

  perform(ticket: number, request: TpmRequest): void {
    this.put({ ticket, request });
  }

  flushAll(ticket: number): void {
    this.put({ ticket, request: undefined });
  }

  /** The connection is lost, with the TPM's power or not, and comes back after a while. */
  lose(isCut: boolean): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.life++;
    if (isCut) this.model.restart();
    for (const { ticket } of this.jobs.splice(0)) {
      this.events().onTpmDone(ticket, RC_LOST, 0, NOTHING);
    }
    this.events().onTpmClosed("the simulated TPM is gone");
    const mine = this.life;
    this.clockwork.after(this.prng.between(100, 60_000), () => {
      if (mine === this.life) this.open();
    });
  }

  /** The power of the whole gateway goes: no answer comes. */
  cut(): void {
    this.isOpen = false;
    this.life++;
    this.jobs.length = 0;
    this.model.restart();
  }

  /** Somebody clears what the TPM keeps for good. */
  wipe(): void {
    this.model.persistent.clear();
  }

  private put(job: Job): void {
    this.jobs.push(job);
    if (this.jobs.length === 1) this.begin();
  }

  private begin(): void {
    const mine = this.life;
    // Mostly quick, at times as slow as the slowest chips.
    const share = this.prng.unit() ** 3;
    this.clockwork.after(MS_MIN + share * (MS_MAX - MS_MIN), () => {
      if (mine === this.life) this.finish();
    });
  }

  private finish(): void {
    const { ticket, request } = this.jobs.shift()!;
    if (this.jobs.length > 0) this.begin();
    if (!this.isOpen) return this.events().onTpmDone(ticket, RC_LOST, 0, NOTHING);
    if (request === undefined) {
      this.model.sweep();
      return this.events().onTpmDone(ticket, 0, 0, NOTHING);
    }
    if (this.isFlaky && this.prng.chance(0.01)) {
      const rc = FAILURES[this.prng.below(FAILURES.length)]!;
      return this.events().onTpmDone(ticket, rc, 0, NOTHING);
    }
    const { rc, handle, output } = this.model.perform(request);
    this.events().onTpmDone(ticket, rc, handle, output);
  }
}
