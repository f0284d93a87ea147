// Enclave: the TPM, the signer and the DPS of a rig, which answer when the test lets them.
// Neighbours: `rig` collects what the turn asks for; `tpm/model.ts` is the TPM, `tpm/maker.ts`
// makes the blobs.
// Invariant: one answer a step, in the order of asking; nothing answers by itself.

import { createHmac } from "node:crypto";
import type { WebAnswer, WebRequest } from "../../src/core/effects.ts";
import { isInTpm, type Settings } from "../../src/core/settings.ts";
import { Chip } from "../azure/chip.ts";
import { Rig, settings } from "../rig.ts";
import { makeBlob } from "../tpm/maker.ts";
import { TpmModel } from "../tpm/model.ts";

export const chip = Chip.make();
export const SCOPE = "0ne00000001";
export const HUB = "hub7.example";
export const IDENTITY = 0x81000100;
export const SPARE = 0x81000101;
/** Keys that the DPS of a test gives: to register with, and to be the device with. */
export const REGISTRATION_KEY = Buffer.alloc(32, 1);
export const DEVICE_KEY = Buffer.alloc(32, 2);

/** Settings of an endpoint of type tpm. */
export function hardware(parts: Parameters<typeof settings>[0] = {}): Settings {
  return settings({
    ...parts,
    endpoint: {
      type: "tpm",
      hubName: "",
      host: "",
      deviceId: "",
      key: "",
      idScope: SCOPE,
      ...parts.endpoint,
    },
  });
}

/** Key of an enrollment at DPS. */
export const ENROLLED_KEY = Buffer.alloc(32, 3);

/** Settings of an endpoint that registers by the key of its enrollment. */
export function keyed(parts: Parameters<typeof settings>[0] = {}): Settings {
  const key = ENROLLED_KEY.toString("base64");
  const own = { type: "symmetric-key", registrationId: "gw-7", key } as const;
  return hardware({ ...parts, endpoint: { ...own, ...parts.endpoint } });
}

export const CERTIFICATE = {
  commonName: "gw-7",
  fingerprint: "ab12",
  fromS: 1_699_000_000,
  untilS: 1_790_000_000,
};

/** Settings of an endpoint that registers by a certificate. */
export function certified(parts: Parameters<typeof settings>[0] = {}): Settings {
  const own = { type: "x509", registrationId: "gw-7", certificate: CERTIFICATE } as const;
  return hardware({ ...parts, endpoint: { ...own, ...parts.endpoint } });
}

/** An `authenticationKey` for the chip. */
export function blobOf(key: Buffer, to = chip): string {
  const endorsementKey = Buffer.from(to.endorsementKey, "base64");
  const storageKey = Buffer.from(to.storageRootKey, "base64");
  return makeBlob({ endorsementKey, storageKey, key }).blob.toString("base64");
}

export function answered(status: number, body: object, more: Partial<WebAnswer> = {}): WebAnswer {
  const text = JSON.stringify(body);
  return { status, dateS: Number.NaN, retryAfterS: Number.NaN, body: text, problem: "", ...more };
}

export const challenged = (key = blobOf(REGISTRATION_KEY)): WebAnswer =>
  answered(401, { authenticationKey: key, keyName: "registration" });
export const assigning = (more: Partial<WebAnswer> = {}): WebAnswer =>
  answered(202, { operationId: "4.op", status: "assigning" }, more);
export function assigned(deviceId = "gw7", key = blobOf(DEVICE_KEY), hub = HUB): WebAnswer {
  const tpm = { authenticationKey: key };
  const registrationState = { tpm, assignedHub: hub, deviceId, status: "assigned" };
  return answered(200, { operationId: "4.op", status: "assigned", registrationState });
}

/** The text that a sound SAS of `key` signs. */
export function signatureOf(key: Buffer, text: string): string {
  return createHmac("sha256", key).update(text).digest("base64");
}

/** A rig with a TPM and a DPS behind it. */
export class Enclave {
  readonly rig: Rig;
  readonly tpm = new TpmModel(chip);
  /** Requests that DPS got, and what it says, one after the other, then assigned for ever. */
  readonly asked: WebRequest[] = [];
  answers: WebAnswer[] = [];
  /** What the disk says. */
  diskProblem = "";
  /** What the signer says in place of a signature; "" lets it sign. */
  signerProblem = "";
  /** Codes of the TPM in place of what it would do; 0 lets it do it. */
  refuse: (operation: number) => number = () => 0;
  private saves = 0;

  constructor(given = hardware(), kept = "") {
    this.rig = new Rig(given, 1, kept);
  }

  /** From a start with an open TPM, if it has one. */
  start(): this {
    this.rig.turn.start();
    if (isInTpm(this.rig.given.endpoint)) this.rig.turn.onTpmOpened();
    return this;
  }

  /** Answers the oldest thing asked for; false when there is none. */
  step(): boolean {
    const { rig, tpm } = this;
    const { turn } = rig;
    const saved = rig.calls.filter((call) => call === "save").length;
    this.saves += saved;
    if (saved > 0) rig.calls.splice(0, rig.calls.length, ...rig.calls.filter((c) => c !== "save"));
    const asked = rig.calls.findIndex((call) => call.startsWith("sign "));
    if (asked >= 0) {
      const [call] = rig.calls.splice(asked, 1);
      const text = call!.slice("sign ".length).replace(" ", "\n");
      if (this.signerProblem !== "") turn.onSignFailed(this.signerProblem);
      else turn.onSigned(signatureOf(ENROLLED_KEY, text));
      return true;
    }
    if (rig.performed.length > 0) {
      const { ticket, request } = rig.performed.shift()!;
      const rc = this.refuse(request.operation);
      const { handle, output, ...told } = rc === 0 ? tpm.perform(request) : refused(rc);
      turn.onTpmDone(ticket, told.rc, handle, output);
      return true;
    }
    if (rig.swept > 0) {
      const ticket = rig.swept;
      rig.swept = 0;
      tpm.sweep();
      turn.onTpmDone(ticket, 0, 0, new Uint8Array(0));
      return true;
    }
    if (this.saves > 0) {
      this.saves--;
      turn.onSaved(this.diskProblem);
      return true;
    }
    const next = rig.fetched.shift();
    if (next === undefined) return false;
    this.asked.push(next.request);
    turn.onFetched(next.ticket, this.answers.shift() ?? assigned());
    return true;
  }

  /** Answers until nothing is asked for, ringing the alarm while a registration waits to poll. */
  settle(): this {
    for (let steps = 0; steps < 1000; steps++) if (!this.step()) return this;
    throw new Error("the TPM is asked and asked");
  }
}

function refused(rc: number) {
  return { rc, handle: 0, output: new Uint8Array(0) };
}
