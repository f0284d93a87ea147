// Registration: what the official provisioning device SDK can do at local Azure with symmetric
// keys, over MQTT and HTTPS, and what it makes of refusals.
// Neighbours: `applicant` has what the cases share; `certificate` and `chip` have the other proofs.
// Invariant: each case has enrollments of its own and judges by what SDK and service both say.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import {
  arrives,
  ask,
  change,
  enrollKey,
  fresh,
  keyOf,
  lastReason,
  type Proof,
  prepare,
  register,
  type Stage,
  type State,
  WAYS,
  type Way,
} from "./applicant.ts";
import { refusal } from "./puppet.ts";
import type { Case } from "./report.ts";

const proven = (id: string, seed = 1, more: Proof = {}): Proof & { id: string } => {
  return { id, key: keyOf(seed), ...more };
};

async function comesIn(stage: Stage, way: Way): Promise<void> {
  const deviceId = fresh("device");
  const id = await enrollKey(stage, "key", { deviceId });
  const state = await register(stage, way, proven(id));
  deepEqual(
    [state.status, state.substatus, state.registrationId, state.deviceId, state.assignedHub],
    ["assigned", "initialAssignment", id, deviceId, stage.cloud.ready.hubName],
  );
  await arrives(stage, id, state, { key: keyOf(1) });
  // The other key is as good.
  const again = await register(stage, way, proven(id, 2));
  await arrives(stage, id, again, { key: keyOf(2) });
}

const randomKey = (): string => randomBytes(64).toString("base64");

/** The way in which every document tells a device's maker to derive its key. */
function derived(groupKey: string, id: string): string {
  return createHmac("sha256", Buffer.from(groupKey, "base64")).update(id).digest("base64");
}

async function comesByGroup(stage: Stage, way: Way): Promise<void> {
  const enrollmentGroupId = fresh("group");
  // Any group may admit a device; so each has keys of its own.
  const [primaryKey, secondaryKey] = [randomKey(), randomKey()];
  const symmetricKey = { primaryKey, secondaryKey };
  const attestation = { type: "symmetricKey", symmetricKey };
  const initialTwin = { tags: { site: "A" }, properties: { desired: { LED1: true } } };
  await ask(stage, "createOrUpdateEnrollmentGroup", {
    enrollmentGroupId,
    attestation,
    initialTwin,
  });
  const ids = [fresh("member"), fresh("member")];
  for (const id of ids) {
    const key = derived(primaryKey, id);
    const state = await register(stage, way, { id, key });
    equal(state.deviceId, id);
    deepEqual((state as unknown as { symmetricKey: object }).symmetricKey, { enrollmentGroupId });
    await arrives(stage, id, state, { key });
    const { tags, properties } = stage.cloud.hub.getTwin(id) as unknown as {
      tags: object;
      properties: { desired: { LED1: boolean } };
    };
    deepEqual([{ ...tags }, properties.desired.LED1], [{ site: "A" }, true]);
  }
  const facts = { of: "registrations", group: enrollmentGroupId, text: "SELECT *", size: 1 };
  const pages = await stage.enroller.call<State[][]>("query", "owner", facts);
  deepEqual(
    pages.map((page) => page.map(({ registrationId }) => registrationId)),
    ids.map((id) => [id]),
  );
  const error = await refusal(register(stage, way, { id: fresh("member"), key: primaryKey }));
  equal(error.name, "UnauthorizedError");
}

async function bringsPayload(stage: Stage, way: Way): Promise<void> {
  const id = await enrollKey(stage, "payload");
  const payload = { site: "A", slots: [1, 2, { deep: "ü" }] };
  equal((await register(stage, way, proven(id, 1, { payload }))).status, "assigned");
}

async function isRefused(
  stage: Stage,
  way: Way,
  proof: Proof & { id: string },
  reason: RegExp,
): Promise<void> {
  const error = await refusal(register(stage, way, proof));
  equal(error.name, "UnauthorizedError", error.message);
  match(lastReason(stage, proof.id), reason);
}

async function isRefusedWrongKey(stage: Stage, way: Way): Promise<void> {
  const id = await enrollKey(stage, "wrongkey");
  await isRefused(stage, way, proven(id, 7), /signed by another key/);
}

async function isRefusedUnknown(stage: Stage, way: Way): Promise<void> {
  const id = fresh("stranger");
  await isRefused(stage, way, proven(id), /by groups|no enrollment/);
}

async function isRefusedScope(stage: Stage, way: Way): Promise<void> {
  const id = await enrollKey(stage, "scope");
  const other = { ...proven(id), idScope: "0ne0000FFFF" };
  await prepare(stage, way, other);
  const error = await refusal(stage.registrant.call("register", id));
  const texts = { mqtt: /Connection refused: Not authorized/, http: /Not found/ };
  match(error.message, texts[way]);
  const reasons = stage.cloud.events.flatMap((event) => {
    return event.type === "refuse" || event.type === "dps" ? [event.reason] : [];
  });
  match(reasons.at(-1)!, /id scope "0ne0000FFFF" is not/);
}

async function isDisabled(stage: Stage, way: Way): Promise<void> {
  const id = await enrollKey(stage, "disabled", { provisioningStatus: "disabled" });
  const error = await refusal(register(stage, way, proven(id)));
  // The SDK knows no such status.
  deepEqual([error.name, error.message], ["SyntaxError", "status is disabled"]);
  await change(stage, id, { provisioningStatus: "enabled" });
  equal((await register(stage, way, proven(id))).status, "assigned");
}

async function fails(stage: Stage, way: Way): Promise<void> {
  const id = await enrollKey(stage, "failed", { iotHubHostName: "gone.example" });
  const error = await refusal(register(stage, way, proven(id)));
  deepEqual(
    [error.name, error.message],
    ["ProvisioningRegistrationFailedError", "registration failed"],
  );
  const { body } = await ask<State>(stage, "getDeviceRegistrationState", id);
  deepEqual([body.status, body.errorCode], ["failed", 400208]);
}

async function isThrottled(stage: Stage, way: Way): Promise<void> {
  const { cloud } = stage;
  const id = await enrollKey(stage, "throttled");
  cloud.fault({ kind: "dps-throttle", device: id, count: 1 });
  cloud.fault({ kind: "dps-retry-after", device: id, count: 1, seconds: 1 });
  const throttled = () => cloud.steps(id).filter(({ step }) => step === "throttled");
  if (way === "http") {
    // Over HTTP the SDK's answer to 429 is an error: the code that would wait is never reached.
    const error = await refusal(register(stage, way, proven(id)));
    deepEqual([error.name, error.status], ["ThrottlingError", 429]);
    equal(throttled().length, 1);
    return;
  }
  equal((await register(stage, way, proven(id))).status, "assigned");
  equal(throttled().length, 1);
  const [first, second] = cloud.steps(id).filter(({ step }) => {
    return step === "throttled" || step === "register";
  });
  ok(Date.parse(second!.at) - Date.parse(first!.at) >= 1000);
}

async function waits(stage: Stage, way: Way): Promise<void> {
  const id = await enrollKey(stage, "late");
  stage.cloud.fault({ kind: "dps-delay", device: id, ms: 500 });
  equal((await register(stage, way, proven(id))).status, "assigned");
}

/** Each case once over each transport. */
function both(name: string, work: (stage: Stage, way: Way) => Promise<void>): Case<Stage>[] {
  return WAYS.map((way) => [`${name}, ${way.toUpperCase()}`, (stage) => work(stage, way)]);
}

/** Cases of symmetric keys. */
export const REGISTRATION: readonly Case<Stage>[] = [
  ...both("symmetric key: registers, and the hub takes either key", comesIn),
  ...both("derived keys: registers by a group, with the group's twin", comesByGroup),
  ...both("brings a payload along", bringsPayload),
  ...both("wrong key: UnauthorizedError", isRefusedWrongKey),
  ...both("unknown registration id: UnauthorizedError", isRefusedUnknown),
  ...both("another id scope is refused", isRefusedScope),
  ...both("disabled enrollment: refused until it is enabled", isDisabled),
  ...both("a hub that is not linked: RegistrationFailedError", fails),
  ...both("429 with Retry-After", isThrottled),
  ...both("answers that come late are waited for", waits),
];
