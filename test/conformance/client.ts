// Client: what MQTT.js, which knows nothing of Azure, meets at local Azure with a token for its
// password. Neighbours: `peers/client.ts` is MQTT.js; `mosquitto.ts` and `paho.ts` are its kind.
// Invariant: each case has a device of its own; a close is judged by the hub's code too.

import { deepEqual, equal, match, rejects } from "node:assert/strict";
import type { Cloud, Identity } from "./cloud.ts";
import type { Puppet } from "./puppet.ts";
import type { Case } from "./report.ts";

/** A cloud and MQTT.js in a process of its own. */
export interface Stage {
  readonly cloud: Cloud;
  readonly puppet: Puppet;
}

async function dial(stage: Stage, device: Identity, more: object = {}): Promise<unknown> {
  const { cloud, puppet } = stage;
  const { mqttPort: port } = cloud.ready;
  const { id: clientId, username } = device;
  const options = { clientId, username, password: cloud.token(device), clean: false, ...more };
  return puppet.call("dial", clientId, { port, ca: cloud.ca, options });
}

async function dialled(stage: Stage, kind: string, more: object = {}): Promise<Identity> {
  const device = stage.cloud.device(kind);
  await dial(stage, device, more);
  return device;
}

function publish({ puppet }: Stage, device: Identity, topic: string, more: object = {}) {
  const { body = "x", ...options } = more as { body?: string };
  return puppet.call("publish", device.id, { topic, body, options: { qos: 1, ...options } });
}

async function sends(stage: Stage): Promise<void> {
  const device = await dialled(stage, "telemetry");
  for (const bag of ["", "a=1&b=&c", "$.ct=application%2Fjson&$.ce=utf-8&x%20y=%25", "%24.mid=m"]) {
    const topic = `${device.eventsTopic}${bag}`;
    await publish(stage, device, topic);
  }
  const acks = stage.puppet.of("packet", device.id).filter(({ cmd }) => cmd === "puback");
  equal(acks.length, 4);
  const topic = device.eventsTopic.slice(0, -1);
  await publish(stage, device, topic, { qos: 0, body: "qos 0" });
  await stage.cloud.seen("telemetry", device, ({ payload }) => payload === "qos 0");
  const bags = stage.cloud.log("telemetry", device).map(({ properties }) => properties);
  deepEqual(JSON.parse(JSON.stringify(bags)), [
    { app: {}, system: {} },
    { app: { a: "1", b: "", c: null }, system: {} },
    {
      app: { "x y": "%" },
      system: { contentType: "application/json", contentEncoding: "utf-8" },
    },
    { app: {}, system: { messageId: "m" } },
    { app: {}, system: {} },
  ]);
  await stage.puppet.call("end", device.id);
}

async function usesTwin(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await dialled(stage, "twin");
  const filter = ["$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#"];
  const granted = await puppet.call("subscribe", device.id, { filter, qos: 0 });
  deepEqual(granted, [
    { topic: filter[0], qos: 0 },
    { topic: filter[1], qos: 0 },
  ]);
  await publish(stage, device, "$iothub/twin/GET/?$rid=abc-1", { qos: 0, body: "" });
  const answer = await packetOn(stage, device, "$iothub/twin/res/200/?$rid=abc-1");
  deepEqual(JSON.parse(answer.payload as string), {
    desired: { $version: 1 },
    reported: { $version: 1 },
  });
  const patch = "$iothub/twin/PATCH/properties/reported/?$rid=2";
  await publish(stage, device, patch, { qos: 0, body: '{"a":1}' });
  const done = await packetOn(stage, device, "$iothub/twin/res/204/?$rid=2&$version=2");
  equal(done.payload, "");
  await publish(stage, device, patch, { qos: 0, body: '{"a":' });
  const refused = await packetOn(stage, device, "$iothub/twin/res/400/?$rid=2");
  match(refused.payload as string, /"errorCode":400004/);
  cloud.desire(device, { LED1: true });
  const push = await packetOn(stage, device, "$iothub/twin/PATCH/properties/desired/?$version=2");
  deepEqual(JSON.parse(push.payload as string), { LED1: true, $version: 2 });
  deepEqual([push.qos, push.retain, push.dup], [0, false, false]);
  await puppet.call("end", device.id);
}

function packetOn({ puppet }: Stage, device: Identity, topic: string) {
  return puppet.seen("packet", device.id, (packet) => packet.topic === topic);
}

async function answersMethod(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await dialled(stage, "method");
  await puppet.call("subscribe", device.id, { filter: "$iothub/methods/POST/#", qos: 0 });
  const result = cloud.invoke(device, "blink", { n: 1 });
  const call = await puppet.seen("packet", device.id, ({ cmd }) => cmd === "publish");
  match(call.topic as string, /^\$iothub\/methods\/POST\/blink\/\?\$rid=[0-9a-f]+$/);
  equal(call.payload, '{"n":1}');
  const rid = (call.topic as string).split("=")[1];
  const topic = `$iothub/methods/res/404/?$rid=${rid}`;
  await publish(stage, device, topic, { qos: 0, body: "[1]" });
  deepEqual(await result, { status: 404, payload: [1] });
  await puppet.call("end", device.id);
}

async function getsMail(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await dialled(stage, "mail");
  const { mailFilter: filter } = device;
  const granted = await puppet.call("subscribe", device.id, { filter, qos: 2 });
  deepEqual(granted, [{ topic: filter, qos: 1 }]);
  cloud.mail(device, "hello", { k: "v" });
  const packet = await puppet.seen("packet", device.id, ({ payload }) => payload === "hello");
  equal(packet.qos, 1);
  const to = `%2Fdevices%2F${device.id}%2Fmessages%2Fdevicebound`;
  match(packet.topic as string, new RegExp(`/devicebound/%24\\.mid=[^&]+&%24\\.to=${to}&k=v$`));
  await cloud.seen("c2d", device, ({ state }) => state === "completed");
  await puppet.call("end", device.id);
}

/** What a publish must not be, and what the hub's log says then. */
const FORBIDDEN: readonly (readonly [string, (device: Identity) => string, object, RegExp])[] = [
  [
    "to a topic of its own",
    () => "my/topic",
    {},
    /publish to my\/topic, which is off the hub's list/,
  ],
  ["to another device's topic", () => "devices/other/messages/events/", {}, /off the hub's list/],
  [
    "to its own mailbox",
    ({ id }) => `devices/${id}/messages/devicebound/`,
    {},
    /off the hub's list/,
  ],
  ["with QoS 2", ({ eventsTopic }) => eventsTopic, { qos: 2 }, /QoS 2 publish/],
  ["of a twin GET without $rid", () => "$iothub/twin/GET/", { qos: 0 }, /twin GET without \$rid/],
];

async function isClosed(stage: Stage, index: number): Promise<void> {
  const { cloud, puppet } = stage;
  const [, topic, options, reason] = FORBIDDEN[index]!;
  const device = await dialled(stage, "forbidden");
  void publish(stage, device, topic(device), options).catch(() => {});
  await puppet.seen("close", device.id);
  const close = await cloud.seen("close", device);
  equal(close.by, "hub");
  match(close.reason, reason);
  equal(cloud.log("telemetry", device).length, 0);
}

async function isClosedForFilter(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  for (const filter of ["#", "devices/+/messages/devicebound/#", "$iothub/#", "my/topic"]) {
    const device = await dialled(stage, "filter");
    void puppet.call("subscribe", device.id, { filter, qos: 0 }).catch(() => {});
    await puppet.seen("close", device.id);
    match((await cloud.seen("close", device)).reason, /off the list/);
  }
}

async function retains(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await dialled(stage, "retain");
  await publish(stage, device, device.eventsTopic, { retain: true });
  const event = await cloud.seen("telemetry", device);
  equal(event.properties.app["mqtt-retain"], "true");
  await puppet.call("end", device.id);
}

async function leavesWill(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = cloud.device("will");
  const will = { topic: `${device.eventsTopic}why=cut`, payload: "gone", qos: 1, retain: false };
  await dial(stage, device, { will });
  await puppet.call("cut", device.id);
  const event = await cloud.seen("telemetry", device);
  equal(event.payload, "gone");
  deepEqual({ ...event.properties.app }, { why: "cut", "iothub-MessageType": "Will" });
  // A clean end leaves none.
  await dial(stage, device, { will });
  await puppet.call("end", device.id);
  await cloud.seen("close", device, ({ reason }) => reason === "DISCONNECT");
  equal(cloud.log("telemetry", device).length, 1);
}

async function isRefusedWill(stage: Stage): Promise<void> {
  const { cloud } = stage;
  const device = cloud.device("badwill");
  const will = { topic: "my/will", payload: "gone", qos: 0, retain: false };
  await rejects(dial(stage, device, { will }), /Not authorized/);
  match((await cloud.seen("refuse", device)).reason, /will topic/);
}

async function keepsSession(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await dialled(stage, "session");
  await puppet.call("subscribe", device.id, { filter: device.mailFilter, qos: 1 });
  await puppet.call("cut", device.id);
  await cloud.seen("close", device);
  cloud.mail(device, "while away");
  const connack = (await dial(stage, device)) as { sessionPresent: boolean };
  equal(connack.sessionPresent, true);
  await puppet.seen("packet", device.id, ({ payload }) => payload === "while away");
  await puppet.call("end", device.id);
  cloud.mail(device, "purged");
  const anew = (await dial(stage, device, { clean: true })) as { sessionPresent: boolean };
  equal(anew.sessionPresent, false);
  await cloud.seen("c2d", device, ({ state }) => state === "purged");
  await puppet.call("end", device.id);
}

async function isRefused(stage: Stage): Promise<void> {
  const { cloud } = stage;
  const device = cloud.device("refused");
  const wrong: readonly (readonly [object, RegExp, RegExp])[] = [
    [{ password: "secret" }, /Not authorized/, /not a SharedAccessSignature/],
    [{ password: cloud.token(device, -3600) }, /Not authorized/, /expired 36\d\d s ago/],
    [{ username: device.id }, /Not authorized/, /user name is not/],
    [{ username: `other.example/${device.id}/?api-version=1` }, /Not authorized/, /this hub is/],
    [{ clientId: "somebody" }, /Not authorized/, /client identifier is not/],
    [{ protocolVersion: 5 }, /nacceptable|nsupported|closed/i, /level 5, 4 is allowed/],
    [{ protocolId: "MQIsdp", protocolVersion: 3 }, /nacceptable/, /MQIsdp level 3/],
  ];
  for (const [more, heard, logged] of wrong) {
    const before = cloud.events.length;
    await rejects(dial(stage, device, more), heard);
    const reasons = cloud.events
      .slice(before)
      .flatMap((event) => (event.type === "refuse" ? [event.reason] : []));
    match(reasons.join(), logged);
  }
}

async function pings(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await dialled(stage, "ping", { keepalive: 1 });
  await puppet.seen("packet", device.id, ({ cmd }) => cmd === "pingresp");
  await Bun.sleep(2000);
  equal(cloud.log("close", device).length, 0);
  await puppet.call("end", device.id);
}

async function tunnels(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = cloud.device("websocket");
  const { httpsPort: port } = cloud.ready;
  const path = "/$iothub/websocket";
  await dial(stage, device, { protocol: "wss", path, port, wsOptions: { ca: cloud.ca } });
  await puppet.call("subscribe", device.id, { filter: device.mailFilter, qos: 1 });
  const body = "x".repeat(200_000);
  await publish(stage, device, device.eventsTopic, { body });
  equal((await cloud.seen("telemetry", device)).bytes, body.length);
  cloud.mail(device, "through the tunnel");
  await puppet.seen("packet", device.id, ({ payload }) => payload === "through the tunnel");
  await cloud.seen("c2d", device, ({ state }) => state === "completed");
  await puppet.call("end", device.id);
  equal((await cloud.seen("close", device)).reason, "DISCONNECT");
}

/** Cases of MQTT.js. */
export const CLIENT: readonly Case<Stage>[] = [
  ["telemetry with bags raw and encoded", sends],
  ["twin topics", usesTwin],
  ["method topics", answersMethod],
  ["cloud-to-device messages; QoS 2 is granted as 1", getsMail],
  ...FORBIDDEN.map(([name], index): Case<Stage> => {
    return [`a publish ${name} closes`, (stage) => isClosed(stage, index)];
  }),
  ["a filter off the list closes", isClosedForFilter],
  ["RETAIN becomes mqtt-retain", retains],
  ["will after a cut, none after DISCONNECT", leavesWill],
  ["a will to any topic but telemetry is refused", isRefusedWill],
  ["stored session delivers, clean session purges", keepsSession],
  ["refusals are CONNACK 5, other protocol levels 1", isRefused],
  ["MQTT over WebSocket on the HTTPS port", tunnels],
  ["pings hold a connection with keep-alive 1 s", pings],
];
