// Seal: puts the key of a connection string into the TPM and proves that it signs there.
// Neighbours: `command/seal` has the key and rewrites the settings afterwards; `vault` runs the
// procedures of `sealing` and `procedure`; the TPM port hears and answers.
// Invariant: it ends once, and without a problem only when the key that the agent will find has
// signed as the key does; cut off anywhere, settings that hold the key are not touched.

// state   | procedure    | done                                          | failed
// LOOKING | Look         | foreign key, and not to be replaced: OVER     | OVER
//         |              | else MAKING                                   |
// MAKING  | Enclose      | TRYING                                        | OVER
// TRYING  | Attempt      | KEEPING                                       | OVER
// KEEPING | KeepSpare    | PLACING                                       | OVER
// PLACING | KeepIdentity | PROVING                                       | OVER
// PROVING | SignAsDevice | OVER, with a problem when it signs otherwise  | OVER
// OVER    | -            | -                                             | -

import { isSame } from "../codec/cursor.ts";
import { Outcome } from "../codec/outcome.ts";
import { unreachable } from "../kit/assert.ts";
import { Counters } from "./counters.ts";
import type { Tpm, TpmEvents } from "./effects.ts";
import { KeepIdentity, KeepSpare, type Procedure, SignAsDevice } from "./procedure.ts";
import { Attempt, Enclose, Look } from "./sealing.ts";
import { Vault } from "./vault.ts";

export enum SealState {
  LOOKING,
  MAKING,
  TRYING,
  KEEPING,
  PLACING,
  PROVING,
  OVER,
}

/** What is signed for the proof: no token, so that nobody can use it as one. */
export const PROOF = new TextEncoder().encode("azimuth seal: one key, here and in the TPM");

/** A key to be sealed; `key` is secret. */
export interface Sealable {
  readonly key: Uint8Array;
  /** HMAC-SHA256 of PROOF with the key, made by software. */
  readonly signature: Uint8Array;
  /** Another kind of key at the same place is given up. */
  readonly isReplacing: boolean;
}

const PASSWORD_HINT = "; --owner-password-file names the file with it";

/** One key into one TPM. */
export class Seal implements TpmEvents {
  state = SealState.LOOKING;
  /** One line that says why the key is not sealed; "" when it is. */
  problem = "";
  private readonly vault: Vault;
  private procedure: Procedure;
  private isAnswered = false;

  /** @param onEnd called once, when the key is sealed or cannot be */
  constructor(
    private readonly tpm: Tpm,
    private readonly sealable: Sealable,
    private readonly onEnd: () => void,
  ) {
    const perform: Tpm["perform"] = (ticket, request) => tpm.perform(ticket, request);
    const sweep = (ticket: number): void => tpm.flushAll(ticket);
    this.vault = new Vault({ perform, sweep }, new Counters());
    this.procedure = new Look();
  }

  /** Connects and begins. */
  start(): void {
    this.vault.run(this.procedure);
    this.tpm.open();
  }

  onTpmOpened(): void {
    if (this.state !== SealState.OVER) this.vault.onOpened();
  }

  onTpmClosed(detail: string): void {
    if (this.state === SealState.OVER) return;
    if (this.vault.onClosed(detail)) this.onProcedure();
  }

  onTpmDone(ticket: number, rc: number, handle: number, output: Uint8Array): void {
    if (this.state === SealState.OVER) return;
    this.isAnswered = true;
    if (this.vault.onDone(ticket, rc, handle, output)) this.onProcedure();
  }

  /** The first answer is overdue, from a TPM that serves one program at a time. */
  onOverdue(place: string): void {
    if (this.isAnswered || this.state === SealState.OVER) return;
    this.end(`${place}: no answer; another program has it: stop the agent, then seal`);
  }

  private onProcedure(): void {
    const { vault, procedure } = this;
    if (vault.outcome !== "") {
      const hint = vault.kind === Outcome.PASSWORD ? PASSWORD_HINT : "";
      return this.end(`the TPM could not ${vault.outcome}${hint}`);
    }
    const { kept } = procedure;
    const { signature } = this.sealable;
    switch (this.state) {
      case SealState.LOOKING:
        return this.onLooked(procedure as Look);
      case SealState.MAKING:
        return this.enter(SealState.TRYING, new Attempt(kept, PROOF, signature));
      case SealState.TRYING:
        return this.enter(SealState.KEEPING, new KeepSpare(kept));
      case SealState.KEEPING:
        return this.enter(SealState.PLACING, new KeepIdentity(kept));
      case SealState.PLACING:
        return this.enter(SealState.PROVING, new SignAsDevice(0, PROOF));
      case SealState.PROVING: {
        const proof = procedure as SignAsDevice;
        const isProven = !proof.isAbsent && isSame(proof.signature, signature);
        return this.end(isProven ? "" : "the TPM has kept another key than it was given");
      }
      case SealState.OVER:
        return;
      default:
        return unreachable(this.state);
    }
  }

  private onLooked({ foreign }: Look): void {
    const { key, isReplacing } = this.sealable;
    if (foreign.length === 0 || isReplacing) {
      return this.enter(SealState.MAKING, new Enclose(key));
    }
    const places = foreign.map((handle) => `0x${handle.toString(16)}`).join(" and ");
    this.end(
      `the TPM has a key at ${places} that azimuth seal has not made: another program's, or what ` +
        "an endpoint of type tpm signs with; --replace gives it up for good",
    );
  }

  private enter(state: SealState, procedure: Procedure): void {
    this.state = state;
    this.procedure = procedure;
    this.vault.run(procedure);
  }

  private end(problem: string): void {
    this.problem = problem;
    this.state = SealState.OVER;
    this.onEnd();
  }
}
