/**
 * Shared access policies: which well-known name may do what, and the check of a service's token.
 * Neighbours: `sas.ts` has the arithmetic; `admission.ts` uses the device right, `server/` the
 * rest. Invariant: a token for a part of the hub opens that part only, segment by segment.
 */
import { HubCode, ServiceError } from "./errors.ts";
import type { HubOptions } from "./options.ts";
import { expiryProblem, isSignedBy, parseSas, plainResource, type Sas } from "./sas.ts";

/** Rights of the service's permission list. */
export enum Right {
  RegistryRead = 1,
  RegistryWrite = 2,
  ServiceConnect = 4,
  DeviceConnect = 8,
}

const RIGHTS: ReadonlyMap<string, number> = new Map([
  ["iothubowner", 15],
  ["service", Right.ServiceConnect],
  ["device", Right.DeviceConnect],
  ["registryRead", Right.RegistryRead],
  ["registryReadWrite", Right.RegistryRead | Right.RegistryWrite],
]);

/** Names of the policies that a hub is made with. */
export const POLICY_NAMES: readonly string[] = [...RIGHTS.keys()];

/** Whether `resource` (lower case, plain) covers `target` (plain). */
export function isCovered(target: string, resource: string): boolean {
  const wanted = target.toLowerCase();
  return wanted === resource || wanted.startsWith(`${resource}/`);
}

/** Why a policy token does not give `right` on `target`, `''` when it does. */
export function policyProblem(
  sas: Sas,
  right: Right,
  target: string,
  options: HubOptions,
  nowMs: number,
): string {
  const key = options.keys[sas.keyName];
  if (key === undefined || !Object.hasOwn(options.keys, sas.keyName)) {
    return `policy ${JSON.stringify(sas.keyName)} does not exist on this hub`;
  }
  if (!isSignedBy(sas, [key])) return `signature is not by the key of policy ${sas.keyName}`;
  const resource = plainResource(sas);
  if (resource === null || !isCovered(target, resource)) {
    return `token is for another resource than ${target}`;
  }
  if (((RIGHTS.get(sas.keyName) ?? 0) & right) === 0) {
    return `policy ${sas.keyName} has no right ${Right[right]}`;
  }
  return expiryProblem(sas, nowMs, options.skewS);
}

/** Lets a service in or throws 401. `authorization` is the header as received. */
export function demandRight(
  authorization: string,
  right: Right,
  options: HubOptions,
  nowMs: number,
): void {
  const sas = parseSas(authorization);
  const problem =
    typeof sas === "string" ? sas : policyProblem(sas, right, options.name, options, nowMs);
  if (problem !== "") {
    throw new ServiceError(HubCode.IotHubUnauthorizedAccess, `Unauthorized: ${problem}`);
  }
}
