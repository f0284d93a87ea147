/**
 * Devices that register with the provisioning service of a lab, request by request. Neighbours:
 * `lab.ts` has hub and clock, `chip.ts` a device's TPM. Invariant: an answer is there when a call
 * returns, or the test has to let time pass for it.
 */
import type { Chip } from "./chip.ts";
import type { Lab } from "./lab.ts";
import type { DeviceAnswer, DeviceRequest } from "./model/dps/request.ts";
import type { JsonObject } from "./model/merge.ts";
import { makeSas } from "./model/sas.ts";

export const SCOPE = "0ne00000000";

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
export type Body = any;

/** Token for registration; `sr` and key name may be other than they should be. */
export function token(
  lab: Lab,
  id: string,
  key: string,
  seconds = 3600,
  resource = `${SCOPE}/registrations/${id}`,
  keyName = "registration",
): string {
  return makeSas(resource, Math.floor(lab.nowMs / 1000) + seconds, key, keyName);
}

/** One request; the answer must come at once. */
export function ask(lab: Lab, id: string, changes: Partial<DeviceRequest> = {}): DeviceAnswer {
  const answers: DeviceAnswer[] = [];
  const request: DeviceRequest = {
    verb: "register",
    transport: "https",
    idScope: SCOPE,
    registrationId: id,
    operationId: "",
    authorization: "",
    peer: undefined,
    body: { registrationId: id },
    ...changes,
  };
  lab.hub.dps.request(request, (answer) => answers.push(answer));
  if (answers.length !== 1) throw new Error(`${answers.length} answers came at once`);
  return answers[0]!;
}

/** Registers and polls until the end; the last answer's body. */
export function settle(lab: Lab, id: string, changes: Partial<DeviceRequest>): Body {
  const first = ask(lab, id, changes);
  if (first.status !== 202) return first.body;
  const { operationId } = first;
  for (;;) {
    lab.pass(3);
    const poll = ask(lab, id, { ...changes, verb: "poll", operationId });
    if (poll.status !== 202) return poll.body;
  }
}

/** Enrolls a chip. */
export function enrollChip(lab: Lab, id: string, chip: Chip, more: JsonObject = {}): JsonObject {
  const attestation = { type: "tpm", tpm: { endorsementKey: chip.endorsementKey } };
  return lab.hub.dps.putEnrollment("device", id, { registrationId: id, attestation, ...more });
}

/** First half of the TPM flow: the registration key, base64. */
export function challenge(lab: Lab, id: string, chip: Chip): string {
  const answer = ask(lab, id, { body: { registrationId: id, tpm: chip.keys } });
  if (answer.status !== 401) throw new Error(`${answer.status} instead of a challenge`);
  return chip.open(String(answer.body.authenticationKey)).key.toString("base64");
}

/** The whole TPM flow; the body of the last poll. */
export function settleChip(lab: Lab, id: string, chip: Chip): Body {
  const authorization = token(lab, id, challenge(lab, id, chip));
  return settle(lab, id, { authorization, body: { registrationId: id, tpm: chip.keys } });
}

/** Steps of the reason log, in order. */
export function steps(lab: Lab): string[] {
  return lab.log("dps").map((event) => event.step);
}

/** Reason of the last step. */
export function lastReason(lab: Lab): string {
  return lab.log("dps").at(-1)!.reason;
}
