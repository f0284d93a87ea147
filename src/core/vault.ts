// Vault: the keys in the TPM; runs one procedure at a time and leaves nothing behind.
// Neighbours: `agent` and `provision` ask for procedures and look at how they ended; the TPM port
// performs single operations and repeats by itself what a busy TPM asks to repeat.
// Invariant: sessions and transient objects made by a procedure are flushed however it ends, but
// for the one that it keeps; a procedure that is cut off is started again or reported, never
// forgotten.

// state    | run       | opened    | closed   | answer                | abandon
// CLOSED   | AWAITING  | IDLE      | -        | stray                 | -
// IDLE     | WORKING   | -         | CLOSED   | stray                 | -
// AWAITING | -         | STARTING  | -        | stray                 | CLOSED
// STARTING | -         | STARTING  | AWAITING | SWEEPING              | IDLE
// SWEEPING | -         | STARTING  | AWAITING | WORKING               | IDLE
// WORKING  | -         | STARTING  | AWAITING | next step, or below   | IDLE
// CLEANING | -         | IDLE, end | CLOSED   | flush next, IDLE, end | IDLE
// An answer in WORKING: restartable (session gone, no room, not started) leads to STARTING, lost
// to AWAITING, a problem or the last step to CLEANING. STARTING counts: after RESTARTS_MAX of
// them the procedure ends with the problem, through CLEANING.

import { Outcome, outcomeOf, outcomeText } from "../codec/outcome.ts";
import { flush, startup, TpmOperation, type TpmRequest } from "../codec/request.ts";
import { assert } from "../kit/assert.ts";
import type { Counters } from "./counters.ts";
import type { Effects } from "./effects.ts";
import type { Procedure } from "./procedure.ts";

export enum VaultState {
  CLOSED,
  IDLE,
  AWAITING,
  STARTING,
  SWEEPING,
  WORKING,
  CLEANING,
}

const RESTARTS_MAX = 3;

/** Operations whose answer is a handle that takes room in the TPM until it is flushed. */
const MAKERS: ReadonlySet<TpmOperation> = new Set([
  TpmOperation.START_POLICY,
  TpmOperation.START_HMAC,
  TpmOperation.CREATE_PRIMARY,
  TpmOperation.LOAD,
]);

/** Runs procedures on the TPM. */
export class Vault {
  state = VaultState.CLOSED;
  /** Why there is no connection to the TPM; "" while there is one. */
  fault = "not connected yet";
  private procedure: Procedure | undefined;
  private problem = "";
  private restarts = 0;
  private ticket = 0;
  private request: TpmRequest | undefined;
  private readonly open = new Set<number>();

  constructor(
    private readonly effects: Effects,
    private readonly counters: Counters,
  ) {}

  /** Starts `procedure`; true from {@link onAnswer} or {@link onClosed} tells that it ended. */
  run(procedure: Procedure): void {
    assert(this.procedure === undefined, "one procedure at a time");
    this.procedure = procedure;
    this.problem = "";
    this.restarts = 0;
    procedure.restart();
    if (this.state === VaultState.CLOSED) this.state = VaultState.AWAITING;
    else this.proceed();
  }

  /** True when a procedure can be started. */
  get isFree(): boolean {
    return this.procedure === undefined;
  }

  /** How the last procedure ended: "" well, or one line that says what is wrong. */
  get outcome(): string {
    return this.problem;
  }

  /** There is a connection to the TPM; nothing that was made on an earlier one exists. */
  onOpened(): boolean {
    this.fault = "";
    this.open.clear();
    if (this.procedure === undefined) {
      this.state = VaultState.IDLE;
      return false;
    }
    if (this.state === VaultState.CLEANING) return this.end();
    return this.again("the connection to the TPM was lost");
  }

  /** There is none; true when a procedure ended by that. */
  onClosed(detail: string): boolean {
    this.fault = detail;
    this.open.clear();
    if (this.procedure === undefined) {
      this.state = VaultState.CLOSED;
      return false;
    }
    if (this.state === VaultState.CLEANING) {
      this.end();
      this.state = VaultState.CLOSED;
      return true;
    }
    this.state = VaultState.AWAITING;
    return false;
  }

  /** Gives up the procedure under way: its time is over. */
  abandon(why: string): void {
    if (this.procedure === undefined) return;
    this.problem = why;
    this.procedure = undefined;
    this.ticket++;
    this.state = this.fault === "" ? VaultState.IDLE : VaultState.CLOSED;
    this.open.clear();
    if (this.state === VaultState.IDLE) this.effects.sweep(++this.ticket);
  }

  /** The answer to an operation; true when the procedure ended with it. */
  onDone(ticket: number, rc: number, handle: number, output: Uint8Array): boolean {
    if (ticket !== this.ticket || this.procedure === undefined) {
      this.counters.stray++;
      return false;
    }
    const outcome = outcomeOf(rc);
    switch (this.state) {
      case VaultState.WORKING:
        return this.onStep(outcome, rc, handle, output);
      case VaultState.STARTING:
        // Whatever it says: a TPM that the kernel started refuses, one that needs it obeys.
        this.state = VaultState.SWEEPING;
        this.effects.sweep(++this.ticket);
        return false;
      case VaultState.SWEEPING:
        this.procedure.restart();
        return this.proceed();
      case VaultState.CLEANING:
        return this.clean();
      default:
        this.counters.stray++;
        return false;
    }
  }

  private onStep(outcome: Outcome, rc: number, handle: number, output: Uint8Array): boolean {
    const procedure = this.procedure!;
    const { operation, a } = this.request!;
    if (outcome === Outcome.DONE && MAKERS.has(operation)) this.open.add(handle);
    if (outcome === Outcome.DONE && operation === TpmOperation.FLUSH) this.open.delete(a);
    const text = outcomeText(rc);
    switch (outcome) {
      case Outcome.UNSTARTED:
      case Outcome.RESTARTED:
      case Outcome.FULL:
        return this.again(text);
      case Outcome.LOST:
        // The port reopens and tells: until then nothing can be done.
        this.state = VaultState.AWAITING;
        return false;
      default:
        break;
    }
    const problem = procedure.onAnswer(outcome, text, handle, output);
    if (problem === "") return this.proceed();
    this.problem = problem;
    procedure.kept = 0;
    return this.clean();
  }

  /** Starts the procedure again on a TPM that holds nothing of ours. */
  private again(why: string): boolean {
    const procedure = this.procedure!;
    this.restarts++;
    if (this.restarts > RESTARTS_MAX || !procedure.canRestart) {
      this.problem = `${procedure.what}: ${why}`;
      procedure.kept = 0;
      return this.clean();
    }
    this.open.clear();
    this.state = VaultState.STARTING;
    this.perform(startup());
    return false;
  }

  private proceed(): boolean {
    const request = this.procedure!.next();
    if (request === undefined) return this.clean();
    this.state = VaultState.WORKING;
    this.perform(request);
    return false;
  }

  /** Flushes what was made and is not kept, one by one; true when nothing is left. */
  private clean(): boolean {
    this.open.delete(this.procedure!.kept);
    const [handle] = this.open;
    if (handle === undefined) return this.end();
    this.open.delete(handle);
    this.state = VaultState.CLEANING;
    this.perform(flush(handle));
    return false;
  }

  private end(): boolean {
    this.procedure = undefined;
    this.request = undefined;
    this.state = VaultState.IDLE;
    return true;
  }

  private perform(request: TpmRequest): void {
    this.request = request;
    this.ticket++;
    this.effects.perform(this.ticket, request);
  }
}
