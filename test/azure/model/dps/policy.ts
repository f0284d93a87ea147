/**
 * Shared access policies of the provisioning service. Neighbours: `server/dpsservice.ts` asks for
 * each call; `sas.ts` has the arithmetic. Facts: DPS roles and operations.
 * Invariant: a token is for the service's own name, or for the name under which it was called.
 */
import { expiryProblem, isSignedBy, parseSas, plainResource } from "../sas.ts";
import { DpsCode, DpsError } from "./errors.ts";
import type { DpsOptions } from "./options.ts";

/** Rights of the service's permission list. */
export enum DpsRight {
  EnrollmentRead = 1,
  EnrollmentWrite = 2,
  RegistrationRead = 4,
  RegistrationWrite = 8,
}

/** Name of the policy that may do everything. */
export const DPS_OWNER = "provisioningserviceowner";

const RIGHTS: ReadonlyMap<string, number> = new Map([
  [DPS_OWNER, 15],
  ["enrollmentread", DpsRight.EnrollmentRead],
  ["enrollmentwrite", DpsRight.EnrollmentRead | DpsRight.EnrollmentWrite],
  ["registrationstatusread", DpsRight.RegistrationRead],
  ["registrationstatuswrite", DpsRight.RegistrationRead | DpsRight.RegistrationWrite],
]);

/** A call of the service interface, as far as rights go. */
export interface ServiceCall {
  /** `Authorization` header as received. */
  authorization: string;
  /** Host name that was called, without a port. */
  host: string;
}

function problemOf(
  call: ServiceCall,
  right: DpsRight,
  options: DpsOptions,
  nowMs: number,
  skewS: number,
) {
  const sas = parseSas(call.authorization);
  if (typeof sas === "string") return sas;
  const key = options.keys[sas.keyName];
  if (key === undefined || !Object.hasOwn(options.keys, sas.keyName)) {
    return `policy ${JSON.stringify(sas.keyName)} does not exist on this service`;
  }
  if (!isSignedBy(sas, [key])) return `signature is not by the key of policy ${sas.keyName}`;
  const resource = plainResource(sas)?.replace(/:\d+$/, "") ?? "";
  const names = [options.name.toLowerCase(), call.host.toLowerCase()];
  if (!names.includes(resource)) return `token is for another resource than ${options.name}`;
  if (((RIGHTS.get(sas.keyName) ?? 0) & right) === 0) {
    return `policy ${sas.keyName} has no right ${DpsRight[right]}`;
  }
  return expiryProblem(sas, nowMs, skewS);
}

/** Lets a service in or throws 401. */
export function demandDpsRight(
  call: ServiceCall,
  right: DpsRight,
  options: DpsOptions,
  nowMs: number,
  skewS: number,
): void {
  const problem = problemOf(call, right, options, nowMs, skewS);
  if (problem !== "") throw new DpsError(DpsCode.Unauthorized, `Unauthorized: ${problem}`);
}
