// Device: what the official device SDK can do at local Azure, and what it makes of refusals.
// Neighbours: `peers/device.ts` is the SDK; `renewal` has tokens and lost connections.
// Invariant: each case has a device of its own and judges by what the SDK and the hub both say.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { Cloud, Identity } from "./cloud.ts";
import { type Puppet, refusal } from "./puppet.ts";
import type { Case } from "./report.ts";

/** A cloud and the SDK in a process of its own. */
export interface Stage {
  readonly cloud: Cloud;
  readonly puppet: Puppet;
  /** Port of the WebSocket that the SDK goes over; left out for MQTT over TLS. */
  readonly webSocketPort?: number;
}

/** Makes an SDK client for a new device. */
export async function made(
  { cloud, puppet, webSocketPort }: Stage,
  kind: string,
  making: object = {},
): Promise<Identity> {
  const device = cloud.device(kind);
  const { ca } = cloud;
  // The SDK appends the one port that it knows for WebSockets.
  const isTunnelled = webSocketPort !== undefined;
  const gateway = isTunnelled ? "GatewayHostName=localhost" : "$&";
  const connectionString = device.connectionString.replace(/GatewayHostName=.*$/, gateway);
  await puppet.call("make", device.id, { connectionString, ca, webSocketPort, ...making });
  return device;
}

/** An SDK client that is connected. */
export async function opened(stage: Stage, kind: string, making: object = {}): Promise<Identity> {
  const device = await made(stage, kind, making);
  await stage.puppet.call("open", device.id);
  return device;
}

/** Where a device's id is read anew from a text, for connection strings that are changed. */
function changed(device: Identity, from: string, to: string): string {
  ok(device.connectionString.includes(from));
  return device.connectionString.replace(from, to);
}

async function connects(stage: Stage): Promise<void> {
  const device = await opened(stage, "open");
  const event = await stage.cloud.seen("connect", device);
  equal(event.clean, false);
  equal(event.keepAlive, 180);
  equal(event.apiVersion, "2021-04-12");
  match(event.clientType, /^azure-iot-device\/1\.18\.4 \(/);
  equal(event.sessionPresent, false);
  await stage.puppet.call("close", device.id);
  const close = await stage.cloud.seen("close", device);
  equal(close.reason, "DISCONNECT");
}

async function announces(stage: Stage): Promise<void> {
  const options = { modelId: "dtmi:com:example:gateway;1", keepalive: 77 };
  const device = await opened(stage, "model", { options });
  const event = await stage.cloud.seen("connect", device);
  equal(event.modelId, options.modelId);
  equal(event.keepAlive, 77);
  await stage.puppet.call("close", device.id);
}

async function sends(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await opened(stage, "send");
  const app = { "a b/c": "ü & = % +", empty: "", $odd: "x", "100%": "~!*'()" };
  const system = {
    messageId: "m-1",
    correlationId: "c-1",
    userId: "u-1",
    contentType: "application/json",
    contentEncoding: "utf-8",
  };
  await puppet.call("send", device.id, { body: '{"t":21.5}', system, app });
  const event = await cloud.seen("telemetry", device);
  deepEqual({ ...event.properties.app }, app);
  deepEqual({ ...event.properties.system }, system);
  equal(event.payload, '{"t":21.5}');
  equal(event.qos, 1);
  equal(event.dup, false);
  equal(event.retain, false);
  await puppet.call("close", device.id);
}

async function sendsBatch(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await opened(stage, "batch");
  const messages = Array.from({ length: 50 }, (_, index) => ({ body: `n${index}` }));
  // A batch over MQTT is not offered by this SDK; it says so by its own error or sends each.
  const outcome = await puppet.call("batch", device.id, { messages }).then(
    () => "sent",
    (error: Error) => error.name,
  );
  equal(outcome, "NotImplementedError");
  const all = messages.map((message) => puppet.call("send", device.id, message));
  await Promise.all(all);
  const bodies = cloud.log("telemetry", device).map((event) => event.payload);
  deepEqual(
    bodies,
    messages.map(({ body }) => body),
  );
  await puppet.call("close", device.id);
}

async function sendsLargest(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await opened(stage, "large");
  const bytes = 262_144 - 4 - device.eventsTopic.length;
  await puppet.call("send", device.id, { body: bytes });
  equal((await cloud.seen("telemetry", device)).bytes, bytes);
  await puppet.call("close", device.id);
}

async function sendsTooMuch(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await opened(stage, "toomuch");
  const far = await refusal(puppet.call("send", device.id, { body: 262_145 }));
  equal(far.name, "MessageTooLargeError");
  equal(cloud.log("close", device).length, 0);
  // The SDK takes this one for sendable, but its packet is longer than 256 KB.
  const near = await refusal(puppet.call("send", device.id, { body: 262_144 }));
  equal(near.name, "NotConnectedError");
  const close = await cloud.seen("close", device);
  equal(close.codeName, "MessageTooLarge");
  equal(cloud.log("telemetry", device).length, 0);
  await puppet.call("close", device.id);
}

async function getsTwin(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await opened(stage, "twin");
  cloud.desire(device, { LED1: true, deep: { a: { b: [1, "two", true] } } });
  const twin = await puppet.call<Record<string, unknown>>("twin", device.id);
  deepEqual(twin.desired, {
    LED1: true,
    deep: { a: { b: [1, "two", true] } },
    $version: 2,
  });
  deepEqual(twin.reported, { $version: 1 });
  await puppet.call("close", device.id);
}

async function reports(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await opened(stage, "report");
  await puppet.call("twin", device.id);
  await puppet.call("report", device.id, { patch: { fw: "1.2", gone: 1 } });
  await puppet.call("report", device.id, { patch: { gone: null, net: { up: true } } });
  const { properties } = cloud.hub.getTwin(device.id) as unknown as {
    properties: { reported: Record<string, unknown> };
  };
  const { $metadata: _, ...reported } = properties.reported;
  deepEqual(
    { ...reported, net: { ...(reported.net as object) } },
    {
      fw: "1.2",
      net: { up: true },
      $version: 3,
    },
  );
  await puppet.call("close", device.id);
}

async function reportsWrongly(stage: Stage): Promise<void> {
  const { puppet } = stage;
  const device = await opened(stage, "badreport");
  await puppet.call("twin", device.id);
  const long = "x".repeat(5000);
  const refused = await refusal(puppet.call("report", device.id, { patch: { long } }));
  // The SDK gives the text of the answer and drops its status.
  equal(refused.message, "properties.reported: string of more than 4096 bytes");
  // The connection is none the worse for it.
  await puppet.call("report", device.id, { patch: { short: 1 } });
  await puppet.call("close", device.id);
}

async function isThrottled(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await opened(stage, "throttle");
  await puppet.call("twin", device.id);
  cloud.fault({ kind: "throttle", device: device.id, count: 1 });
  const refused = await refusal(puppet.call("report", device.id, { patch: { a: 1 } }));
  equal(refused.message, "fault throttle");
  await puppet.call("report", device.id, { patch: { a: 1 } });
  await puppet.call("close", device.id);
}

async function hearsDesired(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await opened(stage, "desired");
  await puppet.call("twin", device.id);
  await puppet.call("watch", device.id, { path: "properties.desired" });
  await puppet.call("watch", device.id, { path: "properties.desired.LED1" });
  const whole = "properties.desired";
  await cloud.seen("subscribe", device, ({ filter }) => filter.includes("/PATCH/"));
  for (const value of [true, false, null]) {
    const before = puppet.of("desired", device.id).length;
    cloud.desire(device, { LED1: value });
    const { $version } = (await puppet
      .seen("desired", device.id, ({ path, delta }) => {
        const change = delta as { LED1?: unknown };
        return path === whole && change.LED1 === value;
      })
      .then(({ delta }) => delta)) as { $version: number };
    equal($version, { true: 2, false: 3, null: 4 }[`${value}`]);
    ok(puppet.of("desired", device.id).length > before);
  }
  const { desired } = await puppet.call<{ desired: object }>("properties", device.id);
  deepEqual(desired, { $version: 4 });
  await puppet.call("close", device.id);
}

async function answersMethod(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await opened(stage, "method");
  await puppet.call("answer", device.id, {
    method: "blink",
    status: 207,
    payload: { done: [1, 2], text: "ü" },
  });
  await cloud.seen("subscribe", device, ({ filter }) => filter.startsWith("$iothub/methods"));
  const result = await cloud.invoke(device, "blink", { times: 3 });
  equal(result.status, 207);
  deepEqual(result.payload, { done: [1, 2], text: "ü" });
  deepEqual(puppet.of("method", device.id), [{ method: "blink", payload: { times: 3 } }]);
  await puppet.call("close", device.id);
}

async function receivesMail(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await made(stage, "mail");
  const early = cloud.mail(device, "early", { "k 1": "v/1", empty: "" });
  await puppet.call("open", device.id);
  await puppet.call("receive", device.id);
  const first = await puppet.seen("mail", device.id, ({ body }) => body === "early");
  equal(first.messageId, early);
  equal(first.to, `/devices/${device.id}/messages/devicebound`);
  const { "k 1": spaced, empty } = first.app as Record<string, unknown>;
  equal(spaced, "v/1");
  equal(empty, "");
  for (let index = 0; index < 20; index++) cloud.mail(device, `n${index}`);
  await puppet.seen("mail", device.id, ({ body }) => body === "n19");
  const bodies = puppet.of("mail", device.id).map(({ body }) => body);
  deepEqual(bodies, ["early", ...Array.from({ length: 20 }, (_, index) => `n${index}`)]);
  await cloud.seen("c2d", device, ({ state, sequence }) => {
    return state === "completed" && sequence === 21;
  });
  const states = cloud.log("c2d", device).filter(({ state }) => state === "completed");
  equal(states.length, 21);
  await puppet.call("close", device.id);
}

/** First connections that are refused: what is changed, and what the hub's log says. */
async function isRefused(
  stage: Stage,
  kind: string,
  change: (device: Identity) => string,
  codeName: string,
): Promise<void> {
  const { cloud, puppet } = stage;
  const device = cloud.device(kind);
  const connectionString = change(device);
  const id = /DeviceId=([^;]*)/.exec(connectionString)![1]!;
  await puppet.call("make", id, { connectionString, ca: cloud.ca });
  const refused = await refusal(puppet.call("open", id));
  equal(refused.name, "UnauthorizedError");
  match(refused.below, /Connection refused: Not authorized/);
  const event = await cloud.seen("refuse", { id });
  equal(event.returnCode, 5);
  equal(event.codeName, codeName);
}

function isRefusedWrongKey(stage: Stage): Promise<void> {
  const other = Buffer.alloc(32, 7).toString("base64");
  const change = (device: Identity) => changed(device, device.key, other);
  return isRefused(stage, "wrongkey", change, "IotHubUnauthorizedAccess");
}

function isRefusedUnknown(stage: Stage): Promise<void> {
  const change = (device: Identity) => changed(device, `=${device.id};`, `=${device.id}-nobody;`);
  return isRefused(stage, "unknown", change, "DeviceNotFound");
}

function isRefusedDisabled(stage: Stage): Promise<void> {
  const disable = (device: Identity): string => {
    stage.cloud.hub.updateDevice(device.id, { status: "disabled" });
    return device.connectionString;
  };
  return isRefused(stage, "disabled", disable, "DeviceDisabled");
}

async function isRefusedWithPort({ cloud, puppet }: Stage): Promise<void> {
  const device = cloud.device("port");
  const { mqttPort } = cloud.ready;
  const secret = `SharedAccessKey=${device.key}`;
  // The SDK dials this, and makes user name and token with the port in them.
  const connectionString = `HostName=localhost:${mqttPort};DeviceId=${device.id};${secret}`;
  await puppet.call("make", device.id, { connectionString, ca: cloud.ca });
  const refused = await refusal(puppet.call("open", device.id));
  equal(refused.name, "UnauthorizedError");
  const { reason } = await cloud.seen("refuse", device);
  match(reason, new RegExp(`user name is for host localhost:${mqttPort}, this hub is`));
}

async function isDistrusted(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = cloud.device("distrust");
  const { connectionString } = device;
  await puppet.call("make", device.id, { connectionString });
  const refused = await refusal(puppet.call("open", device.id));
  match(refused.below, /certificate|issuer/i);
  equal(cloud.log("connect", device).length, 0);
}

/** Cases of the device SDK. */
export const DEVICE: readonly Case<Stage>[] = [
  ["connects with session 0 and disconnects cleanly", connects],
  ["announces model id and keep-alive", announces],
  ["sends telemetry with properties of every kind", sends],
  ["refuses batches itself, sends 50 messages in order", sendsBatch],
  ["sends a packet of exactly 256 KB", sendsLargest],
  ["refuses 256 KB + 1 itself; a packet over 256 KB closes with 413001", sendsTooMuch],
  ["gets the twin", getsTwin],
  ["patches reported properties", reports],
  ["sees a reported patch against the rules refused", reportsWrongly],
  ["is told of 429 and may go on", isThrottled],
  ["hears desired changes with $version", hearsDesired],
  ["answers direct methods", answersMethod],
  ["receives and completes cloud-to-device messages in order", receivesMail],
  ["wrong key: UnauthorizedError", isRefusedWrongKey],
  ["unknown device: UnauthorizedError", isRefusedUnknown],
  ["disabled device: UnauthorizedError", isRefusedDisabled],
  ["a port in HostName is refused, and the log says why", isRefusedWithPort],
  ["does not trust a stranger's certificate", isDistrusted],
];

/** Those of them that mean something else over WebSocket, or might. */
export const TUNNELLED: readonly Case<Stage>[] = [
  ["connects with session 0 and disconnects cleanly", connects],
  ["announces model id and keep-alive", announces],
  ["sends telemetry with properties of every kind", sends],
  ["sends a packet of exactly 256 KB", sendsLargest],
  ["gets the twin", getsTwin],
  ["patches reported properties", reports],
  ["hears desired changes with $version", hearsDesired],
  ["answers direct methods", answersMethod],
  ["receives and completes cloud-to-device messages in order", receivesMail],
];
