// Vault: the keys in the TPM; runs one procedure at a time and leaves nothing behind.
// Neighbours: `identity` and `provision` ask for procedures and look at how they ended; the TPM
// port performs single operations and repeats by itself what a busy TPM asks to repeat.
// Invariant: what a procedure made and did not keep is flushed however it ends, what it kept at
// the end of the next; a procedure that is cut off is started again or ends with a problem.

// state    | run              | opened            | closed
// CLOSED   | (waits)          | perform, STARTING | -
// STARTING | (waits)          | broken            | CLOSED
// SWEEPING | (waits)          | broken            | CLOSED
// IDLE     | perform, WORKING | broken            | CLOSED
// WORKING  | broken           | broken            | CLOSED
// CLEANING | broken           | broken            | end, CLOSED
//
// state    | done              | failed            | lost  | abandon
// CLOSED   | stray             | stray             | stray | -
// STARTING | sweep, SWEEPING   | sweep, SWEEPING   | -     | -
// SWEEPING | IDLE              | IDLE              | -     | -
// IDLE     | stray             | stray             | stray | -
// WORKING  | perform           | perform, CLEANING | -     | sweep, SWEEPING
// CLEANING | end, IDLE         | end, IDLE         | -     | sweep, SWEEPING
// "lost" is always followed by "closed". A procedure that waits in SWEEPING leads to WORKING, one
// that is done in WORKING to CLEANING or IDLE. A restart (session gone, no room, not started)
// leads to STARTING, and after RESTARTS_MAX of them, or when the procedure cannot restart, to its
// end. One that waits when no connection could be made ends with what the port said.

import { Outcome, outcomeOf, outcomeText } from "../codec/outcome.ts";
import { flush, startup, TpmOperation, type TpmRequest } from "../codec/request.ts";
import { assert, unreachable } from "../kit/assert.ts";
import type { Counters } from "./counters.ts";
import type { Effects } from "./effects.ts";
import type { Procedure } from "./procedure.ts";

export enum VaultState {
  CLOSED,
  STARTING,
  SWEEPING,
  IDLE,
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

/** Runs procedures on the TPM. Events that may end one give true when they do. */
export class Vault {
  state = VaultState.CLOSED;
  /** Why there is no connection to the TPM; "" while there is one. */
  fault = "not connected yet";
  /** How the last procedure ended: "" well, or one line that says what is wrong. */
  outcome = "";
  /** What kind of answer ended it. */
  kind = Outcome.DONE;
  private procedure: Procedure | undefined;
  private restarts = 0;
  private ticket = 0;
  private request: TpmRequest | undefined;
  /** Made on this connection and not flushed. */
  private readonly open = new Set<number>();

  constructor(
    private readonly effects: Pick<Effects, "perform" | "sweep">,
    private readonly counters: Counters,
  ) {}

  /** Starts `procedure`, at once or when there is a connection. */
  run(procedure: Procedure): void {
    assert(this.procedure === undefined, "one procedure at a time");
    this.procedure = procedure;
    this.outcome = "";
    this.kind = Outcome.DONE;
    this.restarts = 0;
    procedure.restart();
    if (this.state === VaultState.IDLE) this.proceed();
  }

  /** True when a procedure can be started. */
  get isFree(): boolean {
    return this.procedure === undefined;
  }

  /** There is a connection to the TPM; nothing that was made on an earlier one exists. */
  onOpened(): void {
    assert(this.state === VaultState.CLOSED, "a connection is opened once");
    this.fault = "";
    this.prepare();
  }

  /** There is none. */
  onClosed(detail: string): boolean {
    const before = this.state;
    this.fault = detail;
    this.lose();
    if (this.procedure === undefined) return false;
    // What was under way is given another connection, what never began has waited for this one.
    if (before === VaultState.CLEANING) return this.end(this.state);
    if (before === VaultState.CLOSED) return this.giveUp(detail, Outcome.LOST);
    return this.cut(detail);
  }

  /** Gives up the procedure under way, and whatever an earlier one has kept. */
  abandon(): void {
    this.procedure = undefined;
    const isBusy = this.state === VaultState.WORKING || this.state === VaultState.CLEANING;
    if (isBusy || (this.state === VaultState.IDLE && this.open.size > 0)) this.sweep();
  }

  /**
   * The answer to an operation. When the connection is lost meanwhile, {@link onClosed} follows.
   * @param output valid until this returns
   */
  onDone(ticket: number, rc: number, handle: number, output: Uint8Array): boolean {
    if (ticket !== this.ticket) {
      this.counters.stray++;
      return false;
    }
    const outcome = outcomeOf(rc);
    switch (this.state) {
      case VaultState.CLOSED:
      case VaultState.IDLE:
        this.counters.stray++;
        return false;
      case VaultState.STARTING:
        // Whatever it says: a TPM that the kernel started refuses, one that needs it obeys.
        if (outcome !== Outcome.LOST) this.sweep();
        return false;
      case VaultState.SWEEPING:
        return outcome !== Outcome.LOST && this.begin();
      case VaultState.WORKING:
        return outcome !== Outcome.LOST && this.onStep(outcome, rc, handle, output);
      case VaultState.CLEANING:
        return outcome !== Outcome.LOST && this.clean();
      default:
        return unreachable(this.state);
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
        return this.again(text, outcome);
      default:
        break;
    }
    const problem = procedure.onAnswer(outcome, text, handle, output);
    if (problem === "") return this.proceed();
    return this.spoil(problem, outcome);
  }

  /** The connection was lost in the middle: once more when there is another. */
  private cut(why: string): boolean {
    this.restarts++;
    const { canRestart } = this.procedure!;
    return canRestart && this.restarts <= RESTARTS_MAX ? false : this.giveUp(why, Outcome.LOST);
  }

  /** Starts the procedure again on a TPM that holds nothing of ours. */
  private again(why: string, kind: Outcome): boolean {
    const procedure = this.procedure!;
    this.restarts++;
    if (this.restarts > RESTARTS_MAX || !procedure.canRestart) {
      return this.spoil(`${procedure.what}: ${why}`, kind);
    }
    this.prepare();
    return false;
  }

  /** Startup, then a sweep, then whatever waits. */
  private prepare(): void {
    this.state = VaultState.STARTING;
    this.perform(startup());
  }

  private sweep(): void {
    this.open.clear();
    this.state = VaultState.SWEEPING;
    this.effects.sweep(++this.ticket);
  }

  private lose(): void {
    this.open.clear();
    this.ticket++;
    this.state = VaultState.CLOSED;
  }

  /** The TPM is ready for the procedure that waits, if one does. */
  private begin(): boolean {
    this.state = VaultState.IDLE;
    const { procedure } = this;
    if (procedure === undefined) return false;
    procedure.restart();
    // Its transient object was made before the sweep.
    if (!procedure.canRestart) return this.giveUp("the TPM was restarted", Outcome.RESTARTED);
    return this.proceed();
  }

  private proceed(): boolean {
    const request = this.procedure!.next();
    if (request === undefined) return this.clean();
    this.state = VaultState.WORKING;
    this.perform(request);
    return false;
  }

  private spoil(problem: string, kind: Outcome): boolean {
    this.outcome = problem;
    this.kind = kind;
    this.procedure!.kept = 0;
    return this.clean();
  }

  /** Flushes what was made and is not kept, one by one; true when nothing is left. */
  private clean(): boolean {
    const { kept } = this.procedure!;
    for (const handle of this.open) {
      if (handle === kept) continue;
      this.open.delete(handle);
      this.state = VaultState.CLEANING;
      this.perform(flush(handle));
      return false;
    }
    return this.end(VaultState.IDLE);
  }

  /** Ends what cannot go on; the state stays. */
  private giveUp(why: string, kind: Outcome): boolean {
    this.outcome = `${this.procedure!.what}: ${why}`;
    this.kind = kind;
    return this.end(this.state);
  }

  private end(state: VaultState): boolean {
    this.procedure = undefined;
    this.request = undefined;
    this.state = state;
    return true;
  }

  private perform(request: TpmRequest): void {
    this.request = request;
    this.effects.perform(++this.ticket, request);
  }
}
