// DPS: reads what the Device Provisioning Service answers, and says what its refusals mean.
// Neighbours: `provision` asks; the HTTPS port carried it.
// Invariant: any body gives an answer, if an empty one; what cannot be the name of a hub or of a
// device is as good as absent, and no text of the service steers the terminal that shows it.

import { isDeviceId, isHostName } from "../codec/connection.ts";
import type { WebAnswer } from "./effects.ts";
import type { EndpointSettings } from "./settings.ts";

/** Version of the service's device interface that is spoken (azure.md 1.1). */
const API_VERSION = "2021-06-01";
const TEXT_MAX = 200;
/** Codes that are seen in the wild (azure.md 1.3). */
const HUB_NOT_FOUND = 400208;
const ENROLLMENT_NOT_FOUND = 404201;

/** The parts that matter; "" for what is absent. */
export interface DpsAnswer {
  /** `assigning`, `assigned`, `failed`, `disabled`, … */
  readonly status: string;
  readonly operation: string;
  /** The blob of a challenge or of an assignment, base64. */
  readonly key: string;
  readonly hubName: string;
  readonly deviceId: string;
  /** The service's own error code, e.g. 401002; 0 without one. */
  readonly errorCode: number;
  readonly message: string;
}

/** Path of a registration's sub-resource. */
export function dpsPath(idScope: string, registrationId: string, rest: string): string {
  const id = encodeURIComponent(registrationId);
  return `/${encodeURIComponent(idScope)}/registrations/${id}/${rest}?api-version=${API_VERSION}`;
}

function textIn(value: unknown, key: string): string {
  const found = (value as Record<string, unknown> | undefined)?.[key];
  return typeof found === "string" ? found : "";
}

function numberIn(value: unknown, key: string): number {
  const found = (value as Record<string, unknown> | undefined)?.[key];
  return typeof found === "number" ? found : 0;
}

function objectIn(value: unknown, key: string): unknown {
  const found = (value as Record<string, unknown> | undefined)?.[key];
  return typeof found === "object" && found !== null ? found : undefined;
}

/** Reads a body (azure.md 1.3). */
export function readDpsAnswer(answer: WebAnswer): DpsAnswer {
  let body: unknown;
  try {
    const parsed: unknown = JSON.parse(answer.body);
    body = typeof parsed === "object" && parsed !== null ? parsed : undefined;
  } catch {
    body = undefined;
  }
  const registration = objectIn(body, "registrationState");
  const status = textIn(body, "status") || textIn(registration, "status");
  const operation = textIn(body, "operationId");
  const hubName = textIn(registration, "assignedHub");
  const deviceId = textIn(registration, "deviceId");
  return {
    status,
    operation: operation.isWellFormed() ? encodeURIComponent(operation) : "",
    key:
      textIn(body, "authenticationKey") ||
      textIn(objectIn(registration, "tpm"), "authenticationKey"),
    hubName: isHostName(hubName) ? hubName : "",
    deviceId: isDeviceId(deviceId) ? deviceId : "",
    errorCode: numberIn(registration, "errorCode") || numberIn(body, "errorCode"),
    message: textIn(registration, "errorMessage") || textIn(body, "message"),
  };
}

/**
 * One line: why a registration failed and what to do.
 * @param isSigned whether the request that was refused had a signature
 */
export function dpsProblem(
  answer: WebAnswer,
  read: DpsAnswer,
  registrationId: string,
  endpoint: EndpointSettings,
  isSigned: boolean,
): string {
  const { dpsHost, dpsPort, idScope } = endpoint;
  if (answer.status === 0) return `DPS: no answer from ${dpsHost}:${dpsPort}: ${answer.problem}`;
  const said = read.message
    .replace(/[\s\p{C}]+/gu, " ")
    .slice(0, TEXT_MAX)
    .toWellFormed();
  const code = read.errorCode === 0 ? `HTTP ${answer.status}` : `error ${read.errorCode}`;
  const tail = said === "" ? `(${code})` : `(${code}: ${said})`;
  if (read.status === "disabled") {
    return `DPS: enrollment ${registrationId} is disabled; enable it ${tail}`;
  }
  if (read.status === "assigning") {
    return `DPS did not finish the registration of ${registrationId} in time ${tail}`;
  }
  if (read.status === "assigned") {
    return `DPS assigned ${registrationId} to a hub or a device with no possible name ${tail}`;
  }
  if (read.errorCode === HUB_NOT_FOUND) {
    return `DPS found no hub for ${registrationId}; link one to the service ${tail}`;
  }
  if (read.status === "failed") return `DPS could not assign ${registrationId} ${tail}`;
  const isUnknown = read.errorCode === ENROLLMENT_NOT_FOUND;
  if (isUnknown || (!isSigned && (answer.status === 401 || answer.status === 403))) {
    return (
      `DPS refused ${registrationId}: no enrollment with this TPM's endorsement key in scope ` +
      `${idScope}, or it is disabled; enrol the TPM ${tail}`
    );
  }
  switch (answer.status) {
    case 401:
    case 403:
      return (
        `DPS refused ${registrationId} although its TPM opened the challenge: the enrollment ` +
        `knows another storage root key or was changed just now; enrol the TPM again ${tail}`
      );
    case 404:
      return `DPS knows nothing of scope ${idScope}; check id-scope ${tail}`;
    case 429:
      return `DPS has too many requests at present ${tail}`;
    default:
      return `DPS answered ${registrationId} with an error ${tail}`;
  }
}
