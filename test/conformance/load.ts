// Load: many of everything: connections, takeovers, messages in one write, unread answers.
// Neighbours: `framing` and `entry` have one of each; `raw` and `bytes` are the tools.
// Invariant: numbers are exact and order is kept; nothing is judged by how long it took.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { once } from "node:events";
import { connect as dialPlain, type Socket } from "node:net";
import { connect as dial } from "node:tls";
import { until } from "../site.ts";
import * as bytes from "./bytes.ts";
import type { Cloud } from "./cloud.ts";
import { entry, Raw, WELCOME } from "./raw.ts";
import type { Case } from "./report.ts";

async function storms(cloud: Cloud): Promise<void> {
  const device = cloud.device("storm");
  const all = await Promise.all(Array.from({ length: 50 }, () => Raw.open(cloud)));
  for (const raw of all) raw.write(entry(cloud, device));
  await until("50 connects", () => cloud.log("connect", device).length === 50);
  await until("49 closes", () => cloud.log("close", device).length === 49);
  const codes = new Set(cloud.log("close", device).map(({ code }) => code));
  deepEqual([...codes], [400027]);
  await until("49 sockets gone", () => all.filter((raw) => raw.isOpen).length === 1);
  const last = all.find((raw) => raw.isOpen)!;
  const answer = await last.read(4);
  deepEqual(answer.subarray(0, 2), WELCOME.subarray(0, 2));
  equal(answer[3], 0);
  last.write(bytes.PINGREQ);
  deepEqual(await last.read(2), Buffer.from(bytes.PINGRESP));
  last.destroy();
  await until("none left", () => cloud.connections === 0);
}

async function connectsOften(cloud: Cloud): Promise<void> {
  const lanes = Array.from({ length: 10 }, async () => {
    const device = cloud.device("often");
    for (let round = 0; round < 100; round++) {
      const raw = await Raw.open(cloud);
      raw.write(entry(cloud, device), bytes.PINGREQ, bytes.DISCONNECT);
      const said = await raw.rest();
      deepEqual(said, Buffer.concat([bytes.connack(0, round > 0), bytes.PINGRESP]));
    }
    equal(cloud.log("connect", device).length, 100);
    ok(cloud.log("close", device).every(({ reason }) => reason === "DISCONNECT"));
  });
  await Promise.all(lanes);
  await until("none left", () => cloud.connections === 0);
}

async function holdsMany(cloud: Cloud): Promise<void> {
  const devices = Array.from({ length: 250 }, () => cloud.device("many"));
  const all = await Promise.all(devices.map((device) => Raw.enter(cloud, device)));
  equal(cloud.connections, 250);
  for (const [index, raw] of all.entries()) {
    const { eventsTopic } = devices[index]!;
    raw.write(bytes.publish(eventsTopic, `${index}`, { qos: 1, id: index + 1 }));
  }
  const acks = await Promise.all(all.map((raw) => raw.read(4)));
  deepEqual(
    acks,
    devices.map((_, index) => bytes.puback(index + 1)),
  );
  for (const raw of all) raw.destroy();
  await until("none left", () => cloud.connections === 0);
}

async function takesTenThousand(cloud: Cloud): Promise<void> {
  const device = cloud.device("flood");
  const raw = await Raw.enter(cloud, device);
  const ids = Array.from({ length: 10_000 }, (_, index) => index + 1);
  const topic = `${device.eventsTopic}n=1`;
  raw.write(...ids.map((id) => bytes.publish(topic, `body ${id}`, { qos: 1, id })));
  deepEqual(await raw.read(40_000), Buffer.concat(ids.map(bytes.puback)));
  const payloads = cloud.log("telemetry", device).map(({ payload }) => payload);
  deepEqual(
    payloads,
    ids.map((id) => `body ${id}`),
  );
  raw.destroy();
}

async function takesLargest(cloud: Cloud): Promise<void> {
  const device = cloud.device("large");
  const raw = await Raw.enter(cloud, device);
  const body = Buffer.alloc(262_144 - 4 - device.eventsTopic.length, 0xff);
  const ids = Array.from({ length: 100 }, (_, index) => index + 1);
  raw.write(...ids.map((id) => bytes.publish(device.eventsTopic, body, { qos: 1, id })));
  deepEqual(await raw.read(400), Buffer.concat(ids.map(bytes.puback)));
  const sizes = new Set(cloud.log("telemetry", device).map((event) => event.bytes));
  deepEqual([...sizes], [body.length]);
  raw.destroy();
}

async function endsWhoDoesNotRead(cloud: Cloud): Promise<void> {
  const device = cloud.device("deaf");
  const texts = Array.from({ length: 7 }, (_, index) => [`k${index}`, "x".repeat(4000)]);
  cloud.desire(device, Object.fromEntries(texts));
  const raw = await Raw.enter(cloud, device);
  raw.write(bytes.subscribe(1, ["$iothub/twin/res/#", 0]));
  await raw.read(5);
  raw.socket.pause();
  const gets = Array.from({ length: 2000 }, (_, index) => {
    return bytes.publish(`$iothub/twin/GET/?$rid=${index}`, "");
  });
  raw.write(...gets);
  const close = await cloud.seen("close", device);
  equal(close.by, "hub");
  match(close.reason, /does not read/);
  raw.destroy();
}

async function hearsRefusal(cloud: Cloud): Promise<void> {
  const device = cloud.device("behind");
  const raw = await Raw.open(cloud);
  const wrong = { fields: [device.id, device.username, "wrong"] };
  const body = Buffer.alloc(250_000, 97);
  const message = bytes.publish(device.eventsTopic, body, { qos: 1, id: 1 });
  raw.write(entry(cloud, device, wrong), ...Array.from({ length: 40 }, () => message));
  deepEqual(await raw.rest(), bytes.connack(5));
  equal(cloud.log("telemetry", device).length, 0);
}

async function hearsLastWords(cloud: Cloud): Promise<void> {
  const device = cloud.device("last");
  const raw = await Raw.enter(cloud, device);
  const ids = Array.from({ length: 500 }, (_, index) => index + 1);
  raw.socket.end(
    Buffer.concat(ids.map((id) => bytes.publish(device.eventsTopic, `${id}`, { qos: 1, id }))),
  );
  const close = await cloud.seen("close", device);
  equal(close.by, "device");
  equal(cloud.log("telemetry", device).length, 500);
  raw.destroy();
}

/** Waits for the end of a socket, whichever way it comes. */
function ended(socket: Socket): Promise<void> {
  socket.on("error", () => {});
  socket.resume();
  return new Promise((resolve) => socket.on("close", () => resolve()));
}

async function endsStrangers(cloud: Cloud): Promise<void> {
  const { mqttPort } = cloud.ready;
  const texts = ["GET / HTTP/1.1\r\n\r\n", entry(cloud, cloud.device("plain"))];
  for (const text of texts) {
    const socket = dialPlain({ host: "127.0.0.1", port: mqttPort });
    socket.end(text);
    await ended(socket);
  }
  const reasons = cloud.log("close", { id: "" }).map(({ reason }) => reason);
  equal(reasons.filter((reason) => reason.includes("this is not TLS")).length, texts.length);
}

async function speaksTls(cloud: Cloud): Promise<void> {
  const options = { host: "127.0.0.1", port: cloud.ready.mqttPort, ca: cloud.ca };
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    const range = { minVersion: version, maxVersion: version };
    const socket = dial({ ...options, ...range, servername: "localhost" });
    await once(socket, "secureConnect");
    equal(socket.getProtocol(), version);
    socket.destroy();
  }
  const old = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1" } as const;
  const socket = dial({ ...options, ...old, servername: "localhost" });
  const [error] = await once(socket, "error");
  ok(error instanceof Error);
}

async function endsHandshake(cloud: Cloud): Promise<void> {
  const socket = dialPlain({ host: "127.0.0.1", port: cloud.ready.mqttPort });
  socket.write(Buffer.of(0x16, 3, 1));
  await ended(socket);
  equal(cloud.connections, 0);
}

/** Cases about numbers. */
export const LOAD: readonly Case<Cloud>[] = [
  ["50 connections of one device at once: the last one stays", storms],
  ["1,000 connects, ten at a time", connectsOften],
  ["250 devices at once", holdsMany],
  ["10,000 QoS 1 messages in one write", takesTenThousand],
  ["100 messages of 256 KB in one write", takesLargest],
  ["a device that asks and does not read is ended", endsWhoDoesNotRead],
  ["a refusal is heard by a device with 10 MB on their way", hearsRefusal],
  ["500 messages and the end in one go are all taken", hearsLastWords],
  ["plain HTTP and plain MQTT are ended and named", endsStrangers],
  ["TLS 1.2 and 1.3, not 1.1", speaksTls],
  ["a TLS handshake that never comes is ended", endsHandshake],
];
