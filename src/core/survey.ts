// Survey: carries an inquiry through at a TPM, and gives up when it must.
// Neighbours: `inquiry` knows what to ask; the TPM port hears it and answers; `main` builds both.
// Invariant: it ends once; after that nothing changes what was found, but that the reason of a
// lost connection may follow at once.

import { Outcome, outcomeOf } from "../codec/outcome.ts";
import type { Tpm, TpmEvents } from "./effects.ts";
import type { Inquiry } from "./inquiry.ts";

/** One inquiry at one port, whose events it takes. */
export class Survey implements TpmEvents {
  private tpm: Tpm | null = null;
  private isAnswered = false;
  private isLost = false;
  private isCancelled = false;

  /** @param onEnd called once, when the inquiry has its findings or its problem */
  constructor(
    private readonly inquiry: Inquiry,
    private readonly onEnd: () => void,
  ) {}

  start(tpm: Tpm): void {
    this.tpm = tpm;
    tpm.open();
  }

  onTpmOpened(): void {
    this.next();
  }

  onTpmClosed(detail: string): void {
    if (this.tpm === null && !this.isLost) return;
    this.inquiry.onClosed(detail);
    this.end();
  }

  onTpmDone(_ticket: number, rc: number, handle: number, output: Uint8Array): void {
    if (this.tpm === null) return;
    this.isAnswered = true;
    // Of a lost connection the port tells the reason right after this.
    this.isLost = outcomeOf(rc) === Outcome.LOST;
    this.inquiry.onAnswer(rc, handle, output);
    this.next();
  }

  /** The first answer is overdue, from a TPM that serves one program at a time. */
  onOverdue(place: string): void {
    if (this.isAnswered) return;
    this.onTpmClosed(`${place}: no answer; another program has it, perhaps the agent`);
  }

  /** Somebody wants it to end: in order at first, at once when asked again. */
  onCancel(): void {
    if (this.isCancelled) this.onTpmClosed("interrupted");
    this.isCancelled = true;
    this.inquiry.cancel();
  }

  private next(): void {
    const ask = this.inquiry.next();
    if (ask === undefined) this.end();
    else if (ask === "sweep") this.tpm?.flushAll(0);
    else this.tpm?.perform(0, ask);
  }

  private end(): void {
    if (this.tpm === null) return;
    this.tpm = null;
    this.onEnd();
  }
}
