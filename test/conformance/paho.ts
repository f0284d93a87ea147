// Paho: Eclipse Paho for Python, the client that most examples for plain MQTT to Azure use.
// Neighbours: `client.ts` has the same topics with MQTT.js; `install` names the package.
// Invariant: the program says what it saw as JSON; all judging is here.

import { deepEqual, equal, ok } from "node:assert/strict";
import type { Cloud, Identity } from "./cloud.ts";
import { PYTHON } from "./install.ts";
import type { Case } from "./report.ts";

/** Runs steps that come as JSON on stdin, prints what was seen; ends by DISCONNECT. */
const PROGRAM = `
import json, ssl, sys, threading
import paho.mqtt.client as mqtt
spec = json.load(sys.stdin)
seen, ready, done = [], threading.Event(), threading.Event()
client = mqtt.Client(client_id=spec["id"], clean_session=False, protocol=mqtt.MQTTv311)
client.username_pw_set(spec["username"], spec["password"])
client.tls_set(ca_certs=spec["ca"], tls_version=ssl.PROTOCOL_TLS_CLIENT)
client.max_inflight_messages_set(spec["window"])
def on_connect(c, userdata, flags, code):
    seen.append(["connect", code, bool(flags["session present"])])
    ready.set()
def on_message(c, userdata, message):
    seen.append(["message", message.topic, message.payload.decode(), message.qos])
    if len([e for e in seen if e[0] == "message"]) == spec["messages"]:
        done.set()
client.on_connect, client.on_message = on_connect, on_message
client.on_subscribe = lambda c, u, mid, granted: seen.append(["subscribe", list(granted)])
client.on_disconnect = lambda c, u, code: seen.append(["disconnect", code])
client.connect("localhost", spec["port"], keepalive=30)
client.loop_start()
ready.wait(20)
if seen and seen[0][1] == 0:
    if spec["filters"]:
        client.subscribe([(f, 1) for f in spec["filters"]])
    sent = [client.publish(t, p, qos=1) for t, p in spec["publishes"]]
    for info in sent:
        info.wait_for_publish(20)
    if spec["messages"]:
        done.wait(20)
client.disconnect()
client.loop_stop()
print(json.dumps(seen))
`;

interface Spec {
  readonly filters?: readonly string[];
  readonly publishes?: readonly (readonly [topic: string, body: string])[];
  /** Messages to wait for. */
  readonly messages?: number;
  readonly window?: number;
  readonly password?: string;
}

async function run(cloud: Cloud, device: Identity, spec: Spec): Promise<unknown[][]> {
  const { mqttPort: port, caFile: ca } = cloud.ready;
  const { id, username } = device;
  const blank = { filters: [], publishes: [], messages: 0, window: 20 };
  const whole = { ...blank, id, username, password: cloud.token(device), port, ca, ...spec };
  const child = Bun.spawn([PYTHON, "-c", PROGRAM], {
    stdin: Buffer.from(JSON.stringify(whole)),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [code, out, err] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  equal(code, 0, err);
  return JSON.parse(out);
}

async function sends(cloud: Cloud): Promise<void> {
  const device = cloud.device("paho");
  const bodies = Array.from({ length: 1000 }, (_, index) => `m${index}`);
  const publishes = bodies.map((body) => [device.eventsTopic, body] as const);
  const seen = await run(cloud, device, { publishes, window: 1000 });
  deepEqual(seen, [
    ["connect", 0, false],
    ["disconnect", 0],
  ]);
  const payloads = cloud.log("telemetry", device).map(({ payload }) => payload);
  deepEqual(payloads, bodies);
}

async function listens(cloud: Cloud): Promise<void> {
  const device = cloud.device("listen");
  for (const body of ["one", "two"]) cloud.mail(device, body);
  const filters = [device.mailFilter, "$iothub/twin/res/#"];
  const publishes = [["$iothub/twin/GET/?$rid=7", ""]] as const;
  const seen = await run(cloud, device, { filters, publishes, messages: 3 });
  const of = (kind: string) => seen.filter(([name]) => name === kind);
  deepEqual(of("subscribe"), [["subscribe", [1, 1]]]);
  const bodies = of("message").map(([, , body]) => body);
  deepEqual(bodies.slice(0, 2), ["one", "two"]);
  ok(of("message").some(([, topic]) => topic === "$iothub/twin/res/200/?$rid=7"));
  await cloud.seen("c2d", device, ({ state, sequence }) => state === "completed" && sequence === 2);
}

async function isRefused(cloud: Cloud): Promise<void> {
  const device = cloud.device("refused");
  const seen = await run(cloud, device, { password: "wrong" });
  deepEqual(seen[0], ["connect", 5, false]);
}

/** Cases of Paho. */
export const PAHO: readonly Case<Cloud>[] = [
  ["sends 1,000 messages in a window of 1,000, in order", sends],
  ["gets mail and its twin", listens],
  ["wrong password: CONNACK 5", isRefused],
];
