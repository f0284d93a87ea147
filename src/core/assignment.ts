// Assignment: what DPS decided about this device, as it is kept over restarts.
// Neighbours: `provision` makes it, the store port keeps its text, `main` reads it at start.
// Invariant: a text that is not one of ours is no assignment, never half of one; its hub and device
// have names that hubs and devices can have; no secret in it.

import { isDeviceId, isHostName } from "../codec/connection.ts";

/** Where this device belongs. */
export interface Assignment {
  /** Scope of the DPS that decided. */
  readonly idScope: string;
  readonly hubName: string;
  readonly deviceId: string;
  readonly registrationId: string;
  /** Registration id that the endorsement key gives: another one is another TPM. */
  readonly endorsement: string;
  /** Unix s of the last registration. */
  readonly atS: number;
  /** True from the moment a registration is asked for until its key is in place. */
  readonly isPending: boolean;
}

const FORMAT = 1;
/** What scope, registration id and its like are made of. */
const NAME = /^[!-~]{0,128}$/;

/** The text to keep. */
export function assignmentText(assignment: Assignment): string {
  return `${JSON.stringify({ format: FORMAT, ...assignment })}\n`;
}

/** The assignment in a text; undefined when it holds none. */
export function parseAssignment(text: string): Assignment | undefined {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || value.format !== FORMAT) return undefined;
  const { idScope, hubName, deviceId, registrationId, endorsement, atS, isPending } = value;
  const areNames = [idScope, registrationId, endorsement].every(
    (one) => typeof one === "string" && NAME.test(one),
  );
  if (!areNames || typeof hubName !== "string" || typeof deviceId !== "string") return undefined;
  if (!Number.isSafeInteger(atS) || typeof isPending !== "boolean") return undefined;
  // A first registration that has not ended has led nowhere yet.
  const isNowhere = isPending && hubName === "" && deviceId === "";
  if (!isNowhere && !(isHostName(hubName) && isDeviceId(deviceId))) return undefined;
  return {
    idScope: idScope as string,
    hubName,
    deviceId,
    registrationId: registrationId as string,
    endorsement: endorsement as string,
    atS: atS as number,
    isPending,
  };
}
