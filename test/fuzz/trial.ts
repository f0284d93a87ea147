// Trial: one registration of the agent at a DPS that answers anything, with a TPM that opens
// every blob.
// Neighbours: `body` makes the answers, `creed` says what must hold; `dps.ts` runs many.
// Invariant: a finding is a text; the registration ends within a bounded number of events.

import { createHash } from "node:crypto";
import type { Assignment } from "../../src/core/assignment.ts";
import { parseAssignment } from "../../src/core/assignment.ts";
import { Counters } from "../../src/core/counters.ts";
import { Cause, Effects, Verb, type WebAnswer, type WebRequest } from "../../src/core/effects.ts";
import { Activate, Identify, type Procedure, Sign } from "../../src/core/procedure.ts";
import { Provision, ProvisionState } from "../../src/core/provision.ts";
import type { EndpointSettings } from "../../src/core/settings.ts";
import type { Vault } from "../../src/core/vault.ts";
import type { Prng } from "../../src/kit/prng.ts";
import { mutantAnswer, soundAnswer } from "./body.ts";
import * as creed from "./creed.ts";

const SCOPE = "0ne00000001";
/** Two events for each poll, and the few around them. */
const EVENTS_MAX = 200;
const WAIT_MS_MAX = 300_000;
const HANDLE = 0x80000001;

const BEFORE: Assignment = {
  idScope: SCOPE,
  hubName: "hub1.example",
  deviceId: "gateway-before",
  registrationId: "gateway-7",
  endorsement: "",
  atS: 1_700_000_000,
  isPending: false,
};

/** What of the settings a registration looks at. */
const ENDPOINT = {
  type: "tpm",
  dpsHost: "dps.example",
  dpsPort: 443,
  idScope: SCOPE,
  registrationId: "gateway-7",
  isHidden: true,
} as EndpointSettings;

const sha256 = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();

/** The place of the vault: a TPM that does whatever it is asked. */
class Safe {
  outcome = "";
  kind = 0;
  fault = "";
  procedure: Procedure | undefined;

  run(procedure: Procedure): void {
    this.procedure = procedure;
  }

  abandon(): void {
    this.procedure = undefined;
  }
}

/** One registration. */
export class Trial {
  private readonly effects = new Effects();
  private readonly safe = new Safe();
  private readonly provision: Provision;
  private readonly before: Assignment | undefined;
  /** A service that is for ever about to assign. */
  private readonly isEndless: boolean;
  private nowMs = 1000;
  private ticket = 0;
  private request: WebRequest | undefined;
  private saved = "";
  private answer: WebAnswer | undefined;

  constructor(
    private readonly blob: Buffer,
    private readonly prng: Prng,
  ) {
    this.before = prng.chance(0.5) ? BEFORE : undefined;
    this.isEndless = prng.chance(0.01);
    const vault = this.safe as unknown as Vault;
    const counters = new Counters();
    this.provision = new Provision(
      this.effects,
      vault,
      counters,
      ENDPOINT,
      sha256,
      "",
      this.before,
    );
  }

  /** True when a registration came of it; a text is a finding. */
  run(): boolean | string {
    this.provision.start(this.nowMs, this.wallS);
    for (let events = 0; this.provision.state !== ProvisionState.OFF; events++) {
      if (events > EVENTS_MAX) return `no end: in ${ProvisionState[this.provision.state]}`;
      const finding = this.collect() || this.step();
      if (finding !== "") return finding;
    }
    return this.collect() || this.reckon();
  }

  private get wallS(): number {
    return 1_700_000_000 + this.nowMs / 1000;
  }

  /** Takes what the last step asked for. */
  private collect(): string {
    const { effects } = this;
    for (let slot = 0; slot < effects.count; slot++) {
      const thing = effects.take(slot);
      switch (effects.verbs[slot]) {
        case Verb.FETCH:
          this.ticket = effects.numbers[slot]!;
          this.request = thing as WebRequest;
          break;
        case Verb.SAVE:
          this.saved = effects.texts[slot]!;
          break;
        default:
          if (!creed.isLine(effects.texts[slot]!)) return `logs ${effects.texts[slot]}`;
      }
    }
    effects.count = 0;
    return "";
  }

  /** Gives the machine what it waits for. */
  private step(): string {
    const { provision, nowMs, wallS } = this;
    switch (provision.state) {
      case ProvisionState.CHALLENGING:
      case ProvisionState.REGISTERING:
        return this.reply();
      case ProvisionState.POLLING: {
        const waitMs = provision.deadlineMs - nowMs;
        if (!(waitMs >= 1000 && waitMs <= WAIT_MS_MAX)) return `polls after ${waitMs} ms`;
        this.nowMs += waitMs;
        provision.onDeadline(this.nowMs, this.wallS);
        return "";
      }
      case ProvisionState.MARKING:
      case ProvisionState.SAVING:
        if (parseAssignment(this.saved) === undefined) return `keeps what it cannot read`;
        provision.onSaved("", nowMs, wallS);
        return "";
      default:
        return this.obey();
    }
  }

  private reply(): string {
    const { method, path, authorization } = this.request!;
    const isSound = creed.isRequest(method, path, authorization, SCOPE, ENDPOINT.registrationId);
    if (!isSound) return `asks ${method} ${path} with ${authorization}`;
    this.answer = this.nextAnswer();
    this.provision.onFetched(this.ticket, this.answer, this.nowMs, this.wallS);
    return "";
  }

  private nextAnswer(): WebAnswer {
    if (this.prng.chance(this.isEndless ? 0.01 : 0.4)) return mutantAnswer(this.blob, this.prng);
    if (this.provision.state === ProvisionState.CHALLENGING) {
      return soundAnswer("challenge", this.blob);
    }
    const isOver = !this.isEndless && this.prng.chance(0.5);
    return soundAnswer(isOver ? "assigned" : "assigning", this.blob);
  }

  /** Does as the TPM would. */
  private obey(): string {
    const { procedure } = this.safe;
    if (procedure === undefined)
      return `waits for nothing in ${ProvisionState[this.provision.state]}`;
    if (procedure instanceof Identify) {
      procedure.endorsementKey = Buffer.alloc(316, 1);
      procedure.storageKey = Buffer.alloc(284, 2);
    }
    if (procedure instanceof Sign) procedure.signature = Buffer.alloc(32, 3);
    if (procedure instanceof Activate) {
      const problem = creed.keyProblem(this.answer!.body);
      if (problem !== "") return `takes to the TPM: ${problem}`;
      procedure.kept = HANDLE;
    }
    this.provision.onVault(this.nowMs, this.wallS);
    return "";
  }

  private reckon(): boolean | string {
    const { problem, cause, assignment } = this.provision;
    if (problem !== "") {
      if (!creed.isLine(problem)) return `says ${JSON.stringify(problem)}`;
      if (cause === Cause.NONE) return "fails without a cause";
      const place = [assignment?.hubName ?? "", assignment?.deviceId ?? ""].join();
      const old = [this.before?.hubName ?? "", this.before?.deviceId ?? ""].join();
      return place === old ? false : `fails, and moves to ${place}`;
    }
    const { hubName, deviceId, isPending } = assignment!;
    if (isPending) return "ends without an end";
    const told = creed.placeIn(this.answer!.body);
    if (told === undefined) return `a forgery: ${hubName} ${deviceId}`;
    return told.hub === hubName && told.device === deviceId ? true : `moves to ${hubName}`;
  }
}
