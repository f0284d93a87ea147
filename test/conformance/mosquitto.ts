// Mosquitto: mosquitto_pub and mosquitto_sub at local Azure, as people try things from a shell.
// Neighbours: `client.ts` has the same topics with MQTT.js.
// Invariant: a program that does not end by itself is ended by its process id.

import { equal, match, notEqual } from "node:assert/strict";
import type { Cloud, Identity } from "./cloud.ts";
import type { Case } from "./report.ts";

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Words that every call needs. */
function access(cloud: Cloud, device: Identity, token = cloud.token(device)): string[] {
  const { mqttPort, caFile } = cloud.ready;
  return ["-h", "localhost", "-p", `${mqttPort}`, "--cafile", caFile, "-V", "mqttv311"].concat([
    "-i",
    device.id,
    "-u",
    device.username,
    "-P",
    token,
  ]);
}

function start(program: string, words: readonly string[]) {
  return Bun.spawn([program, ...words], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
}

async function run(program: string, words: readonly string[]): Promise<Said> {
  const child = start(program, words);
  const [code, out, err] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code, out, err };
}

async function publishes(cloud: Cloud): Promise<void> {
  for (const qos of ["0", "1"]) {
    const device = cloud.device("mosquitto");
    const topic = `${device.eventsTopic}$.ct=application%2Fjson&site=a%20b`;
    const words = ["-t", topic, "-m", `{"qos":${qos}}`, "-q", qos];
    const said = await run("mosquitto_pub", [...access(cloud, device), ...words]);
    equal(said.code, 0, said.err);
    const event = await cloud.seen("telemetry", device);
    equal(event.payload, `{"qos":${qos}}`);
    equal(event.properties.app.site, "a b");
    equal(event.properties.system.contentType, "application/json");
    equal((await cloud.seen("close", device)).reason, "DISCONNECT");
  }
}

async function publishesLines(cloud: Cloud): Promise<void> {
  const device = cloud.device("lines");
  const words = [...access(cloud, device), "-t", device.eventsTopic, "-q", "1", "-l"];
  const child = Bun.spawn(["mosquitto_pub", ...words], { stdin: "pipe", stderr: "pipe" });
  const lines = Array.from({ length: 500 }, (_, index) => `line ${index}`);
  child.stdin.write(`${lines.join("\n")}\n`);
  await child.stdin.end();
  equal(await child.exited, 0);
  const payloads = cloud.log("telemetry", device).map(({ payload }) => payload);
  equal(payloads.join("\n"), lines.join("\n"));
}

async function subscribes(cloud: Cloud): Promise<void> {
  const device = cloud.device("reader");
  cloud.mail(device, "for mosquitto", { k: "v" });
  const words = ["-t", device.mailFilter, "-q", "1", "-c", "-C", "2", "-F", "%q %t %p"];
  const reading = run("mosquitto_sub", [...access(cloud, device), ...words]);
  await cloud.seen("subscribe", device);
  cloud.mail(device, "second");
  const said = await reading;
  equal(said.code, 0, said.err);
  const [first, second] = said.out.split("\n");
  match(first!, /^1 devices\/reader-\d+\/messages\/devicebound\/%24\.mid=.*&k=v for mosquitto$/);
  match(second!, / second$/);
  await cloud.seen("c2d", device, ({ state, sequence }) => state === "completed" && sequence === 2);
}

async function hearsDesired(cloud: Cloud): Promise<void> {
  const device = cloud.device("twin");
  const words = ["-t", "$iothub/twin/PATCH/properties/desired/#", "-C", "1", "-v"];
  const reading = run("mosquitto_sub", [...access(cloud, device), ...words]);
  await cloud.seen("subscribe", device);
  cloud.desire(device, { LED1: true });
  const { code, out, err } = await reading;
  equal(code, 0, err);
  const topic = "$iothub/twin/PATCH/properties/desired/?$version=2";
  equal(out, `${topic} {"LED1":true,"$version":2}\n`);
}

async function retains(cloud: Cloud): Promise<void> {
  const device = cloud.device("retain");
  const words = ["-t", device.eventsTopic, "-m", "kept?", "-q", "1", "-r"];
  equal((await run("mosquitto_pub", [...access(cloud, device), ...words])).code, 0);
  const event = await cloud.seen("telemetry", device);
  equal(event.properties.app["mqtt-retain"], "true");
}

async function leavesWill(cloud: Cloud): Promise<void> {
  const device = cloud.device("will");
  const will = ["--will-topic", device.eventsTopic, "--will-payload", "gone", "--will-qos", "1"];
  const child = start("mosquitto_sub", [
    ...access(cloud, device),
    "-t",
    device.mailFilter,
    ...will,
  ]);
  await cloud.seen("subscribe", device);
  child.kill("SIGKILL");
  await child.exited;
  const event = await cloud.seen("telemetry", device);
  equal(event.payload, "gone");
  equal(event.properties.app["iothub-MessageType"], "Will");
}

async function isRefused(cloud: Cloud): Promise<void> {
  const device = cloud.device("refused");
  const token = cloud.token({ ...device, key: Buffer.alloc(32, 5).toString("base64") });
  const words = [...access(cloud, device, token), "-t", device.eventsTopic, "-m", "x"];
  const said = await run("mosquitto_pub", words);
  notEqual(said.code, 0);
  match(`${said.out}${said.err}`, /not authori[sz]ed/i);
  equal((await cloud.seen("refuse", device)).returnCode, 5);
}

async function isClosed(cloud: Cloud): Promise<void> {
  const wrong: readonly (readonly [string, string, RegExp])[] = [
    ["my/topic", "1", /off the hub's list/],
    ["", "2", /QoS 2/],
  ];
  for (const [topic, qos, reason] of wrong) {
    const device = cloud.device("closed");
    const words = ["-t", topic || device.eventsTopic, "-m", "x", "-q", qos];
    const child = start("mosquitto_pub", [...access(cloud, device), ...words]);
    const close = await cloud.seen("close", device);
    equal(close.by, "hub");
    match(close.reason, reason);
    // It would connect and try again for ever.
    child.kill();
    await child.exited;
    equal(cloud.log("telemetry", device).length, 0);
  }
}

async function distrusts(cloud: Cloud): Promise<void> {
  const device = cloud.device("distrust");
  const words = access(cloud, device);
  words[words.indexOf("--cafile") + 1] = "/etc/ssl/certs/ca-certificates.crt";
  const said = await run("mosquitto_pub", [...words, "-t", device.eventsTopic, "-m", "x"]);
  notEqual(said.code, 0);
  equal(cloud.log("connect", device).length, 0);
}

/** Cases of the mosquitto programs. */
export const MOSQUITTO: readonly Case<Cloud>[] = [
  ["mosquitto_pub: telemetry with QoS 0 and 1, properties, clean end", publishes],
  ["mosquitto_pub -l: 500 messages in order", publishesLines],
  ["mosquitto_sub: cloud-to-device messages with QoS 1", subscribes],
  ["mosquitto_sub: desired changes", hearsDesired],
  ["RETAIN becomes mqtt-retain", retains],
  ["will after kill -9", leavesWill],
  ["wrong key: not authorised", isRefused],
  ["a topic off the list and QoS 2 close", isClosed],
  ["does not trust a stranger's certificate", distrusts],
];
