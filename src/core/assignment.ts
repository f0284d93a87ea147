// Assignment: what DPS decided about this device, as it is kept over restarts.
// Neighbours: `provision` makes it, the store port keeps its text, `identity` recalls it at start.
// Invariant: a text that is not one of ours is no assignment, never half of one; its hub and device
// have names that hubs and devices can have; no secret in it.

import { isDeviceId, isHostName } from "../codec/connection.ts";

import type { Sha256 } from "../codec/public.ts";
import { encodeBase32 } from "../codec/registration.ts";
import type { EndpointSettings } from "./settings.ts";

/** Where this device belongs. */
export interface Assignment {
  /** Scope of the DPS that decided. */
  readonly idScope: string;
  readonly hubName: string;
  readonly deviceId: string;
  readonly registrationId: string;
  /**
   * What the device proved itself with: the registration id that its endorsement key gives, or
   * {@link proofOf} a key or certificate; "" for something else than what it has now.
   */
  readonly endorsement: string;
  /** Unix s of the last registration. */
  readonly atS: number;
  /** True from the moment a registration is asked for until its key is in place. */
  readonly isPending: boolean;
}

const FORMAT = 1;
/** What scope, registration id and its like are made of. */
const NAME = /^[!-~]{0,128}$/;
const KEY = "key:";
const CERTIFICATE = "certificate:";
/** Of a fingerprint in base32: 80 bits tell keys apart, and help nobody to guess one. */
const PROOF_CHARS = 16;

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

/** Fingerprint of the key or certificate in the settings; "" of a TPM, which has to be asked. */
export function proofOf(endpoint: EndpointSettings, sha256: Sha256): string {
  const { type, key, certificate } = endpoint;
  if (type === "x509") return `${CERTIFICATE}${certificate?.fingerprint ?? ""}`;
  if (type !== "symmetric-key") return "";
  const digest = sha256(new TextEncoder().encode(`${type} ${key}`));
  return `${KEY}${encodeBase32(digest).slice(0, PROOF_CHARS)}`;
}

/**
 * What was kept, if it is of this scope and registration. With another proof than `proof` it
 * counts as a registration that has not ended: DPS decides again, and until then it serves.
 */
export function recall(
  text: string,
  endpoint: EndpointSettings,
  proof: string,
): Assignment | undefined {
  const kept = parseAssignment(text);
  const isRenamed = ![kept?.registrationId, ""].includes(endpoint.registrationId);
  if (kept === undefined || kept.idScope !== endpoint.idScope || isRenamed) return undefined;
  const { endorsement } = kept;
  const isTpm = !endorsement.startsWith(KEY) && !endorsement.startsWith(CERTIFICATE);
  if (proof === "" ? isTpm : endorsement === proof) return kept;
  return { ...kept, endorsement: "", isPending: true };
}
