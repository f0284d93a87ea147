// Enrollment: what the official provisioning service SDK can do at local Azure.
// Neighbours: `peers/enroller.ts` is the SDK; `applicant` has what the cases share.
// Invariant: each case has enrollments of its own and judges by what the SDK says.

import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { Chip } from "../azure/chip.ts";
import { Issuer } from "../azure/issuer.ts";
import { ask, enroll, enrollKey, enter, fresh, keyOf, register, type Stage } from "./applicant.ts";
import { type PeerError, refusal } from "./puppet.ts";
import type { Case } from "./report.ts";

interface Enrollment {
  registrationId: string;
  enrollmentGroupId: string;
  etag: string;
  attestation: Record<string, unknown> & { type: string };
  provisioningStatus: string;
  deviceId?: string;
  registrationState?: { status: string; assignedHub: string };
}

const GET = "getIndividualEnrollment";
const DELETE = "deleteIndividualEnrollment";
const PUT = "createOrUpdateIndividualEnrollment";
const GET_GROUP = "getEnrollmentGroup";
const DELETE_GROUP = "deleteEnrollmentGroup";
const PUT_GROUP = "createOrUpdateEnrollmentGroup";

const symmetric = (seed = 1): object => {
  const symmetricKey = { primaryKey: keyOf(seed), secondaryKey: keyOf(seed + 1) };
  return { type: "symmetricKey", symmetricKey };
};

function isError(error: PeerError, name: string, status: number, text: RegExp = /./): void {
  equal(error.name, name, error.message);
  equal(error.status, status);
  match(error.body, text);
}

async function enrollsChip(stage: Stage): Promise<void> {
  const registrationId = fresh("tpm");
  const { endorsementKey } = Chip.make();
  const attestation = { type: "tpm", tpm: { endorsementKey } };
  const facts = { deviceId: "gateway-7", provisioningStatus: "enabled" };
  const answer = await ask<Enrollment>(stage, PUT, { registrationId, attestation, ...facts });
  equal(answer.status, 200);
  const { body } = await ask<Enrollment>(stage, GET, registrationId);
  deepEqual(body, answer.body);
  deepEqual(body.attestation, attestation);
  equal(body.deviceId, "gateway-7");
  const mechanism = "getIndividualEnrollmentAttestationMechanism";
  deepEqual((await ask(stage, mechanism, registrationId)).body, attestation);
}

async function hidesKeys(stage: Stage): Promise<void> {
  const registrationId = fresh("symmetric");
  const made = await enroll<Enrollment>(stage, { registrationId, attestation: symmetric() });
  equal(JSON.stringify(made).includes(keyOf(1)), false);
  const mechanism = "getIndividualEnrollmentAttestationMechanism";
  deepEqual((await ask(stage, mechanism, registrationId)).body, symmetric());
  const enrollmentGroupId = fresh("symmetricgroup");
  await ask(stage, PUT_GROUP, { enrollmentGroupId, attestation: symmetric(3) });
  const { body } = await ask<Enrollment>(stage, GET_GROUP, enrollmentGroupId);
  equal(JSON.stringify(body).includes(keyOf(3)), false);
  const of = "getEnrollmentGroupAttestationMechanism";
  deepEqual((await ask(stage, of, enrollmentGroupId)).body, symmetric(3));
}

async function makesKeys(stage: Stage): Promise<void> {
  const registrationId = fresh("made");
  await enroll(stage, { registrationId, attestation: { type: "symmetricKey" } });
  type Pair = { symmetricKey: { primaryKey: string; secondaryKey: string } };
  const mechanism = "getIndividualEnrollmentAttestationMechanism";
  const { body } = await ask<Pair>(stage, mechanism, registrationId);
  const { primaryKey, secondaryKey } = body.symmetricKey;
  for (const key of [primaryKey, secondaryKey]) equal(Buffer.from(key, "base64").length, 64);
  notEqual(primaryKey, secondaryKey);
}

async function enrollsCertificates(stage: Stage): Promise<void> {
  const issuer = new Issuer();
  try {
    const registrationId = fresh("x509");
    const [primary, secondary] = ["a", "b"].map((name) => issuer.make(name));
    const pair = { primary: { certificate: primary!.cert }, secondary: null };
    const attestation = { type: "x509", x509: { clientCertificates: pair } };
    await enroll(stage, { registrationId, attestation });
    const { body } = await ask<Enrollment>(stage, GET, registrationId);
    type Shown = { clientCertificates: { primary: { info: { subjectName: string } } } };
    const shown = body.attestation.x509 as Shown;
    match(shown.clientCertificates.primary.info.subjectName, /CN=a/);
    // What was read goes back with a second certificate beside the facts of the first.
    const both = { ...shown.clientCertificates, secondary: { certificate: secondary!.cert } };
    const more = { type: "x509", x509: { clientCertificates: both } };
    const changed = await enroll<Enrollment>(stage, { ...body, attestation: more });
    match(JSON.stringify(changed.attestation), /CN=a.*CN=b/);
    const enrollmentGroupId = fresh("x509group");
    const signing = { signingCertificates: { primary: { certificate: secondary!.cert } } };
    const group = { enrollmentGroupId, attestation: { type: "x509", x509: signing } };
    const { body: made } = await ask<Enrollment>(stage, PUT_GROUP, group);
    match(JSON.stringify(made.attestation), /signingCertificates.*CN=b/);
  } finally {
    issuer.remove();
  }
}

async function refusesTwice(stage: Stage): Promise<void> {
  const registrationId = fresh("twice");
  const body = { registrationId, attestation: symmetric() };
  await enroll(stage, body);
  isError(await refusal(ask(stage, PUT, body)), "DeviceAlreadyExistsError", 409);
  const group = { enrollmentGroupId: fresh("twicegroup"), attestation: symmetric() };
  await ask(stage, PUT_GROUP, group);
  isError(await refusal(ask(stage, PUT_GROUP, group)), "DeviceAlreadyExistsError", 409);
}

async function changesUnderEtag(stage: Stage): Promise<void> {
  const id = await enrollKey(stage, "change");
  const { body: before } = await ask<Enrollment>(stage, GET, id);
  const off = { ...before, provisioningStatus: "disabled" };
  const after = await enroll<Enrollment>(stage, off);
  equal(after.provisioningStatus, "disabled");
  notEqual(after.etag, before.etag);
  isError(await refusal(ask(stage, PUT, off)), "InvalidEtagError", 412);
  // The keys, which were not in what was read, are what they were.
  const mechanism = "getIndividualEnrollmentAttestationMechanism";
  deepEqual((await ask(stage, mechanism, id)).body, symmetric());
  isError(await refusal(ask(stage, DELETE, id, "stale")), "InvalidEtagError", 412);
  await ask(stage, DELETE, after);
  isError(await refusal(ask(stage, GET, id)), "Error", 404, /does not exist/);
}

async function changesGroup(stage: Stage): Promise<void> {
  const enrollmentGroupId = fresh("changegroup");
  await ask(stage, PUT_GROUP, { enrollmentGroupId, attestation: symmetric() });
  const { body: before } = await ask<Enrollment>(stage, GET_GROUP, enrollmentGroupId);
  const desired = { LED1: true };
  const twin = { initialTwin: { tags: { site: "A" }, properties: { desired } } };
  const { body: after } = await ask<Enrollment>(stage, PUT_GROUP, { ...before, ...twin });
  deepEqual((after as unknown as typeof twin).initialTwin, twin.initialTwin);
  const stale = await refusal(ask(stage, DELETE_GROUP, enrollmentGroupId, before.etag));
  isError(stale, "InvalidEtagError", 412);
  await ask(stage, DELETE_GROUP, enrollmentGroupId, after.etag);
  isError(await refusal(ask(stage, GET_GROUP, enrollmentGroupId)), "Error", 404);
}

async function findsNone(stage: Stage): Promise<void> {
  const nobody = fresh("nobody");
  for (const [verb, ...words] of [
    [GET, nobody],
    [DELETE, nobody],
    [GET_GROUP, nobody],
    [DELETE_GROUP, nobody],
    ["getIndividualEnrollmentAttestationMechanism", nobody],
    ["getEnrollmentGroupAttestationMechanism", nobody],
    ["getDeviceRegistrationState", nobody],
    ["deleteDeviceRegistrationState", nobody],
  ] as const) {
    isError(await refusal(ask(stage, verb, ...words)), "Error", 404, /does not exist/);
  }
}

function pagesOf<T>(stage: Stage, of: string, more: object = {}): Promise<T[][]> {
  const facts = { of, text: "SELECT * FROM enrollments", size: 3, ...more };
  return stage.enroller.call<T[][]>("query", "owner", facts);
}

async function queries(stage: Stage): Promise<void> {
  const ids: string[] = [];
  for (let index = 0; index < 7; index++) ids.push(await enrollKey(stage, "query"));
  const pages = await pagesOf<Enrollment>(stage, "enrollments");
  ok(pages.slice(0, -1).every((page) => page.length === 3));
  const found = pages.flat().map(({ registrationId }) => registrationId);
  deepEqual(
    found.filter((id) => ids.includes(id)),
    ids,
  );
  const groups = [fresh("querygroup"), fresh("querygroup")];
  for (const enrollmentGroupId of groups) {
    await ask(stage, PUT_GROUP, { enrollmentGroupId, attestation: symmetric() });
  }
  const all = (await pagesOf<Enrollment>(stage, "groups")).flat();
  const seen = all.map(({ enrollmentGroupId }) => enrollmentGroupId);
  deepEqual(
    seen.filter((id) => groups.includes(id)),
    groups,
  );
  const wrong = await refusal(pagesOf(stage, "enrollments", { text: "SELECT nonsense" }));
  isError(wrong, "ArgumentError", 400, /SELECT \* FROM/);
}

async function handlesMany(stage: Stage): Promise<void> {
  type Outcome = { isSuccessful: boolean; errors: { registrationId: string; errorCode: number }[] };
  const bulk = async (mode: string, enrollments: object[]): Promise<Outcome> => {
    const words = { mode, enrollments };
    return (await ask<Outcome>(stage, "runBulkEnrollmentOperation", words)).body;
  };
  const ids = Array.from({ length: 10 }, () => fresh("bulk"));
  const bodies = ids.map((registrationId) => ({ registrationId, attestation: symmetric() }));
  deepEqual(await bulk("create", bodies), { isSuccessful: true, errors: [] });
  const twice = await bulk("create", bodies.slice(0, 2));
  equal(twice.isSuccessful, false);
  deepEqual(
    twice.errors.map(({ registrationId, errorCode }) => [registrationId, errorCode]),
    ids.slice(0, 2).map((id) => [id, 409001]),
  );
  const off = bodies.map((body) => ({ ...body, provisioningStatus: "disabled" }));
  equal((await bulk("update", off)).isSuccessful, true);
  const { body: one } = await ask<Enrollment>(stage, GET, ids[9]!);
  equal(one.provisioningStatus, "disabled");
  const stale = { ...one, etag: "AAAA" };
  equal((await bulk("updateIfMatchEtag", [stale])).isSuccessful, false);
  equal((await bulk("updateIfMatchEtag", [one])).isSuccessful, true);
  equal((await bulk("delete", bodies)).isSuccessful, true);
  isError(await refusal(ask(stage, GET, ids[0]!)), "Error", 404);
}

async function showsState(stage: Stage): Promise<void> {
  const id = await enrollKey(stage, "state");
  const made = await register(stage, "http", { id, key: keyOf(1) });
  type State = typeof made;
  const { body, status } = await ask<State>(stage, "getDeviceRegistrationState", id);
  equal(status, 200);
  deepEqual([body.status, body.deviceId, body.substatus], ["assigned", id, "initialAssignment"]);
  equal(body.assignedHub, stage.cloud.ready.hubName);
  const { body: enrollment } = await ask<Enrollment>(stage, GET, id);
  equal(enrollment.registrationState?.status, "assigned");
  // An enrollment that was read with its state in it may go back.
  await enroll(stage, enrollment);
  const stale = await refusal(ask(stage, "deleteDeviceRegistrationState", id, "stale"));
  isError(stale, "InvalidEtagError", 412);
  await ask(stage, "deleteDeviceRegistrationState", body);
  isError(await refusal(ask(stage, "getDeviceRegistrationState", id)), "Error", 404);
}

async function refusesBodies(stage: Stage): Promise<void> {
  const { endorsementKey } = Chip.make();
  const cut = endorsementKey.slice(0, 200);
  const tpm = { type: "tpm", tpm: { endorsementKey } };
  for (const [more, text] of [
    [{ allocationPolicy: "custom" }, /custom is not offered/],
    [{ allocationPolicy: "custom", customAllocationDefinition: {} }, /custom is not offered/],
    [{ attestation: { type: "none" } }, /attestation\.type must be one of/],
    [{ attestation: { type: "tpm", tpm: { endorsementKey: cut } } }, /endorsementKey: /],
    [{ attestation: { type: "symmetricKey", symmetricKey: { primaryKey: "AAAA" } } }, /primaryKey/],
    [{ attestation: { type: "x509", x509: { caReferences: { primary: "a" } } } }, /caReferences/],
    [{ deviceId: "with space" }, /deviceId must be/],
    [{ provisioningStatus: "perhaps" }, /enabled or disabled/],
    [{ reprovisionPolicy: { updateHubAssignment: "yes" } }, /true or false/],
    [{ initialTwin: { properties: { desired: { "a.b": 1 } } } }, /desired/],
  ] as const) {
    const body = { registrationId: fresh("bad"), attestation: tpm, ...more };
    isError(await refusal(ask(stage, PUT, body)), "ArgumentError", 400, text);
  }
  for (const registrationId of ["with space", "ends.", "ü", "x".repeat(129)]) {
    const body = { registrationId, attestation: tpm };
    isError(await refusal(ask(stage, PUT, body)), "ArgumentError", 400, /registrationId must be/);
  }
  const group = { enrollmentGroupId: fresh("badgroup"), attestation: tpm };
  isError(await refusal(ask(stage, PUT_GROUP, group)), "ArgumentError", 400, /symmetricKey, x509/);
}

async function isUnauthorized(stage: Stage): Promise<void> {
  await enter(stage, "stranger", keyOf(9));
  const words = { verb: GET, words: ["anybody"] };
  const error = await refusal(stage.enroller.call("ask", "stranger", words));
  isError(error, "UnauthorizedError", 401);
}

/** Cases of the provisioning service SDK. */
export const ENROLLMENT: readonly Case<Stage>[] = [
  ["enrolls a TPM and reads it back", enrollsChip],
  ["hides symmetric keys but from the call that asks for them", hidesKeys],
  ["makes symmetric keys when none are given", makesKeys],
  ["enrolls certificates of devices and authorities", enrollsCertificates],
  ["a second enrollment under the same id: 409", refusesTwice],
  ["changes and deletes an enrollment under its etag", changesUnderEtag],
  ["changes and deletes a group under its etag", changesGroup],
  ["whatever is not there: 404", findsNone],
  ["queries enrollments and groups page by page", queries],
  ["creates, updates, deletes 10 enrollments in one call", handlesMany],
  ["reads and deletes the state of a registration", showsState],
  ["refuses what is against the rules, custom allocation too (400)", refusesBodies],
  ["wrong service key: UnauthorizedError", isUnauthorized],
];
