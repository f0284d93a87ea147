// Service: what the official service SDK can do at local Azure over HTTPS. Its cloud-to-device
// messages go over AMQP, which local Azure does not offer: `POST /control/c2d` takes their place.
// Neighbours: `peers/service.ts` is the SDK; `device.ts` has the device's side.
// Invariant: each case has devices of its own and judges by what the SDK and the hub both say.

import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import type { Cloud } from "./cloud.ts";
import { type PeerError, type Puppet, refusal } from "./puppet.ts";
import type { Case } from "./report.ts";

/** A cloud, the service SDK, and the device SDK for the other end of a method. */
export interface Stage {
  readonly cloud: Cloud;
  readonly service: Puppet;
  readonly device: Puppet;
}

interface Answer<T> {
  status: number;
  body: T;
}

interface Row {
  deviceId: string;
  etag: string;
  status: string;
  statusReason: string | null;
  generationId: string;
  connectionState: string;
  authentication: { type: string; symmetricKey: { primaryKey: string; secondaryKey: string } };
}

interface TwinView {
  deviceId: string;
  etag: string;
  tags: Record<string, unknown>;
  properties: { desired: Record<string, unknown>; reported: Record<string, unknown> };
}

/** The SDK's client with all rights. */
const OWNER = "owner";

function registry<T>(stage: Stage, verb: string, ...words: unknown[]): Promise<Answer<T>> {
  return stage.service.call("registry", OWNER, { verb, words });
}

/** Makes the SDK's client for a policy. */
export async function enter(stage: Stage, name = OWNER, key?: string): Promise<void> {
  const { ready, ca } = stage.cloud;
  const policy = `SharedAccessKeyName=${ready.servicePolicy}`;
  const secret = `SharedAccessKey=${key ?? ready.serviceKey}`;
  const connectionString = `HostName=${ready.hubName};${policy};${secret}`;
  await stage.service.call("make", name, { connectionString, ca, httpsPort: ready.httpsPort });
}

function isError(error: PeerError, name: string, status: number): void {
  equal(error.name, name, error.message);
  equal(error.status, status);
}

let count = 0;
const fresh = (kind: string): string => `service-${kind}-${++count}`;

async function creates(stage: Stage): Promise<void> {
  const deviceId = fresh("create");
  const made = await registry<Row>(stage, "create", { deviceId });
  equal(made.status, 200);
  equal(made.body.deviceId, deviceId);
  equal(made.body.status, "enabled");
  equal(made.body.authentication.type, "sas");
  const { primaryKey, secondaryKey } = made.body.authentication.symmetricKey;
  for (const key of [primaryKey, secondaryKey]) equal(Buffer.from(key, "base64").length, 32);
  notEqual(primaryKey, secondaryKey);
  const again = await refusal(registry(stage, "create", { deviceId }));
  isError(again, "DeviceAlreadyExistsError", 409);
}

async function createsWithKeys(stage: Stage): Promise<void> {
  const deviceId = `${fresh("keys")}-:.%_*?!(),=@$'`;
  const primaryKey = Buffer.alloc(32, 1).toString("base64");
  const secondaryKey = Buffer.alloc(64, 2).toString("base64");
  const symmetricKey = { primaryKey, secondaryKey };
  const { body } = await registry<Row>(stage, "create", {
    deviceId,
    status: "disabled",
    statusReason: "in the box",
    authentication: { symmetricKey },
  });
  deepEqual(body.authentication.symmetricKey, symmetricKey);
  const found = await registry<Row>(stage, "get", deviceId);
  equal(found.body.deviceId, deviceId);
  equal(found.body.status, "disabled");
  equal(found.body.statusReason, "in the box");
}

async function findsNone(stage: Stage): Promise<void> {
  const gone = fresh("nobody");
  isError(await refusal(registry(stage, "get", gone)), "DeviceNotFoundError", 404);
  isError(await refusal(registry(stage, "delete", gone)), "DeviceNotFoundError", 404);
  isError(await refusal(registry(stage, "getTwin", gone)), "DeviceNotFoundError", 404);
  isError(await refusal(registry(stage, "update", { deviceId: gone })), "DeviceNotFoundError", 404);
}

async function lists(stage: Stage): Promise<void> {
  const wanted = [fresh("list"), fresh("list"), fresh("list")];
  for (const deviceId of wanted) await registry(stage, "create", { deviceId });
  const { body } = await registry<Row[]>(stage, "list");
  const all = body.map(({ deviceId }) => deviceId);
  deepEqual(
    all.filter((id) => wanted.includes(id)),
    wanted,
  );
}

async function updates(stage: Stage): Promise<void> {
  const deviceId = fresh("update");
  const { body: before } = await registry<Row>(stage, "create", { deviceId });
  const change = { ...before, status: "disabled", statusReason: "lost" };
  const { body: after } = await registry<Row>(stage, "update", change);
  equal(after.status, "disabled");
  equal(after.generationId, before.generationId);
  deepEqual(after.authentication.symmetricKey, before.authentication.symmetricKey);
  notEqual(after.etag, before.etag);
}

async function deletes(stage: Stage): Promise<void> {
  const deviceId = fresh("delete");
  await registry(stage, "create", { deviceId });
  equal((await registry(stage, "delete", deviceId)).status, 204);
  isError(await refusal(registry(stage, "get", deviceId)), "DeviceNotFoundError", 404);
}

async function handlesMany(stage: Stage): Promise<void> {
  const devices = Array.from({ length: 100 }, () => ({ deviceId: fresh("bulk") }));
  type Outcome = { isSuccessful: boolean; errors: { deviceId: string; errorCode: unknown }[] };
  const added = await registry<Outcome>(stage, "addDevices", devices);
  deepEqual([added.status, added.body.isSuccessful, added.body.errors], [200, true, []]);
  const twice = await registry<Outcome>(stage, "addDevices", devices.slice(0, 2));
  equal(twice.body.isSuccessful, false);
  deepEqual(
    twice.body.errors.map(({ deviceId }) => deviceId),
    devices.slice(0, 2).map(({ deviceId }) => deviceId),
  );
  const off = devices.map((device) => ({ ...device, status: "disabled" }));
  equal((await registry<Outcome>(stage, "updateDevices", off, true)).body.isSuccessful, true);
  const { body: one } = await registry<Row>(stage, "get", devices[99]!.deviceId);
  equal(one.status, "disabled");
  const stale = [{ ...one, etag: "AAAA" }];
  const refused = await registry<Outcome>(stage, "updateDevices", stale, false);
  equal(refused.body.isSuccessful, false);
  const on = [{ ...one, status: "enabled" }];
  equal((await registry<Outcome>(stage, "updateDevices", on, false)).body.isSuccessful, true);
  const gone = await registry<Outcome>(stage, "removeDevices", devices, true);
  deepEqual([gone.body.isSuccessful, gone.body.errors], [true, []]);
  const error = await refusal(registry(stage, "get", devices[0]!.deviceId));
  isError(error, "DeviceNotFoundError", 404);
}

async function refusesTooMany(stage: Stage): Promise<void> {
  const devices = Array.from({ length: 101 }, () => ({ deviceId: fresh("many") }));
  const error = await refusal(registry(stage, "addDevices", devices));
  ok(["ArgumentError", "ReferenceError", "Error"].includes(error.name), error.name);
  const first = await refusal(registry(stage, "get", devices[0]!.deviceId));
  equal(first.name, "DeviceNotFoundError");
}

async function refusesNames(stage: Stage): Promise<void> {
  for (const deviceId of ["with space", "with/slash", "ü", "x".repeat(129)]) {
    const error = await refusal(registry(stage, "create", { deviceId }));
    isError(error, "ArgumentError", 400);
  }
}

async function queries(stage: Stage): Promise<void> {
  const { service } = stage;
  const devices = Array.from({ length: 7 }, () => ({ deviceId: fresh("query") }));
  await registry(stage, "addDevices", devices);
  const text = "SELECT * FROM devices";
  const pages = await service.call<TwinView[][]>("query", OWNER, { text, size: 5, asTwin: true });
  ok(pages.slice(0, -1).every((page) => page.length === 5));
  const ids = pages.flat().map(({ deviceId }) => deviceId);
  ok(devices.every(({ deviceId }) => ids.includes(deviceId)));
  equal(new Set(ids).size, ids.length);
  const one = `SELECT * FROM devices WHERE deviceId = '${devices[3]!.deviceId}'`;
  const found = await service.call<TwinView[][]>("query", OWNER, { text: one, asTwin: false });
  deepEqual(
    found.flat().map(({ deviceId }) => deviceId),
    [devices[3]!.deviceId],
  );
  const wrong = { text: "SELECT nonsense FROM nowhere", asTwin: false };
  isError(await refusal(service.call("query", OWNER, wrong)), "ArgumentError", 400);
}

async function changesTwin(stage: Stage): Promise<void> {
  const { service } = stage;
  const id = fresh("twin");
  await registry(stage, "create", { deviceId: id });
  const first = await service.call<TwinView>("twin", OWNER, { id });
  equal(first.properties.desired.$version, 1);
  const patch = { tags: { site: "A" }, properties: { desired: { LED1: true, deep: { a: 1 } } } };
  const second = await service.call<TwinView>("change", OWNER, { id, patch });
  notEqual(second.etag, first.etag);
  deepEqual(second.tags, { site: "A" });
  equal(second.properties.desired.LED1, true);
  equal(second.properties.desired.$version, 2);
  const { LED1, $lastUpdated } = second.properties.desired.$metadata as Record<string, object>;
  ok($lastUpdated !== undefined && LED1 !== undefined);
  // The Twin object holds the etag of its last answer, so a second change goes through.
  const gone = { properties: { desired: { deep: null } } };
  const third = await service.call<TwinView>("change", OWNER, { id, patch: gone });
  equal("deep" in third.properties.desired, false);
}

async function mindsEtags(stage: Stage): Promise<void> {
  const id = fresh("etag");
  await registry(stage, "create", { deviceId: id });
  const { etag } = await stage.service.call<TwinView>("twin", OWNER, { id });
  const patch = (a: number): object => ({ properties: { desired: { a } } });
  await registry(stage, "updateTwin", id, patch(1), etag);
  const stale = await refusal(registry(stage, "updateTwin", id, patch(2), etag));
  isError(stale, "InvalidEtagError", 412);
  await registry(stage, "updateTwin", id, patch(3), "*");
  const { properties } = await stage.service.call<TwinView>("twin", OWNER, { id });
  equal(properties.desired.a, 3);
}

async function refusesTwins(stage: Stage): Promise<void> {
  const id = fresh("badtwin");
  await registry(stage, "create", { deviceId: id });
  for (const desired of [
    { long: "x".repeat(4097) },
    { "with.dot": 1 },
    { with$dollar: 1 },
    { big: 4503599627370497 },
    JSON.parse(`${'{"a":'.repeat(12)}1${"}".repeat(12)}`),
    Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`k${index}`, "x".repeat(4000)])),
  ]) {
    const error = await refusal(
      registry(stage, "updateTwin", id, { properties: { desired } }, "*"),
    );
    isError(error, "ArgumentError", 400);
  }
  const { properties } = await stage.service.call<TwinView>("twin", OWNER, { id });
  equal(properties.desired.$version, 1);
}

async function replacesTwin(stage: Stage): Promise<void> {
  const id = fresh("replace");
  await registry(stage, "create", { deviceId: id });
  const body = (a: string): object => ({ tags: { [a]: 1 }, properties: { desired: { [a]: 1 } } });
  await registry(stage, "updateTwin", id, body("old"), "*");
  const { service } = stage;
  const before = await service.call<TwinView>("twin", OWNER, { id });
  await registry(stage, "updateTwin", id, { tags: { old: null, fresh: 1 } }, before.etag);
  const after = await service.call<TwinView>("twin", OWNER, { id });
  deepEqual(after.tags, { fresh: 1 });
  equal(after.properties.desired.old, 1);
}

async function counts(stage: Stage): Promise<void> {
  type Counts = { totalDeviceCount: number; enabledDeviceCount: number };
  const { body: before } = await registry<Counts>(stage, "getRegistryStatistics");
  await registry(stage, "create", { deviceId: fresh("count"), status: "disabled" });
  const { body: after } = await registry<Counts>(stage, "getRegistryStatistics");
  equal(after.totalDeviceCount, before.totalDeviceCount + 1);
  equal(after.enabledDeviceCount, before.enabledDeviceCount);
}

/** A device on the device SDK that takes on `blink` and never answers `sleep`. */
async function online({ cloud, device }: Stage): Promise<string> {
  const identity = cloud.device("service-online");
  const { id, connectionString } = identity;
  await device.call("make", id, { connectionString, ca: cloud.ca });
  await device.call("open", id);
  await device.call("answer", id, { method: "blink", status: 207, payload: { done: true } });
  await cloud.seen("subscribe", identity, ({ filter }) => filter.includes("/methods/"));
  return id;
}

async function invokes(stage: Stage): Promise<void> {
  const id = await online(stage);
  const call = { methodName: "blink", payload: { times: 2 } };
  const result = await stage.service.call("method", OWNER, { id, call });
  deepEqual(result, { status: 207, payload: { done: true } });
  deepEqual(stage.device.of("method", id), [{ method: "blink", payload: { times: 2 } }]);
  await stage.device.call("close", id);
}

async function timesOut(stage: Stage): Promise<void> {
  const id = await online(stage);
  // The SDK gives up by itself after the sum of both times: only a longer wait shows the hub's.
  const call = { methodName: "sleep", responseTimeoutInSeconds: 5, connectTimeoutInSeconds: 5 };
  const error = await refusal(stage.service.call("method", OWNER, { id, call }));
  isError(error, "GatewayTimeoutError", 504);
  match(error.body, /ErrorCode:GatewayTimeout;/);
  await stage.device.call("close", id);
}

async function findsOffline(stage: Stage): Promise<void> {
  const id = fresh("offline");
  await registry(stage, "create", { deviceId: id });
  const call = { methodName: "blink" };
  const error = await refusal(stage.service.call("method", OWNER, { id, call }));
  // The SDK has no error for DeviceNotOnline; the body, which it keeps, says so.
  isError(error, "Error", 404);
  match(error.body, /ErrorCode:DeviceNotOnline;/);
  const nobody = fresh("nobody");
  const unknown = await refusal(stage.service.call("method", OWNER, { id: nobody, call }));
  isError(unknown, "DeviceNotFoundError", 404);
}

async function isUnauthorized(stage: Stage): Promise<void> {
  await enter(stage, "stranger", Buffer.alloc(32, 3).toString("base64"));
  const words = { verb: "list", words: [] };
  const error = await refusal(stage.service.call("registry", "stranger", words));
  isError(error, "UnauthorizedError", 401);
}

/** Cases of the service SDK. */
export const SERVICE: readonly Case<Stage>[] = [
  ["creates a device with keys, refuses a second one (409)", creates],
  ["creates under any legal name, with given keys and status", createsWithKeys],
  ["get, delete, update, twin of nobody: DeviceNotFoundError", findsNone],
  ["lists in order of creation", lists],
  ["updates and keeps the keys", updates],
  ["deletes", deletes],
  ["adds, updates, removes 100 devices in one call", handlesMany],
  ["refuses 101 devices in one call", refusesTooMany],
  ["refuses names against the rules (400)", refusesNames],
  ["queries page by page, by id, and is refused nonsense", queries],
  ["changes twins through the Twin object", changesTwin],
  ["stale etag: InvalidEtagError (412)", mindsEtags],
  ["refuses twins against the rules (400)", refusesTwins],
  ["changes tags and leaves desired properties alone", replacesTwin],
  ["counts devices", counts],
  ["invokes a method of a device on the device SDK", invokes],
  ["a method that is not answered: 504", timesOut],
  ["a method of a device that is away: 404", findsOffline],
  ["wrong key: UnauthorizedError (401)", isUnauthorized],
];
