// Reprovision: what becomes of a device that the official SDK registers a second time.
// Neighbours: `registration` has first registrations; `applicant` has what the cases share.
// Invariant: each case begins on the first hub and points the enrollment at the second one.

import { deepEqual, equal } from "node:assert/strict";
import {
  arrives,
  ask,
  change,
  enrollKey,
  keyOf,
  register,
  SECOND_HUB,
  type Stage,
  type State,
} from "./applicant.ts";
import type { Case } from "./report.ts";

interface Twin {
  tags: Record<string, unknown>;
  properties: { desired: Record<string, unknown> };
}

/** A twin as it is enrolled, and what an operator has changed at the hub since. */
const INITIAL = { tags: { site: "A" }, properties: { desired: { LED1: true } } };
const LATER = { tags: { site: "B" }, properties: { desired: { LED1: false } } };

interface Outcome {
  state: State;
  site: unknown;
  LED1: unknown;
}

/** Registers, lets an operator change the twin and the enrollment's hub, and registers again. */
async function twice(stage: Stage, reprovisionPolicy: object): Promise<Outcome> {
  const { hub, ready } = stage.cloud;
  const facts = { initialTwin: INITIAL, iotHubHostName: ready.hubName, reprovisionPolicy };
  const id = await enrollKey(stage, "again", facts);
  const proof = { id, key: keyOf(1) };
  const first = await register(stage, "http", proof);
  equal(first.assignedHub, ready.hubName);
  hub.patchTwin(id, LATER);
  await change(stage, id, { iotHubHostName: SECOND_HUB, iotHubs: [SECOND_HUB] });
  const state = await register(stage, "mqtt", proof);
  await arrives(stage, id, state, { key: proof.key });
  const { tags, properties } = hub.getTwin(id) as unknown as Twin;
  return { state, site: tags.site, LED1: properties.desired.LED1 };
}

function told({ state, site, LED1 }: Outcome): unknown[] {
  return [state.assignedHub, state.substatus, site, LED1];
}

async function stays(stage: Stage): Promise<void> {
  const outcome = await twice(stage, { updateHubAssignment: false, migrateDeviceData: false });
  const { hubName } = stage.cloud.ready;
  deepEqual(told(outcome), [hubName, "reprovisionedToInitialAssignment", "B", false]);
}

async function migrates(stage: Stage): Promise<void> {
  const outcome = await twice(stage, { updateHubAssignment: true, migrateDeviceData: true });
  deepEqual(told(outcome), [SECOND_HUB, "deviceDataMigrated", "B", false]);
}

async function resets(stage: Stage): Promise<void> {
  const outcome = await twice(stage, { updateHubAssignment: true, migrateDeviceData: false });
  deepEqual(told(outcome), [SECOND_HUB, "deviceDataReset", "A", true]);
}

async function beginsAnew(stage: Stage): Promise<void> {
  const id = await enrollKey(stage, "anew");
  const proof = { id, key: keyOf(1) };
  await register(stage, "http", proof);
  await ask(stage, "deleteDeviceRegistrationState", id);
  equal((await register(stage, "mqtt", proof)).substatus, "initialAssignment");
}

/** Cases of second registrations. */
export const REPROVISION: readonly Case<Stage>[] = [
  ["never: the device stays on its hub with its twin", stays],
  ["migrate: the device moves, its twin goes along", migrates],
  ["reset: the device moves, its twin begins as enrolled", resets],
  ["a deleted registration state makes the next one the first", beginsAnew],
];
