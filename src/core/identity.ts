// Identity: who this device is when DPS says so: registers there, knows when to do that again, and
// signs where the key is in a TPM.
// Neighbours: `agent` asks before each attempt and hears how things ended; `vault` works the TPM,
// `provision` talks to DPS, `refusals` counts what the hub says.
// Invariant: one signature or one registration at a time; each that was asked for ends once.

import { encodeBase64 } from "../codec/base64.ts";
import type { Sha256 } from "../codec/public.ts";
import type { Prng } from "../kit/prng.ts";
import { type Assignment, proofOf, recall } from "./assignment.ts";
import type { Counters } from "./counters.ts";
import type { Effects, WebAnswer } from "./effects.ts";
import { SignAsDevice } from "./procedure.ts";
import { Provision, ProvisionState } from "./provision.ts";
import { Refusals } from "./refusals.ts";
import type { EndpointSettings } from "./settings.ts";
import { Vault } from "./vault.ts";

/** What an event came to. */
export enum Ended {
  NOTHING,
  SIGNED,
  UNSIGNED,
  REGISTERED,
  UNREGISTERED,
}

/** What the ports of an endpoint that registers at DPS give at start. */
export interface Origin {
  /** The text of the assignment that was kept; "" for none. */
  readonly assignment: string;
  readonly sha256: Sha256;
}

const KEY_GONE = "there is no device key in the TPM: it was cleared or replaced";
const SEAL_AGAIN = "; put the connection string back into the settings and run azimuth seal again";

const encoder = new TextEncoder();

/** The endpoint with the place that an assignment gives it. */
export function placed(
  endpoint: EndpointSettings,
  assignment: Assignment | undefined,
): EndpointSettings {
  if (endpoint.idScope === "" || assignment === undefined) return endpoint;
  const { hubName, deviceId } = assignment;
  return { ...endpoint, hubName, host: hubName, deviceId };
}

/** Without DPS nothing is ever due here, without a TPM nothing signed. */
export class Identity {
  readonly vault: Vault;
  readonly provision: Provision;
  readonly refusals: Refusals;
  /** Base64 of the last signature, and why there was none; secret. */
  signature = "";
  problem = "";
  private signing: SignAsDevice | undefined;
  /** What the signature under way is for, and what was asked for last. */
  private text = "";
  private wanted = "";
  private place = 0;
  private isKeyGone = false;
  /** The registration that an earlier start left open has been asked about. */
  private isResumed = false;
  private nowMs = 0;
  private wallS = 0;

  constructor(
    effects: Effects,
    counters: Counters,
    prng: Prng,
    private readonly endpoint: EndpointSettings,
    origin: Origin,
  ) {
    this.vault = new Vault(effects, counters);
    this.refusals = new Refusals(prng);
    const { sha256 } = origin;
    const proof = proofOf(endpoint, sha256);
    const known = recall(origin.assignment, endpoint, proof);
    this.provision = new Provision(effects, this.vault, counters, endpoint, sha256, proof, known);
  }

  /** The moment at which the events that follow happen. */
  at(nowMs: number, wallS: number): void {
    this.nowMs = nowMs;
    this.wallS = wallS;
  }

  /** Where this device belongs, as far as that is known. */
  get settled(): EndpointSettings {
    return placed(this.endpoint, this.provision.assignment);
  }

  /** True when DPS has to be asked before the hub is. */
  get isDue(): boolean {
    if (this.endpoint.idScope === "") return false;
    const { assignment } = this.provision;
    if (assignment === undefined || assignment.hubName === "" || this.isKeyGone) return true;
    const { isPending } = assignment;
    return (isPending && !this.isResumed) || this.refusals.isDue(this.nowMs, isPending);
  }

  /** Registers at DPS; a signature under way is given up for it. */
  register(): void {
    this.drop();
    this.isResumed = true;
    this.refusals.onAsked(this.nowMs);
    this.provision.start(this.nowMs, this.wallS);
  }

  /** Nobody wants the registration any more. */
  cancel(): void {
    this.provision.cancel();
  }

  /** Signs `text` with the device key, after the signature under way, if there is one. */
  sign(text: string): void {
    this.wanted = text;
    if (this.signing === undefined) this.begin();
  }

  /** The signer has signed, for DPS or for the hub. */
  onSigned(signature: string): Ended {
    const { provision, nowMs, wallS } = this;
    if (provision.isAwaitingSigner) return this.told(provision.onSigned(signature, nowMs, wallS));
    this.signature = signature;
    return Ended.SIGNED;
  }

  /** The signer could not; `problem` is one line. */
  onSignFailed(problem: string): Ended {
    if (this.provision.isAwaitingSigner) return this.told(this.provision.onSignFailed(problem));
    this.problem = problem;
    return Ended.UNSIGNED;
  }

  onTpmOpened(): Ended {
    this.vault.onOpened();
    return Ended.NOTHING;
  }

  onTpmClosed(detail: string): Ended {
    return this.vault.onClosed(detail) ? this.onVault() : Ended.NOTHING;
  }

  onTpmDone(ticket: number, rc: number, handle: number, output: Uint8Array): Ended {
    return this.vault.onDone(ticket, rc, handle, output) ? this.onVault() : Ended.NOTHING;
  }

  onFetched(ticket: number, answer: WebAnswer): Ended {
    return this.told(this.provision.onFetched(ticket, answer, this.nowMs, this.wallS));
  }

  onSaved(problem: string): Ended {
    return this.told(this.provision.onSaved(problem, this.nowMs, this.wallS));
  }

  onDeadline(): Ended {
    return this.told(this.provision.onDeadline(this.nowMs, this.wallS));
  }

  private onVault(): Ended {
    const { signing } = this;
    if (signing === undefined) return this.told(this.provision.onVault(this.nowMs, this.wallS));
    this.signing = undefined;
    const { outcome } = this.vault;
    this.place = outcome === "" ? signing.place : 0;
    this.isKeyGone = signing.isAbsent;
    if (this.wanted !== this.text && !this.isKeyGone) {
      this.begin();
      return Ended.NOTHING;
    }
    if (outcome !== "") {
      this.problem = `the TPM could not ${outcome}`;
      return Ended.UNSIGNED;
    }
    if (signing.isAbsent) {
      const { isSealed } = this.endpoint;
      this.problem = `${KEY_GONE}${isSealed ? SEAL_AGAIN : ""}`;
      return Ended.UNSIGNED;
    }
    this.signature = encodeBase64(signing.signature);
    return Ended.SIGNED;
  }

  private begin(): void {
    this.text = this.wanted;
    this.signing = new SignAsDevice(this.place, encoder.encode(this.text));
    this.vault.run(this.signing);
  }

  private drop(): void {
    if (this.signing === undefined) return;
    this.signing = undefined;
    this.vault.abandon();
  }

  private told(isOver: boolean): Ended {
    if (!isOver) return Ended.NOTHING;
    const { provision } = this;
    if (provision.problem !== "") return Ended.UNREGISTERED;
    this.place = provision.place;
    this.isKeyGone = false;
    return Ended.REGISTERED;
  }

  /** True while a registration is under way. */
  get isRegistering(): boolean {
    return this.provision.state !== ProvisionState.OFF;
  }
}
