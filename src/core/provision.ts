// Provision: registers this device at the Device Provisioning Service by TPM, key or certificate.
// Neighbours: `vault` works the TPM, the signer port has a key, the HTTPS port carries requests and
// shows a certificate; `agent` starts it and looks at how it ended; `step` has the table.
// Invariant: the old device key stays in its place until the new one is safe in the spare place;
// a registration that was begun and not ended is known as such after any cut (isPending).

import { decodeBase64, encodeBase64 } from "../codec/base64.ts";
import { splitBlob } from "../codec/blob.ts";
import { Outcome } from "../codec/outcome.ts";
import type { Sha256 } from "../codec/public.ts";
import { registrationId } from "../codec/registration.ts";
import { IDENTITY_HANDLE } from "../codec/request.ts";
import { signedText, token } from "../codec/sas.ts";
import { assert, unreachable } from "../kit/assert.ts";
import { DPS_ANSWER_MS, DPS_POLLS_MAX, DPS_TOKEN_S, SIGN_MS, TPM_PROCEDURE_MS } from "../limits.ts";
import { type Assignment, assignmentText } from "./assignment.ts";
import type { Counters } from "./counters.ts";
import {
  clockText,
  type DpsAnswer,
  dpsProblem,
  dpsRequest,
  isUnknown,
  isWaiting,
  readDpsAnswer,
  strangerText,
  waitMs,
} from "./dps.ts";
import { Cause, type Effects, Level, type WebAnswer } from "./effects.ts";
import { Activate, Identify, KeepIdentity, KeepSpare, Sign } from "./procedure.ts";
import type { EndpointSettings } from "./settings.ts";
import { ProvisionState } from "./step.ts";
import type { Vault } from "./vault.ts";

export { ProvisionState } from "./step.ts";

const NEVER = Number.POSITIVE_INFINITY;
const encoder = new TextEncoder();
const PASSWORD_HINT = "; check owner-password-file and endorsement-password-file";
/** Answers of the TPM that must not be asked for again soon. */
const FINAL: ReadonlySet<Outcome> = new Set([Outcome.PASSWORD, Outcome.LOCKED, Outcome.FAILED]);

/** One registration at a time. Events that may end one give true when they do. */
export class Provision {
  state = ProvisionState.OFF;
  deadlineMs = NEVER;
  /** Why the last registration failed, in one line; "" when it did not. */
  problem = "";
  /** What kind of failure it was; NONE when it did not. */
  cause = Cause.NONE;
  /** Handle at which the last registration has put its key; 0 when it has to be looked for. */
  place = 0;
  /** Our id at DPS, once the TPM has been asked. */
  registrationId = "";
  /** The service's clock in Unix s, and when it said so; NaN as long as it did not. */
  dateS = Number.NaN;
  dateMs = 0;
  private identified = new Identify();
  private activate: Activate | undefined;
  private signing: Sign | undefined;
  /** Words before a refusal that this may explain. */
  private suspicion = "";
  private expiryS = 0;
  private preparedMs = 0;
  private authorization = "";
  private operation = "";
  private polls = 0;
  private ticket = 0;
  private next: Assignment | undefined;
  private nowMs = 0;
  private wallS = 0;

  /**
   * @param endorsement what the device proves itself with, "" as long as a TPM has to be asked
   * @param assignment what is known from the last registration, this or an earlier start's
   */
  constructor(
    private readonly effects: Effects,
    private readonly vault: Vault,
    private readonly counters: Counters,
    private readonly endpoint: EndpointSettings,
    private readonly sha256: Sha256,
    private endorsement: string,
    public assignment: Assignment | undefined,
  ) {
    this.registrationId = assignment?.registrationId ?? endpoint.registrationId;
  }

  /** Starts a registration. */
  start(nowMs: number, wallS: number): void {
    assert(this.state === ProvisionState.OFF, "one registration at a time");
    this.at(nowMs, wallS);
    this.problem = "";
    this.cause = Cause.NONE;
    this.place = 0;
    switch (this.endpoint.type) {
      case "tpm":
        this.identified = new Identify();
        this.work(ProvisionState.IDENTIFYING, this.identified);
        return;
      case "symmetric-key":
        this.announce();
        this.effects.sign(this.prepare());
        this.enter(ProvisionState.SIGNING, nowMs + SIGN_MS);
        return;
      case "x509":
        this.announce();
        this.mark();
        return;
      default:
        assert(false, "a connection string with a key needs no DPS");
    }
  }

  /** Ends it without an outcome: nobody wants it any more. */
  cancel(): void {
    if (this.state === ProvisionState.OFF) return;
    if (this.endpoint.type === "tpm") this.vault.abandon();
    this.authorization = "";
    this.enter(ProvisionState.OFF, NEVER);
  }

  /** The procedure that the vault was given has ended. */
  onVault(nowMs: number, wallS: number): boolean {
    this.at(nowMs, wallS);
    const { outcome, kind } = this.vault;
    if (this.state === ProvisionState.SWAPPING) return this.finish(outcome);
    if (outcome !== "") {
      const hint = kind === Outcome.PASSWORD ? PASSWORD_HINT : "";
      return this.fail(`the TPM could not ${outcome}${hint}`, causeOf(kind));
    }
    switch (this.state) {
      case ProvisionState.IDENTIFYING:
        return this.onIdentified();
      case ProvisionState.ACTIVATING:
        return this.onActivated();
      case ProvisionState.SIGNING:
        return this.authorise(encodeBase64(this.signing!.signature));
      case ProvisionState.ADOPTING:
        return this.work(ProvisionState.SPARING, new KeepSpare(this.activate!.kept));
      case ProvisionState.SPARING:
        return this.save(ProvisionState.SAVING, this.next!);
      default:
        this.counters.stray++;
        return false;
    }
  }

  /** True while the next answer of the signer port is for this machine. */
  get isAwaitingSigner(): boolean {
    return this.state === ProvisionState.SIGNING && this.endpoint.type !== "tpm";
  }

  /** The signer port has signed. */
  onSigned(signature: string, nowMs: number, wallS: number): boolean {
    this.at(nowMs, wallS);
    return this.authorise(signature);
  }

  /** It could not. */
  onSignFailed(detail: string): boolean {
    return this.fail(`the key could not sign: ${detail}`, Cause.DPS_FAILED);
  }

  /** The service answered. */
  onFetched(ticket: number, answer: WebAnswer, nowMs: number, wallS: number): boolean {
    const isAwaited =
      this.state === ProvisionState.CHALLENGING || this.state === ProvisionState.REGISTERING;
    if (ticket !== this.ticket || !isAwaited) {
      this.counters.stray++;
      return false;
    }
    this.at(nowMs, wallS);
    if (!Number.isNaN(answer.dateS)) {
      this.dateS = answer.dateS;
      this.dateMs = nowMs;
    }
    const read = readDpsAnswer(answer);
    if (this.state === ProvisionState.REGISTERING) return this.onRegistration(answer, read);
    if (answer.status === 401 && read.key !== "") return this.open(read.key, false);
    return this.refuse(answer, read);
  }

  /** The assignment is on disk, or could not be put there. */
  onSaved(problem: string, nowMs: number, wallS: number): boolean {
    this.at(nowMs, wallS);
    const isAwaited = this.state === ProvisionState.MARKING || this.state === ProvisionState.SAVING;
    if (!isAwaited) {
      this.counters.stray++;
      return false;
    }
    if (problem !== "") {
      this.effects.log(Level.WARNING, `the assignment could not be kept: ${problem}`);
    }
    if (this.state === ProvisionState.MARKING) return this.register(ProvisionState.REGISTERING);
    this.assignment = this.next;
    if (this.endpoint.type !== "tpm") return this.finish("");
    return this.work(ProvisionState.SWAPPING, new KeepIdentity(this.activate!.kept));
  }

  /** True when the registration ended by its time being over. */
  onDeadline(nowMs: number, wallS: number): boolean {
    if (nowMs < this.deadlineMs) return false;
    this.at(nowMs, wallS);
    const { dpsHost, dpsPort } = this.endpoint;
    const isTpm = this.endpoint.type === "tpm";
    const silent = isTpm ? this.vault.fault || "the TPM took too long" : "the key took too long";
    switch (this.state) {
      case ProvisionState.OFF:
        return false;
      case ProvisionState.POLLING:
        return this.poll();
      case ProvisionState.CHALLENGING:
      case ProvisionState.REGISTERING:
        return this.fail(`DPS: no answer from ${dpsHost}:${dpsPort}`, Cause.DPS_FAILED);
      case ProvisionState.MARKING:
      case ProvisionState.SAVING:
        return this.onSaved("the disk took too long", nowMs, wallS);
      case ProvisionState.IDENTIFYING:
      case ProvisionState.ACTIVATING:
      case ProvisionState.SIGNING:
      case ProvisionState.ADOPTING:
      case ProvisionState.SPARING:
        return this.fail(silent, Cause.DPS_FAILED);
      case ProvisionState.SWAPPING:
        this.vault.abandon();
        return this.finish(silent);
      default:
        return unreachable(this.state);
    }
  }

  private onIdentified(): boolean {
    const { endorsementKey, made } = this.identified;
    if (made !== "") this.effects.log(Level.NOTICE, `the TPM had no ${made}: made now`);
    this.endorsement = registrationId(endorsementKey, this.sha256);
    this.registrationId = this.endpoint.registrationId || this.endorsement;
    this.suspicion = strangerText(this.assignment, this.endorsement);
    this.announce();
    return this.register(ProvisionState.CHALLENGING);
  }

  private announce(): void {
    const text = `registering ${this.registrationId} at ${this.endpoint.dpsHost}`;
    this.effects.log(Level.INFO, text);
  }

  /** Takes a blob to the TPM: the key to register with, or the device's own. */
  private open(base64: string, isFinal: boolean): boolean {
    const bytes = decodeBase64(base64);
    const blob = bytes === undefined ? "no base64" : splitBlob(bytes);
    if (typeof blob === "string") {
      return this.fail(`DPS sent no sound key: ${blob}`, Cause.DPS_REFUSED);
    }
    this.activate = new Activate(blob, this.endpoint.isHidden);
    return this.work(isFinal ? ProvisionState.ADOPTING : ProvisionState.ACTIVATING, this.activate);
  }

  private onActivated(): boolean {
    this.signing = new Sign(this.activate!.kept, encoder.encode(this.prepare()));
    return this.work(ProvisionState.SIGNING, this.signing);
  }

  /** The text that the token's signature is over. */
  private prepare(): string {
    // The service's own clock where it told it: ours may be wrong.
    const sinceS = (this.nowMs - this.dateMs) / 1000;
    const serviceS = Number.isNaN(this.dateS) ? this.wallS : this.dateS + sinceS;
    this.expiryS = Math.max(Math.floor(serviceS), 0) + DPS_TOKEN_S;
    this.preparedMs = this.nowMs;
    return signedText(this.resource, this.expiryS);
  }

  private authorise(signature: string): boolean {
    this.authorization = token(this.resource, signature, this.expiryS, "registration");
    return this.mark();
  }

  private mark(): boolean {
    this.assignment = { ...(this.assignment ?? this.assign("", "", 0)), isPending: true };
    return this.save(ProvisionState.MARKING, this.assignment);
  }

  private assign(hubName: string, deviceId: string, atS: number): Assignment {
    const { registrationId, endorsement } = this;
    const { idScope } = this.endpoint;
    return { idScope, hubName, deviceId, registrationId, endorsement, atS, isPending: false };
  }

  private register(state: ProvisionState): boolean {
    const { registrationId } = this;
    const { endorsementKey, storageKey } = this.identified;
    const tpm = {
      endorsementKey: encodeBase64(endorsementKey),
      storageRootKey: encodeBase64(storageKey),
    };
    const body = this.endpoint.type === "tpm" ? { registrationId, tpm } : { registrationId };
    this.polls = 0;
    this.operation = "";
    return this.send(state, "PUT", "register", JSON.stringify(body));
  }

  private onRegistration(answer: WebAnswer, read: DpsAnswer): boolean {
    if (read.status === "assigned" && read.hubName !== "" && read.deviceId !== "") {
      this.next = this.assign(read.hubName, read.deviceId, Math.floor(this.wallS));
      this.authorization = "";
      if (this.endpoint.type === "tpm") return this.open(read.key, true);
      return this.save(ProvisionState.SAVING, this.next);
    }
    if (read.operation !== "") this.operation = read.operation;
    if (!isWaiting(answer, read) || this.operation === "" || this.polls >= DPS_POLLS_MAX) {
      return this.refuse(answer, read);
    }
    this.enter(ProvisionState.POLLING, this.nowMs + waitMs(answer));
    return false;
  }

  private poll(): boolean {
    this.polls++;
    return this.send(ProvisionState.REGISTERING, "GET", `operations/${this.operation}`, "");
  }

  private send(state: ProvisionState, method: "GET" | "PUT", rest: string, body: string): boolean {
    // A challenge is asked for without a token.
    const authorization = state === ProvisionState.REGISTERING ? this.authorization : "";
    const request = dpsRequest(this.endpoint, this.registrationId, method, rest);
    this.effects.ask(++this.ticket, { ...request, authorization, body });
    this.enter(state, this.nowMs + DPS_ANSWER_MS);
    return false;
  }

  private get resource(): string {
    return `${this.endpoint.idScope}/registrations/${this.registrationId}`;
  }

  private work(state: ProvisionState, procedure: Parameters<Vault["run"]>[0]): boolean {
    this.enter(state, this.nowMs + TPM_PROCEDURE_MS);
    this.vault.run(procedure);
    return false;
  }

  private save(state: ProvisionState, assignment: Assignment): boolean {
    this.effects.save(assignmentText(assignment));
    this.enter(state, this.nowMs + DPS_ANSWER_MS);
    return false;
  }

  /** The swap is over, well or not: the new key is in one of two places. */
  private finish(problem: string): boolean {
    this.place = problem === "" ? IDENTITY_HANDLE : 0;
    if (problem !== "") this.effects.log(Level.WARNING, `${problem}; it stays in the spare place`);
    const { hubName, deviceId } = this.assignment!;
    this.effects.log(Level.NOTICE, `registered: device ${deviceId} at ${hubName}`);
    this.enter(ProvisionState.OFF, NEVER);
    return true;
  }

  /** What the clock by which the token was made says now, in Unix s. */
  private get clockS(): number {
    return this.expiryS - DPS_TOKEN_S + (this.nowMs - this.preparedMs) / 1000;
  }

  private refuse(answer: WebAnswer, read: DpsAnswer): boolean {
    const isSigned = this.state === ProvisionState.REGISTERING;
    const problem = dpsProblem(answer, read, this.registrationId, this.endpoint, isSigned);
    if (answer.status === 0) return this.fail(problem, Cause.DPS_FAILED);
    const isDoubted = answer.status === 401 && this.authorization !== "";
    const clock = isDoubted ? clockText(this.clockS - answer.dateS) : "";
    const suspicion = !isSigned && isUnknown(answer, read) ? this.suspicion : "";
    return this.fail(`${problem}${clock}${suspicion}`, Cause.DPS_REFUSED);
  }

  private fail(problem: string, cause: Cause): boolean {
    this.problem = problem;
    this.cause = cause;
    this.cancel();
    return true;
  }

  private at(nowMs: number, wallS: number): void {
    this.nowMs = nowMs;
    this.wallS = wallS;
  }

  private enter(state: ProvisionState, deadlineMs: number): void {
    this.state = state;
    this.deadlineMs = deadlineMs;
  }
}

function causeOf(kind: Outcome): Cause {
  return FINAL.has(kind) ? Cause.TPM_REFUSED : Cause.DPS_FAILED;
}
