/**
 * What became of one device that registered: the registration state. Neighbours: `registrar.ts`
 * changes it, services and devices read it. Facts: DPS DeviceRegistrationState.
 * Invariant: where a device was assigned is remembered whatever happens to later registrations.
 */
import type { JsonObject } from "../merge.ts";
import { longTime } from "./enrollment.ts";

export type RegistrationStatus = "unassigned" | "assigning" | "assigned" | "failed" | "disabled";

export type Substatus =
  | "initialAssignment"
  | "deviceDataMigrated"
  | "deviceDataReset"
  | "reprovisionedToInitialAssignment";

/** What is kept in a file. */
export interface Registration {
  registrationId: string;
  status: RegistrationStatus;
  /** `''` before the first assignment. */
  substatus: Substatus | "";
  /** Where the device is, `''` before the first assignment. */
  hub: string;
  deviceId: string;
  /** `''` unless the device came in by a group. */
  groupId: string;
  attestation: "tpm" | "symmetricKey" | "x509";
  /** Device key wrapped for the TPM, base64; `''` for the other attestations. */
  blob: string;
  createdMs: number;
  updatedMs: number;
  etag: string;
  /** 0 unless failed. */
  errorCode: number;
  errorMessage: string;
}

/** A registration that has just begun. */
export function newRegistration(registrationId: string, nowMs: number): Registration {
  return {
    registrationId,
    status: "unassigned",
    substatus: "",
    hub: "",
    deviceId: "",
    groupId: "",
    attestation: "symmetricKey",
    blob: "",
    createdMs: nowMs,
    updatedMs: nowMs,
    etag: "",
    errorCode: 0,
    errorMessage: "",
  };
}

/** As services read it. */
export function stateView(registration: Registration): JsonObject {
  const { status, errorCode } = registration;
  const assigned: JsonObject = {
    assignedHub: registration.hub,
    deviceId: registration.deviceId,
    substatus: registration.substatus,
  };
  const failed: JsonObject = { errorCode, errorMessage: registration.errorMessage };
  return {
    registrationId: registration.registrationId,
    createdDateTimeUtc: longTime(registration.createdMs),
    ...(status === "assigned" ? assigned : {}),
    status,
    ...(errorCode === 0 ? {} : failed),
    lastUpdatedDateTimeUtc: longTime(registration.updatedMs),
    etag: registration.etag,
  };
}

/** As the device reads it: with what its attestation adds. */
export function deviceStateView(registration: Registration): JsonObject {
  const view = stateView(registration);
  if (registration.status !== "assigned") return view;
  const { attestation, blob, groupId } = registration;
  if (attestation === "tpm") return { tpm: { authenticationKey: blob }, ...view };
  return { [attestation]: groupId === "" ? {} : { enrollmentGroupId: groupId }, ...view };
}
