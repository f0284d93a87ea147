// Applicant: what the cases of the provisioning service share: enrolling by the service SDK,
// registering by the device SDK, and going on to the hub with what came of it.
// Neighbours: `enrollment`, `registration`, `reprovision`, `certificate` and `chip` have the cases.
// Invariant: each applicant has a registration id of its own.

import { deepEqual } from "node:assert/strict";
import type { Shown } from "../azure/wire.ts";
import type { Cloud } from "./cloud.ts";
import type { Puppet } from "./puppet.ts";

/** A cloud, the provisioning service SDK, and the SDKs of a device. */
export interface Stage {
  readonly cloud: Cloud;
  readonly enroller: Puppet;
  readonly registrant: Puppet;
}

/** An answer of the service SDK. */
export interface Answer<T> {
  status: number;
  body: T;
}

/** What the service says of a registration. */
export interface State {
  registrationId: string;
  assignedHub: string;
  deviceId: string;
  status: string;
  substatus: string;
  errorCode?: number;
  etag: string;
}

/** Transports of the provisioning SDK that local Azure serves. */
export const WAYS = ["mqtt", "http"] as const;
export type Way = (typeof WAYS)[number];

/** What a device shows; without an id, the one that its TPM gives it. */
export interface Proof {
  id?: string;
  /** Symmetric key, base64. */
  key?: string;
  cert?: Shown;
  /** Path of the socket of a TPM. */
  tpm?: string;
  payload?: object;
  /** Other than the service's. */
  idScope?: string;
}

/** The service SDK's client with all rights. */
const OWNER = "owner";

/** The hub that is linked beside the first one. */
export const SECOND_HUB = "second.example";

let count = 0;

/** A registration id that nobody has. */
export function fresh(kind: string): string {
  return `applicant-${kind}-${++count}`;
}

/** A symmetric key, base64, always the same for a seed. */
export function keyOf(seed: number): string {
  return Buffer.alloc(32, seed).toString("base64");
}

/** Makes the service SDK's client for the owner, or another with another key. */
export async function enter({ cloud, enroller }: Stage, name = OWNER, key?: string): Promise<void> {
  const { ready, ca } = cloud;
  const secret = `SharedAccessKey=${key ?? ready.dpsKey}`;
  const connectionString = `HostName=localhost;SharedAccessKeyName=${ready.dpsPolicy};${secret}`;
  await enroller.call("make", name, { connectionString, ca, httpsPort: ready.httpsPort });
}

/** Calls a method of the service SDK. */
export function ask<T>(stage: Stage, verb: string, ...words: unknown[]): Promise<Answer<T>> {
  return stage.enroller.call("ask", OWNER, { verb, words });
}

/** Enrolls or, when `body` has an etag, changes an individual enrollment. */
export async function enroll<T = Record<string, unknown>>(stage: Stage, body: object): Promise<T> {
  return (await ask<T>(stage, "createOrUpdateIndividualEnrollment", body)).body;
}

/** An enrollment with a symmetric key under a new id: the id. */
export async function enrollKey(stage: Stage, kind: string, more: object = {}): Promise<string> {
  const registrationId = fresh(kind);
  const symmetricKey = { primaryKey: keyOf(1), secondaryKey: keyOf(2) };
  const attestation = { type: "symmetricKey", symmetricKey };
  await enroll(stage, { registrationId, attestation, ...more });
  return registrationId;
}

/** Changes an enrollment as it is read now. */
export async function change(stage: Stage, id: string, more: object): Promise<void> {
  const { body } = await ask<object>(stage, "getIndividualEnrollment", id);
  await enroll(stage, { ...body, ...more });
}

/** Makes the device SDK's registration client: `name`, or the registration id, is its name. */
export async function prepare(stage: Stage, way: Way, proof: Proof, name = proof.id!) {
  const { cloud, registrant } = stage;
  const { mqttPort, httpsPort, idScope } = cloud.ready;
  const where = { over: way, host: "localhost", mqttPort, httpsPort, idScope, ca: cloud.ca };
  await registrant.call("make", name, { ...where, ...proof });
}

/** Makes a client of the device SDK and registers. */
export async function register(
  stage: Stage,
  way: Way,
  proof: Proof & { id: string },
): Promise<State> {
  await prepare(stage, way, proof);
  return stage.registrant.call<State>("register", proof.id);
}

/** Connects to where a registration has led, and sends a message. */
export async function arrives(
  { cloud, registrant }: Stage,
  name: string,
  { assignedHub: hub, deviceId }: State,
  secret: Pick<Proof, "key" | "cert"> = {},
): Promise<void> {
  const gateway = `localhost:${cloud.ready.mqttPort}`;
  await registrant.call("enter", name, { hub, deviceId, gateway, ca: cloud.ca, ...secret });
  const body = `from ${name}`;
  const before = cloud.log("telemetry", { id: deviceId }).length;
  await registrant.call("send", name, { body });
  const bodies = cloud.log("telemetry", { id: deviceId }).map(({ payload }) => payload);
  deepEqual(bodies.slice(before), [body]);
  await registrant.call("close", name);
}

/** The newest reason in that log. */
export function lastReason(stage: Stage, id: string): string {
  return stage.cloud.steps(id).at(-1)?.reason ?? "";
}
