// DPS: reads what the Device Provisioning Service answers, and says what its refusals mean.
// Neighbours: `provision` asks; the HTTPS port carried it.
// Invariant: any body gives an answer, if an empty one; what cannot be the name of a hub or of a
// device is as good as absent, and no text of the service steers the terminal that shows it.

import { isDeviceId, isHostName } from "../codec/connection.ts";
import { lengthOf } from "../kit/time.ts";
import { CLOCK_SKEW_S_MAX } from "../limits.ts";
import type { Assignment } from "./assignment.ts";
import type { WebAnswer, WebRequest } from "./effects.ts";
import type { EndpointSettings } from "./settings.ts";
import { isRejection, rejectionText } from "./validity.ts";

/** Version of the service's device interface that is spoken (azure.md 1.1). */
const API_VERSION = "2021-06-01";
const TEXT_MAX = 200;
/** Codes that are seen in the wild (azure.md 1.3). */
const HUB_NOT_FOUND = 400208;
const ENROLLMENT_NOT_FOUND = 404201;
const OTHER_TPM =
  "; this TPM has another endorsement key than at the last registration: it was cleared or " +
  "replaced, so its new key must be enrolled";
const SAME_TPM =
  "; it was registered before with this endorsement key: if the TPM was cleared since, delete " +
  "its enrollment and make it anew, for DPS knows the old storage root key";

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

/** Wait between polls when the service names none (azure.md 1.5). */
const RETRY_AFTER_S = 2;
const RETRY_AFTER_S_MAX = 300;

/** A request for `rest`, a sub-resource of a registration, but for token and body. */
export function dpsRequest(
  { dpsHost: host, dpsPort: port, idScope }: EndpointSettings,
  registrationId: string,
  method: WebRequest["method"],
  rest: string,
): Pick<WebRequest, "method" | "host" | "port" | "path"> {
  const registration = `registrations/${encodeURIComponent(registrationId)}`;
  const path = `/${encodeURIComponent(idScope)}/${registration}/${rest}?api-version=${API_VERSION}`;
  return { method, host, port, path };
}

/** True when the service wants to be asked again: it is at it, or has too much to do. */
export function isWaiting({ status }: WebAnswer, read: DpsAnswer): boolean {
  const isAssigning = status === 202 || (status === 200 && read.status === "assigning");
  return isAssigning || status === 429 || status >= 500;
}

/** How long to wait before that, in ms. */
export function waitMs({ retryAfterS }: WebAnswer): number {
  const givenS = Number.isNaN(retryAfterS) ? RETRY_AFTER_S : retryAfterS;
  return Math.min(Math.max(givenS, 1), RETRY_AFTER_S_MAX) * 1000;
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

/** Whether DPS refuses, before anything was signed, for want of an enrollment of this TPM. */
export function isUnknown(answer: WebAnswer, read: DpsAnswer): boolean {
  const { status } = answer;
  return read.errorCode === ENROLLMENT_NOT_FOUND || status === 401 || status === 403;
}

/** Why a TPM that DPS took at the time of `before` may be unknown to it now; "" when it was not. */
export function strangerText(before: Assignment | undefined, endorsement: string): string {
  if (before === undefined || before.hubName === "" || before.endorsement === "") return "";
  return before.endorsement === endorsement ? SAME_TPM : OTHER_TPM;
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
  const { idScope } = endpoint;
  if (answer.status === 0) return silence(answer.problem, endpoint);
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
  if (isUnknown(answer, read)) {
    const isNameless = read.errorCode === ENROLLMENT_NOT_FOUND;
    const reason = refusal(endpoint, isNameless || !isSigned, isNameless);
    return `DPS refused ${registrationId}${reason} ${tail}`;
  }
  switch (answer.status) {
    case 404:
      return `DPS knows nothing of scope ${idScope}; check id-scope ${tail}`;
    case 429:
      return `DPS has too many requests at present ${tail}`;
    default:
      return `DPS answered ${registrationId} with an error ${tail}`;
  }
}

/**
 * What the service's clock says of a token that it refused; "" when that is no reason.
 * @param skewS our clock, by which it was signed, less the service's; NaN when not known
 */
export function clockText(skewS: number): string {
  if (!(Math.abs(skewS) > CLOCK_SKEW_S_MAX)) return "";
  const by = lengthOf(Math.abs(skewS) * 1000);
  const side = skewS > 0 ? "ahead of" : "behind";
  return `; this clock is ${by} ${side} the service's, whose time the next token follows`;
}

function silence(problem: string, { type, dpsHost, dpsPort }: EndpointSettings): string {
  const address = `${dpsHost}:${dpsPort}`;
  return type === "x509" && isRejection(problem)
    ? `DPS: ${rejectionText(address)} (${problem})`
    : `DPS: no answer from ${address}: ${problem}`;
}

/** What DPS can have against who we say we are, and what to do. */
function refusal(endpoint: EndpointSettings, isStranger: boolean, isUnknown: boolean): string {
  const { type, idScope, isGroup } = endpoint;
  switch (type) {
    case "x509":
      return (
        `: scope ${idScope} has no enrollment with this certificate or with one that signed it, ` +
        "or it is disabled; enrol the certificate, or put the whole chain into certificate-file"
      );
    case "symmetric-key":
      if (isUnknown) {
        const facts = `: no enrollment of that name in scope ${idScope}`;
        return `${facts}; enrol it or check registration-id`;
      }
      return isGroup
        ? `: no enrollment group in scope ${idScope} has this key, or it is disabled; ` +
            "copy the group's key again"
        : `: its enrollment in scope ${idScope} has another key, is not there or is disabled; ` +
            "copy its key again";
    default:
      return isStranger
        ? `: no enrollment with this TPM's endorsement key in scope ${idScope}, ` +
            "or it is disabled; enrol the TPM"
        : " although its TPM opened the challenge: the enrollment knows another storage root key " +
            "or was changed just now; enrol the TPM again";
  }
}
