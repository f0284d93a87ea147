// Provision: registers this device at the Device Provisioning Service by its TPM.
// Neighbours: `vault` works the TPM, the HTTPS port carries requests, `agent` starts it and looks
// at how it ended; `assignment` is what comes of it.
// Invariant: the old device key stays in its place until the new one is safe in the spare place;
// a registration that was begun and not ended is known as such after any cut (isPending).

// state       | done well   | problem     | deadline
// OFF         | stray       | -           | -
// IDENTIFYING | CHALLENGING | fail, OFF   | fail, OFF
// CHALLENGING | ACTIVATING  | fail, OFF   | fail, OFF
// ACTIVATING  | SIGNING     | fail, OFF   | fail, OFF
// SIGNING     | MARKING     | fail, OFF   | fail, OFF
// MARKING     | REGISTERING | REGISTERING | REGISTERING
// REGISTERING | POLLING     | fail, OFF   | fail, OFF
// POLLING     | -           | -           | REGISTERING
// ADOPTING    | SPARING     | fail, OFF   | fail, OFF
// SPARING     | SAVING      | fail, OFF   | fail, OFF
// SAVING      | SWAPPING    | SWAPPING    | SWAPPING
// SWAPPING    | OFF         | OFF         | OFF
// REGISTERING and POLLING lead to ADOPTING when the answer is "assigned".
// An assignment that the disk does not take is a warning: without it a cut costs a registration.
// A swap that fails leaves the new key in the spare place, where it is found and used.

import { decodeBase64, encodeBase64 } from "../codec/base64.ts";
import { splitBlob } from "../codec/blob.ts";
import { Outcome } from "../codec/outcome.ts";
import type { Sha256 } from "../codec/public.ts";
import { registrationId } from "../codec/registration.ts";
import { signedText, token } from "../codec/sas.ts";
import { assert, unreachable } from "../kit/assert.ts";
import { DPS_ANSWER_MS, DPS_POLLS_MAX, DPS_TOKEN_S, TPM_PROCEDURE_MS } from "../limits.ts";
import { type Assignment, assignmentText } from "./assignment.ts";
import type { Counters } from "./counters.ts";
import { type DpsAnswer, dpsPath, dpsProblem, readDpsAnswer } from "./dps.ts";
import { Cause, type Effects, Level, type WebAnswer } from "./effects.ts";
import { Activate, Identify, KeepIdentity, KeepSpare, Sign } from "./procedure.ts";
import type { EndpointSettings } from "./settings.ts";
import type { Vault } from "./vault.ts";

export enum ProvisionState {
  OFF,
  IDENTIFYING,
  CHALLENGING,
  ACTIVATING,
  SIGNING,
  MARKING,
  REGISTERING,
  POLLING,
  ADOPTING,
  SPARING,
  SAVING,
  SWAPPING,
}

const NEVER = Number.POSITIVE_INFINITY;
const encoder = new TextEncoder();
/** Wait between polls when the service names none (azure.md 1.5). */
const RETRY_AFTER_S = 2;
const RETRY_AFTER_S_MAX = 300;
const OTHER_TPM =
  "; this TPM has another endorsement key than at the last registration: it was cleared or " +
  "replaced, so its new key must be enrolled";
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
  /** Our id at DPS, once the TPM has been asked. */
  registrationId = "";
  /** The service's clock in Unix s, and when it said so; NaN as long as it did not. */
  dateS = Number.NaN;
  dateMs = 0;
  private identified = new Identify();
  private activate: Activate | undefined;
  private signing: Sign | undefined;
  private endorsement = "";
  /** Words before a refusal that this may explain. */
  private suspicion = "";
  private expiryS = 0;
  private authorization = "";
  private operation = "";
  private polls = 0;
  private ticket = 0;
  private next: Assignment | undefined;
  private nowMs = 0;
  private wallS = 0;

  /** @param assignment what is known from the last registration, this or an earlier start's */
  constructor(
    private readonly effects: Effects,
    private readonly vault: Vault,
    private readonly counters: Counters,
    private readonly endpoint: EndpointSettings,
    private readonly sha256: Sha256,
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
    this.identified = new Identify();
    this.work(ProvisionState.IDENTIFYING, this.identified);
  }

  /** Ends it without an outcome: nobody wants it any more. */
  cancel(): void {
    if (this.state === ProvisionState.OFF) return;
    this.vault.abandon();
    this.authorization = "";
    this.enter(ProvisionState.OFF, NEVER);
  }

  /** The procedure that the vault was given has ended. */
  onVault(nowMs: number, wallS: number): boolean {
    this.at(nowMs, wallS);
    const { outcome, kind } = this.vault;
    if (this.state === ProvisionState.SWAPPING) return this.finish(outcome);
    if (outcome !== "") return this.fail(`the TPM could not ${outcome}`, causeOf(kind));
    switch (this.state) {
      case ProvisionState.IDENTIFYING:
        return this.onIdentified();
      case ProvisionState.ACTIVATING:
        return this.onActivated();
      case ProvisionState.SIGNING:
        return this.onSigned();
      case ProvisionState.ADOPTING:
        return this.work(ProvisionState.SPARING, new KeepSpare(this.activate!.kept));
      case ProvisionState.SPARING:
        return this.save(ProvisionState.SAVING, { ...this.next!, isPending: false });
      default:
        this.counters.stray++;
        return false;
    }
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
    if (this.state === ProvisionState.MARKING) return this.register();
    this.assignment = { ...this.next!, isPending: false };
    return this.work(ProvisionState.SWAPPING, new KeepIdentity(this.activate!.kept));
  }

  /** True when the registration ended by its time being over. */
  onDeadline(nowMs: number, wallS: number): boolean {
    if (nowMs < this.deadlineMs) return false;
    this.at(nowMs, wallS);
    const { dpsHost, dpsPort } = this.endpoint;
    const silent = this.vault.fault || "the TPM took too long";
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
    const { endorsementKey, storageKey, made } = this.identified;
    if (made !== "") this.effects.log(Level.NOTICE, `the TPM had no ${made}: made now`);
    this.endorsement = registrationId(endorsementKey, this.sha256);
    this.registrationId = this.endpoint.registrationId || this.endorsement;
    const before = this.assignment?.endorsement ?? this.endorsement;
    this.suspicion = before === this.endorsement ? "" : OTHER_TPM;
    const text = `registering ${this.registrationId} at ${this.endpoint.dpsHost}`;
    this.effects.log(Level.INFO, text);
    return this.send(ProvisionState.CHALLENGING, this.registerBody(endorsementKey, storageKey));
  }

  private registerBody(endorsementKey: Uint8Array, storageKey: Uint8Array): string {
    return JSON.stringify({
      registrationId: this.registrationId,
      tpm: {
        endorsementKey: encodeBase64(endorsementKey),
        storageRootKey: encodeBase64(storageKey),
      },
    });
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
    // The service's own clock where it told it: ours may be wrong.
    const sinceS = (this.nowMs - this.dateMs) / 1000;
    const serviceS = Number.isNaN(this.dateS) ? this.wallS : this.dateS + sinceS;
    this.expiryS = Math.max(Math.floor(serviceS), 0) + DPS_TOKEN_S;
    const text = signedText(this.resource, this.expiryS);
    this.signing = new Sign(this.activate!.kept, encoder.encode(text));
    return this.work(ProvisionState.SIGNING, this.signing);
  }

  private onSigned(): boolean {
    const signature = encodeBase64(this.signing!.signature);
    this.authorization = token(this.resource, signature, this.expiryS, "registration");
    const { assignment, registrationId, endorsement } = this;
    const { idScope } = this.endpoint;
    const nowhere = { idScope, hubName: "", deviceId: "", registrationId, endorsement, atS: 0 };
    const known = assignment ?? nowhere;
    this.assignment = { ...known, isPending: true };
    return this.save(ProvisionState.MARKING, this.assignment);
  }

  private register(): boolean {
    const { endorsementKey, storageKey } = this.identified;
    this.polls = 0;
    return this.send(ProvisionState.REGISTERING, this.registerBody(endorsementKey, storageKey));
  }

  private onRegistration(answer: WebAnswer, read: DpsAnswer): boolean {
    if (read.status === "assigned" && read.hubName !== "" && read.deviceId !== "") {
      const { registrationId, endorsement, wallS } = this;
      const { hubName, deviceId } = read;
      const { idScope } = this.endpoint;
      const place = { idScope, hubName, deviceId, registrationId, endorsement };
      this.next = { ...place, atS: Math.floor(wallS), isPending: true };
      this.authorization = "";
      return this.open(read.key, true);
    }
    const isWaiting =
      answer.status === 202 || (answer.status === 200 && read.status === "assigning");
    const isThrottled = answer.status === 429 || answer.status >= 500;
    if (read.operation !== "") this.operation = read.operation;
    if ((!isWaiting && !isThrottled) || this.operation === "" || this.polls >= DPS_POLLS_MAX) {
      return this.refuse(answer, read);
    }
    const given = Number.isNaN(answer.retryAfterS) ? RETRY_AFTER_S : answer.retryAfterS;
    const waitS = Math.min(Math.max(given, 1), RETRY_AFTER_S_MAX);
    this.enter(ProvisionState.POLLING, this.nowMs + waitS * 1000);
    return false;
  }

  private poll(): boolean {
    this.polls++;
    const { dpsHost, dpsPort, idScope } = this.endpoint;
    this.effects.ask(++this.ticket, {
      method: "GET",
      host: dpsHost,
      port: dpsPort,
      path: dpsPath(idScope, this.registrationId, `operations/${this.operation}`),
      authorization: this.authorization,
      body: "",
    });
    this.enter(ProvisionState.REGISTERING, this.nowMs + DPS_ANSWER_MS);
    return false;
  }

  private send(state: ProvisionState, body: string): boolean {
    const { dpsHost, dpsPort, idScope } = this.endpoint;
    this.operation = "";
    this.effects.ask(++this.ticket, {
      method: "PUT",
      host: dpsHost,
      port: dpsPort,
      path: dpsPath(idScope, this.registrationId, "register"),
      authorization: state === ProvisionState.REGISTERING ? this.authorization : "",
      body,
    });
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
    if (problem !== "") this.effects.log(Level.WARNING, `${problem}; it stays in the spare place`);
    const { hubName, deviceId } = this.assignment!;
    this.effects.log(Level.NOTICE, `registered: device ${deviceId} at ${hubName}`);
    this.enter(ProvisionState.OFF, NEVER);
    return true;
  }

  private refuse(answer: WebAnswer, read: DpsAnswer): boolean {
    const isSigned = this.state === ProvisionState.REGISTERING;
    const problem = dpsProblem(answer, read, this.registrationId, this.endpoint, isSigned);
    const cause = answer.status === 0 ? Cause.DPS_FAILED : Cause.DPS_REFUSED;
    return this.fail(answer.status === 0 ? problem : `${problem}${this.suspicion}`, cause);
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
