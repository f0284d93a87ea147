// Chip: the official provisioning device SDK at local Azure with the official TPM security client
// on a real swtpm; over HTTPS, for there is no TPM attestation over MQTT.
// Neighbours: `applicant` has what the cases share; `../tpm` runs swtpm and talks to it by hand.
// Invariant: a TPM of its own for each case; only the SDK gives it commands while it registers.

import { deepEqual, equal, match, notDeepEqual, ok } from "node:assert/strict";
import { createHmac } from "node:crypto";
import { Chip as StandIn } from "../azure/chip.ts";
import { authorised, Client } from "../tpm/client.ts";
import { Swtpm } from "../tpm/swtpm.ts";
import {
  arrives,
  ask,
  change,
  enroll,
  fresh,
  lastReason,
  prepare,
  type Stage,
  type State,
} from "./applicant.ts";
import { refusal } from "./puppet.ts";
import type { Case } from "./report.ts";

const CLEAR = 0x126;
const LOCKOUT = 0x4000000a;
const IDENTITY_HANDLE = 0x81000100;
const NONE = Buffer.alloc(0);
const DATA = Buffer.from("the same bytes");

interface Facts {
  endorsementKey: string;
  registrationId: string;
}

type Work = (stage: Stage, tpm: Swtpm, name: string) => Promise<void>;

/** A case with a TPM that has had its Startup, as firmware gives it. */
function onChip(name: string, work: Work): Case<Stage> {
  const whole = async (stage: Stage): Promise<void> => {
    const tpm = await Swtpm.unix();
    try {
      await Client.with(tpm.place, (client) => client.startup());
      await work(stage, tpm, fresh("chip"));
    } finally {
      await tpm.stop();
    }
  };
  return [name, whole];
}

function pathOf(tpm: Swtpm): string {
  ok("path" in tpm.place);
  return tpm.place.path;
}

/** Makes the SDK's client and enrolls its TPM under the id that the SDK derives. */
async function enrolled(stage: Stage, tpm: Swtpm, name: string, more = {}): Promise<Facts> {
  await prepare(stage, "http", { tpm: pathOf(tpm) }, name);
  const facts = await stage.registrant.call<Facts>("facts", name);
  const { endorsementKey, registrationId } = facts;
  const attestation = { type: "tpm", tpm: { endorsementKey } };
  await enroll(stage, { registrationId, attestation, ...more });
  return facts;
}

const register = (stage: Stage, name: string) => stage.registrant.call<State>("register", name);

/** HMAC under the identity key, as the TPM makes it. */
async function signature(tpm: Swtpm): Promise<Buffer> {
  const made = await Client.with(tpm.place, (client) => {
    return client.hmac(IDENTITY_HANDLE, DATA);
  });
  if (typeof made === "number") throw new Error(`HMAC: 0x${made.toString(16)}`);
  return made;
}

async function comesIn(stage: Stage, tpm: Swtpm, name: string): Promise<void> {
  const deviceId = fresh("gateway");
  const { registrationId } = await enrolled(stage, tpm, name, { deviceId });
  match(registrationId, /^[a-z2-7]{52}$/);
  const state = await register(stage, name);
  deepEqual(
    [state.status, state.substatus, state.registrationId, state.deviceId],
    ["assigned", "initialAssignment", registrationId, deviceId],
  );
  await arrives(stage, name, state);
}

async function getsNewKeys(stage: Stage, tpm: Swtpm, name: string): Promise<void> {
  const { registrationId } = await enrolled(stage, tpm, name);
  const signatures: Buffer[] = [];
  for (const substatus of ["initialAssignment", "deviceDataMigrated"]) {
    equal((await register(stage, name)).substatus, substatus);
    await stage.registrant.call("release", name);
    const { authentication } = stage.cloud.hub.getDevice(registrationId) as unknown as {
      authentication: { symmetricKey: { primaryKey: string } };
    };
    const key = Buffer.from(authentication.symmetricKey.primaryKey, "base64");
    const made = await signature(tpm);
    deepEqual(made, createHmac("sha256", key).update(DATA).digest());
    signatures.push(made);
    // The SDK finds its keys again under their handles.
    await prepare(stage, "http", { tpm: pathOf(tpm) }, name);
    equal((await stage.registrant.call<Facts>("facts", name)).registrationId, registrationId);
  }
  notDeepEqual(signatures[0], signatures[1]);
}

async function hasGivenId(stage: Stage, tpm: Swtpm, name: string): Promise<void> {
  const id = fresh("00:60:0c:12:34:56");
  await enrolled(stage, tpm, name, { registrationId: id });
  await stage.registrant.call("release", name);
  await prepare(stage, "http", { tpm: pathOf(tpm), id }, name);
  equal((await register(stage, name)).registrationId, id);
}

async function isRefusedCleared(stage: Stage, tpm: Swtpm, name: string): Promise<void> {
  const { endorsementKey, registrationId } = await enrolled(stage, tpm, name);
  await register(stage, name);
  await stage.registrant.call("release", name);
  const { rc } = await Client.with(tpm.place, (client) => {
    return client.send(authorised(CLEAR, [LOCKOUT], [NONE]));
  });
  equal(rc, 0);
  await prepare(stage, "http", { tpm: pathOf(tpm) }, name);
  const error = await refusal(register(stage, name));
  equal(error.name, "FormatError");
  match(lastReason(stage, registrationId), /storage root key is another one/);
  // The operator's way back: a new enrollment of the same endorsement key.
  await ask(stage, "deleteIndividualEnrollment", registrationId);
  await enroll(stage, { registrationId, attestation: { type: "tpm", tpm: { endorsementKey } } });
  equal((await register(stage, name)).substatus, "initialAssignment");
}

async function isRefusedUnknown(stage: Stage, tpm: Swtpm, name: string): Promise<void> {
  await prepare(stage, "http", { tpm: pathOf(tpm) }, name);
  const { registrationId } = await stage.registrant.call<Facts>("facts", name);
  const error = await refusal(register(stage, name));
  equal(error.name, "InvalidOperationError");
  match(lastReason(stage, registrationId), /is not enrolled/);
}

async function isRefusedOther(stage: Stage, tpm: Swtpm, name: string): Promise<void> {
  const { endorsementKey } = StandIn.make();
  const attestation = { type: "tpm", tpm: { endorsementKey } };
  await enroll(stage, { registrationId: name, attestation });
  await prepare(stage, "http", { tpm: pathOf(tpm), id: name });
  const error = await refusal(register(stage, name));
  equal(error.name, "FormatError");
  match(lastReason(stage, name), /endorsement key is not the one that is enrolled/);
}

async function isDisabled(stage: Stage, tpm: Swtpm, name: string): Promise<void> {
  const { registrationId } = await enrolled(stage, tpm, name, { provisioningStatus: "disabled" });
  const error = await refusal(register(stage, name));
  deepEqual([error.name, error.message], ["SyntaxError", "status is disabled"]);
  await change(stage, registrationId, { provisioningStatus: "enabled" });
  await stage.registrant.call("release", name);
  await prepare(stage, "http", { tpm: pathOf(tpm) }, name);
  equal((await register(stage, name)).status, "assigned");
}

async function isThrottled(stage: Stage, tpm: Swtpm, name: string): Promise<void> {
  const { registrationId: device } = await enrolled(stage, tpm, name);
  stage.cloud.fault({ kind: "dps-throttle", device, count: 1 });
  // The SDK takes every answer but 401 to a registration without a token for the end.
  equal((await refusal(register(stage, name))).name, "InvalidOperationError");
  equal((await register(stage, name)).status, "assigned");
}

async function isRefusedMqtt(stage: Stage, tpm: Swtpm, name: string): Promise<void> {
  const error = await refusal(prepare(stage, "mqtt", { tpm: pathOf(tpm) }, name));
  deepEqual(
    [error.name, error.message],
    ["ArgumentError", "Transport does not support TPM authentication"],
  );
}

/** Cases of a TPM. */
export const CHIP: readonly Case<Stage>[] = [
  onChip("registers under the id of its endorsement key, signs the hub's token", comesIn),
  onChip("each registration brings a new key, the one that the hub holds", getsNewKeys),
  onChip("registers under a given id", hasGivenId),
  onChip("a cleared TPM is refused until it is enrolled anew", isRefusedCleared),
  onChip("an unknown TPM: InvalidOperationError", isRefusedUnknown),
  onChip("another TPM under an enrolled id: FormatError", isRefusedOther),
  onChip("disabled enrollment: refused until it is enabled", isDisabled),
  onChip("429 ends it, and the next registration goes through", isThrottled),
  onChip("the SDK itself refuses a TPM over MQTT", isRefusedMqtt),
];
