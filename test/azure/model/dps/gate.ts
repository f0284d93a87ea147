/**
 * Who may register: finds the enrollment of a device and judges what it shows, be it a token, a
 * certificate or nothing yet but a TPM's keys. Neighbours: `desk.ts` asks for every device request.
 * Facts: DPS attestation concepts. Invariant: an enrollment of the device itself goes before
 * groups; the device hears "Unauthorized", the log hears why.
 */
import type { Context } from "../context.ts";
import { isObject, type JsonObject } from "../merge.ts";
import { expiryProblem, isSignedBy, parseSas, plainResource } from "../sas.ts";
import { parseArea } from "./area.ts";
import type { TpmAttestation } from "./attestation.ts";
import { makeBlob, shortened, spoilt } from "./blob.ts";
import { fromBase64 } from "./bytes.ts";
import type { Catalog } from "./catalog.ts";
import { isEnrolled, leafProblem, stepsTo } from "./chain.ts";
import type { Enrollment } from "./enrollment.ts";
import { DpsCode, DpsError, malformed, unauthorized } from "./errors.ts";
import { tell } from "./journal.ts";
import { deviceKey } from "./key.ts";
import type { DeviceRequest } from "./request.ts";

const KEY_NAME = "registration";
const KEY_BYTES = 32;

/** A device that is who it says it is. */
export interface Admission {
  /** Registration id, as enrolled; of a group's device as it came. */
  id: string;
  enrollment: Enrollment;
  /** The text from which a group's device has derived its key: the id, maybe in lower case. */
  derivedFrom: string;
}

/** A key that waits for a TPM to sign with it. */
interface Challenge {
  key: string;
  endorsementKey: string;
  storageRootKey: string;
}

/** Phase of the TPM flow, which faults may single out: registration key, device key. */
export enum Phase {
  Challenge = 1,
  Identity = 2,
}

/** The blob that goes out, unless a fault spoils it. */
export function sendBlob(context: Context, id: string, phase: Phase, blob: Buffer): string {
  const isMeant = (fault: { value: number }): boolean =>
    fault.value === 0 || fault.value === (phase as number);
  const { faults } = context;
  if (faults.fires("wrong-blob", id, isMeant) !== undefined) return spoilt(blob).toString("base64");
  if (faults.fires("short-blob", id, isMeant) !== undefined) {
    return shortened(blob).toString("base64");
  }
  return blob.toString("base64");
}

function textOf(tpm: JsonObject, name: string): string {
  const value = tpm[name];
  if (typeof value !== "string") throw malformed(`tpm.${name} must be a string`);
  return value;
}

/** Judges devices. */
export class Gate {
  private readonly challenges = new Map<string, Challenge>();

  constructor(
    private readonly context: Context,
    private readonly devices: Catalog,
    private readonly groups: Catalog,
  ) {}

  /**
   * Admits a device, or gives the challenge (base64) that it must answer first.
   * Throws 400, 401 or 404.
   */
  admit(request: DeviceRequest): Admission | string {
    const enrollment = this.devices.find(request.registrationId);
    if (enrollment === undefined) return this.admitByGroup(request);
    const { id, attestation } = enrollment;
    switch (attestation.type) {
      case "tpm":
        return this.admitTpm(request, enrollment, attestation);
      case "symmetricKey": {
        const keys = [attestation.primaryKey, attestation.secondaryKey];
        const problem = this.tokenProblem(request, keys);
        if (problem !== "") throw unauthorized(problem);
        return { id, enrollment, derivedFrom: id };
      }
      case "x509": {
        const problem = this.peerProblem(request);
        if (problem !== "") throw unauthorized(problem);
        if (!isEnrolled(request.peer!, attestation.certificates)) {
          throw unauthorized("the client's certificate is not the one that is enrolled");
        }
        return { id, enrollment, derivedFrom: id };
      }
    }
  }

  /** Forgets the challenge of an enrollment that is gone. */
  forget(id: string): void {
    this.challenges.delete(id.toLowerCase());
  }

  private admitByGroup(request: DeviceRequest): Admission {
    const { registrationId, authorization, peer } = request;
    const isBare = authorization === "" && peer === undefined;
    if (isBare || (authorization === "" && request.body.tpm !== undefined)) {
      const text = `${registrationId} is not enrolled`;
      throw new DpsError(DpsCode.EnrollmentNotFound, "Enrollment not found", text);
    }
    return authorization !== "" ? this.admitByGroupKey(request) : this.admitByAuthority(request);
  }

  private admitByGroupKey(request: DeviceRequest): Admission {
    const id = request.registrationId;
    let problem = "no enrollment and no group with symmetric keys";
    for (const group of this.groups.all()) {
      const { attestation } = group;
      if (attestation.type !== "symmetricKey") continue;
      for (const derivedFrom of new Set([id, id.toLowerCase()])) {
        const { primaryKey, secondaryKey } = attestation;
        const keys = [primaryKey, secondaryKey].map((key) => deviceKey(key, derivedFrom));
        problem = this.tokenProblem(request, keys);
        if (problem === "") return { id, enrollment: group, derivedFrom };
      }
    }
    throw unauthorized(`${id} by groups: ${problem}`);
  }

  private admitByAuthority(request: DeviceRequest): Admission {
    const id = request.registrationId;
    const problem = this.peerProblem(request);
    if (problem !== "") throw unauthorized(problem);
    let nearest: Enrollment | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const group of this.groups.all()) {
      const { attestation } = group;
      if (attestation.type !== "x509") continue;
      const steps = stepsTo(request.peer!, attestation.certificates, this.context.nowMs());
      if (steps < 0 || steps >= least) continue;
      nearest = group;
      least = steps;
    }
    if (nearest === undefined) {
      throw unauthorized(`${id}: the certificates lead to no enrolled authority`);
    }
    return { id, enrollment: nearest, derivedFrom: id };
  }

  private admitTpm(
    request: DeviceRequest,
    enrollment: Enrollment,
    attestation: TpmAttestation,
  ): Admission | string {
    if (request.transport === "mqtt") throw unauthorized("TPM attestation goes over HTTPS only");
    const { body, verb } = request;
    const tpm = isObject(body.tpm) ? body.tpm : undefined;
    if (request.authorization === "") {
      if (verb !== "register") throw unauthorized("no token");
      if (tpm === undefined) throw unauthorized("neither a token nor the keys of a TPM");
      return this.challenge(enrollment, attestation, tpm);
    }
    const challenge = this.challenges.get(enrollment.id.toLowerCase());
    if (challenge === undefined) throw unauthorized("a token, but no challenge went before it");
    const problem = this.tokenProblem(request, [challenge.key]);
    if (problem !== "") throw unauthorized(problem);
    if (tpm !== undefined) this.demandSameKeys(challenge, tpm);
    if (verb === "register" && attestation.storageRootKey === "") {
      enrollment.learn(challenge.storageRootKey);
      this.context.revision++;
    }
    return { id: enrollment.id, enrollment, derivedFrom: enrollment.id };
  }

  /** First half of the TPM flow: a registration key that only this TPM can unwrap. */
  private challenge(enrollment: Enrollment, attestation: TpmAttestation, tpm: JsonObject): string {
    const { id } = enrollment;
    const given = textOf(tpm, "endorsementKey");
    if (fromBase64(given)?.toString("base64") !== attestation.endorsementKey) {
      throw unauthorized("the endorsement key is not the one that is enrolled");
    }
    const rootText = textOf(tpm, "storageRootKey");
    const storageRootKey = parseArea(rootText);
    if (typeof storageRootKey === "string") {
      throw malformed(`tpm.storageRootKey: ${storageRootKey}`);
    }
    if (attestation.storageRootKey !== "" && attestation.storageRootKey !== rootText) {
      throw unauthorized("the storage root key is another one than at the first registration");
    }
    const endorsementKey = parseArea(attestation.endorsementKey);
    if (typeof endorsementKey === "string") throw malformed(`endorsement key: ${endorsementKey}`);
    const { world } = this.context;
    const key = Buffer.from(world.randomBytes(KEY_BYTES));
    this.challenges.set(id.toLowerCase(), {
      key: key.toString("base64"),
      endorsementKey: given,
      storageRootKey: rootText,
    });
    const blob = makeBlob(world, { endorsementKey, storageRootKey, key, uri: "" });
    tell(this.context, "challenge", id, "a registration key went out, wrapped for the TPM");
    return sendBlob(this.context, id, Phase.Challenge, blob);
  }

  private demandSameKeys(challenge: Challenge, tpm: JsonObject): void {
    if (
      textOf(tpm, "endorsementKey") !== challenge.endorsementKey ||
      textOf(tpm, "storageRootKey") !== challenge.storageRootKey
    ) {
      throw unauthorized("the keys of the TPM are others than those that were challenged");
    }
  }

  private peerProblem(request: DeviceRequest): string {
    const { peer, registrationId } = request;
    if (peer === undefined) return "no certificate was shown in the TLS handshake";
    return leafProblem(peer, registrationId, this.context.nowMs());
  }

  private tokenProblem(request: DeviceRequest, keys: readonly string[]): string {
    if (request.authorization === "") return "no token";
    const sas = parseSas(request.authorization);
    if (typeof sas === "string") return sas;
    const { dps, skewS } = this.context.options;
    const target = `${dps.idScope}/registrations/${request.registrationId}`;
    const resource = plainResource(sas);
    if (resource !== target.toLowerCase()) {
      return `token is for ${JSON.stringify(resource ?? "broken encoding")}, not for ${target}`;
    }
    if (sas.keyName !== KEY_NAME) return `skn of the token is not ${KEY_NAME}`;
    if (!isSignedBy(sas, keys)) return "token is signed by another key";
    return expiryProblem(sas, this.context.nowMs(), skewS);
  }
}
