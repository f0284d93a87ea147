/**
 * One enrollment: a device or a group of devices that may register. Neighbours: `catalog.ts` keeps
 * them, `registrar.ts` works with them. Facts: DPS service REST, IndividualEnrollment and
 * EnrollmentGroup. Invariant: each change makes a new etag; the id keeps the form it came in.
 */
import { isoTime } from "../calendar.ts";
import type { JsonObject } from "../merge.ts";
import { randomHex, type World } from "../world.ts";
import { type Attestation, attestationView, takeAttestation } from "./attestation.ts";
import { malformed } from "./errors.ts";
import { type Settings, settingsView, takeSettings } from "./settings.ts";

/** What is kept in a file. */
export interface EnrollmentRecord {
  id: string;
  isGroup: boolean;
  etag: string;
  createdMs: number;
  updatedMs: number;
  attestation: Attestation;
  settings: Settings;
}

const ID = /^[A-Za-z0-9\-._:]{0,127}[A-Za-z0-9-]$/;

/** Why a text is no registration id, `''` when it is one. */
export function idProblem(id: string): string {
  if (ID.test(id)) return "";
  return "must be 1 to 128 of A-Z a-z 0-9 - . _ : and end with a letter, a digit or -";
}

/** Opaque text that changes with each change. */
export function makeEtag(world: World): string {
  return Buffer.from(randomHex(world, 8)).toString("base64");
}

/** `YYYY-MM-DDThh:mm:ss.mmm0000Z`: the service writes seven decimals. */
export function longTime(unixMs: number): string {
  return isoTime(unixMs).replace("Z", "0000Z");
}

/** An enrolled device or group. */
export class Enrollment {
  private constructor(readonly record: EnrollmentRecord) {}

  /** Takes a body of the service interface; `old` is what it replaces. Throws 400. */
  static take(
    id: string,
    isGroup: boolean,
    body: JsonObject,
    old: Enrollment | undefined,
    world: World,
  ): Enrollment {
    const name = isGroup ? "enrollmentGroupId" : "registrationId";
    const problem = idProblem(id);
    if (problem !== "") throw malformed(`${name} ${problem}`);
    const inside = body[name] ?? id;
    if (typeof inside !== "string" || inside.toLowerCase() !== id.toLowerCase()) {
      throw malformed(`${name} of the body is not that of the address`);
    }
    const nowMs = world.nowMs();
    return new Enrollment({
      id: old?.id ?? inside,
      isGroup,
      etag: makeEtag(world),
      createdMs: old?.record.createdMs ?? nowMs,
      updatedMs: nowMs,
      attestation: takeAttestation(body, old?.attestation, isGroup, world),
      settings: takeSettings(body, isGroup),
    });
  }

  static restore(record: EnrollmentRecord): Enrollment {
    return new Enrollment(structuredClone(record));
  }

  get id(): string {
    return this.record.id;
  }

  get attestation(): Attestation {
    return this.record.attestation;
  }

  get settings(): Settings {
    return this.record.settings;
  }

  /** Notes the storage root key of a first registration. */
  learn(storageRootKey: string): void {
    const { attestation } = this.record;
    if (attestation.type === "tpm") attestation.storageRootKey = storageRootKey;
  }

  /** As services read it, without symmetric keys. */
  view(): JsonObject {
    const { id, isGroup, etag, createdMs, updatedMs, attestation, settings } = this.record;
    return {
      [isGroup ? "enrollmentGroupId" : "registrationId"]: id,
      attestation: attestationView(attestation, isGroup, false),
      ...settingsView(settings),
      etag,
      createdDateTimeUtc: longTime(createdMs),
      lastUpdatedDateTimeUtc: longTime(updatedMs),
    };
  }

  /** The attestation alone, symmetric keys included. */
  mechanism(): JsonObject {
    return attestationView(this.attestation, this.record.isGroup, true);
  }
}
