// Provision: registers this device at the Device Provisioning Service by its TPM.
// Neighbours: `vault` works the TPM, the HTTPS port carries requests, `agent` starts it and looks
// at how it ended; `assignment` is what comes of it.
// Invariant: the old device key stays in its place until the new one is safe in the spare place;
// a registration that was begun and not ended is known as such after any cut (isPending).

// state       | done well                | problem   | deadline
// OFF         | stray                    | stray     | -
// IDENTIFYING | CHALLENGING              | OFF, fail | OFF, fail
// CHALLENGING | 401 with key: ACTIVATING | OFF, fail | OFF, fail
// ACTIVATING  | SIGNING                  | OFF, fail | OFF, fail
// SIGNING     | MARKING                  | OFF, fail | OFF, fail
// MARKING     | REGISTERING              | OFF, fail | OFF, fail
// REGISTERING | 202: POLLING, 200: below | OFF, fail | OFF, fail
// POLLING     | (after Retry-After) ask  | OFF, fail | OFF, fail
// ADOPTING    | SPARING                  | OFF, fail | OFF, fail
// SPARING     | SAVING                   | OFF, fail | OFF, fail
// SAVING      | SWAPPING                 | OFF, fail | OFF, fail
// SWAPPING    | OFF, well                | OFF, well | OFF, well
// "assigned" leads from REGISTERING and POLLING to ADOPTING. A swap that fails leaves the new key
// in the spare place, where the next start finds it: the device is provisioned all the same.

import { decodeBase64, encodeBase64 } from "../codec/base64.ts";
import { splitBlob } from "../codec/blob.ts";
import type { Sha256 } from "../codec/public.ts";
import { registrationId } from "../codec/registration.ts";
import { signedText, token } from "../codec/sas.ts";
import { assert, unreachable } from "../kit/assert.ts";
import { DPS_ANSWER_MS, DPS_POLLS_MAX, DPS_TOKEN_S, TPM_PROCEDURE_MS } from "../limits.ts";
import { type Assignment, assignmentText } from "./assignment.ts";
import { type DpsAnswer, dpsPath, dpsProblem, readDpsAnswer } from "./dps.ts";
import { type Effects, Level, type WebAnswer } from "./effects.ts";
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

/** One registration at a time. */
export class Provision {
  state = ProvisionState.OFF;
  deadlineMs = NEVER;
  /** What is known of this device's place, from the last registration or the last start. */
  assignment: Assignment | undefined;
  /** Why the last registration failed, in one line; "" when it did not. */
  problem = "";
  private identified = new Identify();
  private activate: Activate | undefined;
  private signing: Sign | undefined;
  private registrationId = "";
  private endorsement = "";
  private expiryS = 0;
  private authorization = "";
  private operation = "";
  private polls = 0;
  private ticket = 0;
  private next: Assignment | undefined;
  private nowMs = 0;
  private wallS = 0;

  constructor(
    private readonly effects: Effects,
    private readonly vault: Vault,
    private readonly endpoint: EndpointSettings,
    private readonly sha256: Sha256,
  ) {}

  /** Handle of the device key as last seen; 0 when there is none. */
  get keyHandle(): number {
    return this.identified.identity;
  }

  /** Starts a registration. */
  start(nowMs: number, wallS: number): void {
    assert(this.state === ProvisionState.OFF, "one registration at a time");
    this.at(nowMs, wallS);
    this.problem = "";
    this.identified = new Identify();
    this.work(ProvisionState.IDENTIFYING, this.identified);
  }

  /** The procedure that the vault was given has ended. */
  onVault(nowMs: number, wallS: number): boolean {
    this.at(nowMs, wallS);
    const problem = this.vault.outcome;
    if (this.state === ProvisionState.SWAPPING) return this.finish(problem);
    if (problem !== "") return this.fail(`the TPM could not ${problem}`);
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
        return false;
    }
  }

  /** The service answered. */
  onFetched(ticket: number, answer: WebAnswer, nowMs: number, wallS: number): boolean {
    if (ticket !== this.ticket) return false;
    this.at(nowMs, wallS);
    const read = readDpsAnswer(answer);
    switch (this.state) {
      case ProvisionState.CHALLENGING:
        if (answer.status === 401 && read.key !== "") return this.open(read.key, false);
        return this.fail(dpsProblem(answer, read, this.registrationId, this.endpoint));
      case ProvisionState.REGISTERING:
      case ProvisionState.POLLING:
        return this.onRegistration(answer, read);
      default:
        return false;
    }
  }

  /** The assignment is on disk, or could not be put there. */
  onSaved(problem: string, nowMs: number, wallS: number): boolean {
    this.at(nowMs, wallS);
    if (problem !== "") return this.fail(`the assignment could not be kept: ${problem}`);
    switch (this.state) {
      case ProvisionState.MARKING:
        return this.register();
      case ProvisionState.SAVING:
        this.assignment = { ...this.next!, isPending: false };
        return this.work(ProvisionState.SWAPPING, new KeepIdentity(this.activate!.kept));
      default:
        return false;
    }
  }

  /** True when the registration ended by its time being over. */
  onDeadline(nowMs: number, wallS: number): boolean {
    if (nowMs < this.deadlineMs) return false;
    this.at(nowMs, wallS);
    switch (this.state) {
      case ProvisionState.OFF:
        return false;
      case ProvisionState.POLLING:
        return this.poll();
      case ProvisionState.CHALLENGING:
      case ProvisionState.REGISTERING:
        return this.fail(`no answer from ${this.endpoint.dpsHost}:${this.endpoint.dpsPort}`);
      case ProvisionState.MARKING:
      case ProvisionState.SAVING:
        return this.fail("the disk did not take the assignment in time");
      case ProvisionState.IDENTIFYING:
      case ProvisionState.ACTIVATING:
      case ProvisionState.SIGNING:
      case ProvisionState.ADOPTING:
      case ProvisionState.SPARING:
        this.vault.abandon("the TPM took too long");
        return this.fail("the TPM took too long");
      case ProvisionState.SWAPPING:
        this.vault.abandon("the TPM took too long");
        return this.finish("the TPM took too long");
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
    if (before !== this.endorsement) {
      this.effects.log(
        Level.ERROR,
        "the TPM has another endorsement key than at the last registration: cleared or replaced; " +
          "its new key must be enrolled (azimuth tpm)",
      );
    }
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
    if (typeof blob === "string") return this.fail(`the service sent no sound key: ${blob}`);
    this.activate = new Activate(blob, this.endpoint.isHidden);
    return this.work(isFinal ? ProvisionState.ADOPTING : ProvisionState.ACTIVATING, this.activate);
  }

  private onActivated(): boolean {
    this.expiryS = Math.floor(this.wallS) + DPS_TOKEN_S;
    const text = signedText(this.resource, this.expiryS);
    this.signing = new Sign(this.activate!.kept, encoder.encode(text));
    return this.work(ProvisionState.SIGNING, this.signing);
  }

  private onSigned(): boolean {
    const signature = encodeBase64(this.signing!.signature);
    this.authorization = token(this.resource, signature, this.expiryS, "registration");
    const { assignment, registrationId, endorsement } = this;
    const known = assignment ?? { hubName: "", deviceId: "", registrationId, endorsement, atS: 0 };
    return this.save(ProvisionState.MARKING, { ...known, isPending: true });
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
      this.next = { hubName, deviceId, registrationId, endorsement, atS: wallS, isPending: true };
      this.authorization = "";
      return this.open(read.key, true);
    }
    const isWaiting =
      answer.status === 202 || (answer.status === 200 && read.status === "assigning");
    const isThrottled = answer.status === 429 || answer.status >= 500;
    if (read.operation !== "") this.operation = read.operation;
    if ((!isWaiting && !isThrottled) || this.operation === "" || this.polls >= DPS_POLLS_MAX) {
      return this.fail(dpsProblem(answer, read, this.registrationId, this.endpoint));
    }
    const given = Number.isNaN(answer.retryAfterS) ? RETRY_AFTER_S : answer.retryAfterS;
    const waitS = Math.min(Math.max(given, 1), RETRY_AFTER_S_MAX);
    this.enter(ProvisionState.POLLING, this.nowMs + waitS * 1000);
    return false;
  }

  private poll(): boolean {
    this.polls++;
    const { dpsHost, dpsPort, idScope } = this.endpoint;
    this.effects.fetch(++this.ticket, {
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
    this.effects.fetch(++this.ticket, {
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

  private fail(problem: string): boolean {
    this.problem = problem;
    this.authorization = "";
    this.enter(ProvisionState.OFF, NEVER);
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
