/**
 * Twin traffic: a device's get and reported patch, a service's patch and replacement, and the push
 * to a device that is there to hear it. Neighbours: `twin.ts` has the state, `publish.ts` and
 * `hub.ts` call. Invariant: nothing is kept for devices that are away; they get the twin anew.
 */
import type { Connection } from "./connection.ts";
import type { Context } from "./context.ts";
import type { Device } from "./device.ts";
import { HubCode } from "./errors.ts";
import type { TwinEvent } from "./events.ts";
import { difference, type JsonObject, parseObject } from "./merge.ts";
import { demandEtag, type Match } from "./registry.ts";
import { requestId } from "./request.ts";
import { Filter } from "./session.ts";
import { part } from "./twin.ts";
import { randomHex } from "./world.ts";

const TOPIC_BYTES_MAX = 65_535;

type TwinFacts = Partial<Omit<TwinEvent, "type" | "at" | "deviceId">> & Pick<TwinEvent, "part">;

function tell(context: Context, device: Device, facts: TwinFacts): void {
  context.emit({
    type: "twin",
    at: context.at(),
    deviceId: device.id,
    by: "service",
    status: 200,
    version: device.twin.version,
    patch: null,
    pushed: false,
    reason: "",
    ...facts,
  });
}

/** Answers on the response topic, if the device listens there. */
function answer(connection: Connection, status: number, tail: string, payload: string): void {
  const { context, deviceId, device } = connection;
  if ((device?.session?.qos(Filter.TwinAnswer) ?? -1) < 0) return;
  if (context.faults.fires("lose-twin-answer", deviceId) !== undefined) return;
  const topic = `$iothub/twin/res/${status}/?$rid=${tail}`;
  if (Buffer.byteLength(topic) > TOPIC_BYTES_MAX) {
    connection.close(HubCode.ArgumentInvalid, "request id too long to be echoed in a topic");
    return;
  }
  connection.send({ cmd: "publish", qos: 0, dup: false, retain: false, topic, payload });
}

/** Error body of a twin answer: the SDKs look for `errorCode`. */
function errorBody(context: Context, errorCode: number, message: string): string {
  const trackingId = randomHex(context.world, 8).toUpperCase();
  return JSON.stringify({ errorCode, trackingId, message, timestampUtc: context.at() });
}

/** Whether a fault throttles this request; then it has been answered with 429. */
function isThrottled(connection: Connection, rid: string | null, facts: TwinFacts): boolean {
  const { context, deviceId } = connection;
  const fault = context.faults.fires("throttle", deviceId, (item) => !item.isDisconnect);
  if (fault === undefined) return false;
  const body = errorBody(context, HubCode.ThrottlingException, "fault throttle");
  if (rid !== null) answer(connection, 429, rid, body);
  tell(context, connection.device!, { ...facts, by: "device", status: 429, reason: "throttled" });
  return true;
}

/** `$iothub/twin/GET/…`: 200 with both sections; without a request id the connection ends. */
export function onTwinGet(connection: Connection, tail: string): void {
  const { context } = connection;
  const device = connection.device!;
  const rid = requestId(tail);
  if (rid === null) {
    connection.close(HubCode.ArgumentInvalid, "twin GET without $rid");
    return;
  }
  if (isThrottled(connection, rid, { part: "get" })) return;
  answer(connection, 200, rid, device.twin.deviceView());
  tell(context, device, { part: "get", by: "device", version: device.twin.desired.version });
}

/** `$iothub/twin/PATCH/properties/reported/…`: 204 with `$version`, or 400 with a body. */
export function onTwinReport(connection: Connection, tail: string, payload: Buffer): void {
  const { context } = connection;
  const device = connection.device!;
  const rid = requestId(tail);
  if (isThrottled(connection, rid, { part: "reported" })) return;
  const patch = parseObject(payload.toString());
  const reason = typeof patch === "string" ? patch : device.twin.report(patch, context.nowMs());
  const version = device.twin.reported.version;
  const facts = { part: "reported", by: "device", version, patch } as const;
  if (reason !== "") {
    const body = errorBody(context, HubCode.ArgumentInvalid, reason);
    if (rid !== null) answer(connection, 400, rid, body);
    tell(context, device, { ...facts, status: 400, patch: null, reason });
    return;
  }
  context.revision++;
  if (rid !== null) answer(connection, 204, `${rid}&$version=${version}`, "");
  tell(context, device, { ...facts, status: 204 });
}

/**
 * A service changes tags and desired properties; throws 400, 404 or 412.
 * `isWhole`: the body replaces both instead of being merged.
 */
export function changeTwin(
  context: Context,
  device: Device,
  body: JsonObject,
  match: Match,
  isWhole: boolean,
): void {
  demandEtag(match, device.twin.etag, "twin");
  const tags = part(body, "tags", "");
  const properties = part(body, "properties", "") ?? Object.create(null);
  const desired = part(properties, "desired", "properties.");
  const before = device.twin.desired.document;
  device.twin.change(tags, desired, isWhole, context.nowMs());
  context.revision++;
  if (tags !== undefined) tell(context, device, { part: "tags", patch: tags });
  if (desired === undefined && !isWhole) return;
  const after = device.twin.desired;
  const patch = isWhole ? difference(before, after.document) : desired!;
  const pushed = push(device, patch);
  tell(context, device, { part: "desired", version: after.version, patch, pushed });
}

/** Sends a desired patch to a device that listens; whether it went out. */
function push(device: Device, patch: JsonObject): boolean {
  const { connection, session } = device;
  if (connection === undefined || (session?.qos(Filter.Desired) ?? -1) < 0) return false;
  const version = device.twin.desired.version;
  const topic = `$iothub/twin/PATCH/properties/desired/?$version=${version}`;
  const payload = JSON.stringify({ ...patch, $version: version });
  connection.send({ cmd: "publish", qos: 0, dup: false, retain: false, topic, payload });
  return true;
}
