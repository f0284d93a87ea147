// Framing: what a stream of bytes may look like, and what ends it (MQTT 3.1.1, chapters 2 to 4).
// Neighbours: `entry` has CONNECT, `load` has numbers; `raw` and `bytes` are the tools.
// Invariant: a close is silent on the wire and named in the hub's log; the hub goes on.

import { deepEqual, equal, match } from "node:assert/strict";
import * as bytes from "./bytes.ts";
import type { Cloud, Identity } from "./cloud.ts";
import { entry, Raw, WELCOME } from "./raw.ts";
import type { Case } from "./report.ts";

/** First bytes that a client may send on a connection that is up, with a body that is sound. */
function soundBody(first: number, { eventsTopic }: Identity): Uint8Array | undefined {
  switch (first) {
    case 0x30:
    case 0x31:
      return bytes.field(eventsTopic);
    case 0x32:
    case 0x33:
    case 0x3a:
    case 0x3b:
      return Buffer.concat([bytes.field(eventsTopic), bytes.u16(1)]);
    case bytes.PUBACK:
      return bytes.u16(1);
    case bytes.SUBSCRIBE:
      return Buffer.concat([bytes.u16(1), bytes.field("$iothub/twin/res/#"), Buffer.of(0)]);
    case bytes.UNSUBSCRIBE:
      return Buffer.concat([bytes.u16(1), bytes.field("$iothub/twin/res/#")]);
    case 0xc0:
      return Buffer.alloc(0);
    default:
      return undefined;
  }
}

async function firstByte(cloud: Cloud, first: number): Promise<string> {
  const device = cloud.device("first");
  const raw = await Raw.enter(cloud, device);
  const sound = soundBody(first, device);
  const shown = first.toString(16);
  raw.write(bytes.packet(first, sound ?? bytes.u16(1)));
  if (sound === undefined) {
    const said = await raw.rest();
    return said.length === 0 ? "" : `${shown}: ${said.toString("hex")} before the close`;
  }
  raw.write(bytes.PINGREQ);
  const isFine = await raw.packet().then(
    () => true,
    () => false,
  );
  raw.destroy();
  return isFine ? "" : `${shown}: closed`;
}

async function tellsFirstBytes(cloud: Cloud): Promise<void> {
  const problems: string[] = [];
  for (let base = 0; base < 256; base += 32) {
    const batch = Array.from({ length: 32 }, (_, index) => firstByte(cloud, base + index));
    problems.push(...(await Promise.all(batch)));
  }
  deepEqual(
    problems.filter((problem) => problem !== ""),
    [],
  );
}

async function takesBytes(cloud: Cloud): Promise<void> {
  const device = cloud.device("bytes");
  const raw = await Raw.open(cloud);
  const stream = Buffer.concat([
    entry(cloud, device),
    bytes.publish(device.eventsTopic, "one by one", { qos: 1, id: 7 }),
    bytes.PINGREQ,
  ]);
  for (const byte of stream) raw.write(Buffer.of(byte));
  deepEqual(await raw.read(4), WELCOME);
  deepEqual(await raw.read(4), bytes.puback(7));
  deepEqual(await raw.read(2), Buffer.from(bytes.PINGRESP));
  equal((await cloud.seen("telemetry", device)).payload, "one by one");
  raw.destroy();
}

async function takesPipeline(cloud: Cloud): Promise<void> {
  const device = cloud.device("pipeline");
  const raw = await Raw.open(cloud);
  raw.write(
    entry(cloud, device),
    bytes.publish(device.eventsTopic, "a", { qos: 1, id: 1 }),
    bytes.publish(device.eventsTopic, "b"),
    bytes.subscribe(2, ["$iothub/twin/res/#", 0], [device.mailFilter, 2]),
    bytes.PINGREQ,
    bytes.publish("$iothub/twin/GET/?$rid=9", ""),
    bytes.unsubscribe(3, "$iothub/twin/res/#", "never/subscribed"),
    bytes.publish(device.eventsTopic, "c", { qos: 1, id: 65535 }),
  );
  deepEqual(await raw.read(4), WELCOME);
  deepEqual(await raw.read(4), bytes.puback(1));
  deepEqual(await raw.read(6), Buffer.of(0x90, 4, 0, 2, 0, 1));
  deepEqual(await raw.read(2), Buffer.from(bytes.PINGRESP));
  const twin = '{"desired":{"$version":1},"reported":{"$version":1}}';
  const answer = bytes.publish("$iothub/twin/res/200/?$rid=9", twin);
  deepEqual(await raw.packet(), answer);
  deepEqual(await raw.read(4), Buffer.of(0xb0, 2, 0, 3));
  deepEqual(await raw.read(4), bytes.puback(65535));
  const bodies = cloud.log("telemetry", device).map(({ payload }) => payload);
  deepEqual(bodies, ["a", "b", "c"]);
  raw.destroy();
}

async function takesEverySplit(cloud: Cloud): Promise<void> {
  const device = cloud.device("split");
  const raw = await Raw.enter(cloud, device);
  const body = "x".repeat(200);
  const two = Buffer.concat([
    bytes.publish(device.eventsTopic, body, { qos: 1, id: 1 }),
    bytes.publish(device.eventsTopic, "", { qos: 1, id: 2 }),
  ]);
  const acks = Buffer.concat([bytes.puback(1), bytes.puback(2)]);
  for (let at = 1; at < two.length; at += 3) {
    raw.write(two.subarray(0, at));
    // Written apart: the rest leaves when the first part has gone to the kernel.
    await new Promise((resolve) => setImmediate(resolve));
    raw.write(two.subarray(at));
    deepEqual(await raw.read(8), acks);
  }
  raw.destroy();
}

async function minds(cloud: Cloud, stream: Uint8Array, reason: RegExp): Promise<void> {
  const device = cloud.device("minds");
  const raw = await Raw.enter(cloud, device);
  raw.write(stream);
  deepEqual(await raw.rest(), Buffer.alloc(0));
  const close = await cloud.seen("close", device);
  equal(close.by, "hub");
  match(close.reason, reason);
  equal(cloud.log("telemetry", device).length, 0);
}

/** Streams that end a connection, beyond what the first byte alone decides. */
const WRONG: readonly (readonly [string, Uint8Array, RegExp])[] = [
  ["a remaining length of five bytes", Buffer.of(0x30, 0x80, 0x80, 0x80, 0x80, 1), /than 4 bytes/],
  ["256 MB announced", Buffer.of(0x30, 0xff, 0xff, 0xff, 0x7f), /268435455 bytes/],
  ["one byte over 256 KB announced", Buffer.of(0x32, 0x81, 0x80, 0x10), /262145 bytes/],
  ["PINGREQ with a body", bytes.packet(0xc0, Buffer.of(0)), /PINGREQ of 1 bytes/],
  ["DISCONNECT with a body", bytes.packet(0xe0, Buffer.of(0)), /DISCONNECT of 1 bytes/],
  ["PUBACK of one byte", bytes.packet(0x40, Buffer.of(1)), /PUBACK of 1 bytes/],
  ["PUBACK for identifier 0", bytes.puback(0), /identifier 0/],
  ["PUBLISH for identifier 0", bytes.publish("devices/x", "", { qos: 1 }), /identifier 0/],
  ["PUBLISH without a topic", bytes.publish("", "body"), /empty topic/],
  ["PUBLISH with + in its topic", bytes.publish("devices/+/messages", ""), /wildcard/],
  ["PUBLISH with # in its topic", bytes.publish("devices/#", ""), /wildcard/],
  ["PUBLISH with U+0000 in its topic", bytes.publish("a\0b", ""), /U\+0000/],
  ["PUBLISH with a surrogate", bytes.publish(Buffer.of(0xed, 0xa0, 0x80), ""), /ill-formed UTF-8/],
  ["PUBLISH with an overlong slash", bytes.publish(Buffer.of(0xc0, 0xaf), ""), /ill-formed UTF-8/],
  ["PUBLISH with a cut character", bytes.publish(Buffer.of(0x61, 0xe2, 0x82), ""), /ill-formed/],
  ["a topic longer than its packet", Buffer.of(0x30, 3, 0, 9, 97), /topic longer/],
  ["QoS 1 without an identifier", bytes.packet(0x32, bytes.field("abc")), /without an identifier/],
  ["SUBSCRIBE without a filter", bytes.packet(0x82, bytes.u16(1)), /without a topic filter/],
  ["SUBSCRIBE for identifier 0", bytes.subscribe(0, ["$iothub/twin/res/#", 0]), /identifier 0/],
  ["SUBSCRIBE with QoS 3", bytes.subscribe(1, ["$iothub/twin/res/#", 3]), /requested QoS/],
  ["SUBSCRIBE with an empty filter", bytes.subscribe(1, ["", 0]), /without a topic filter/],
  ["SUBSCRIBE cut short", bytes.packet(0x82, bytes.u16(1), bytes.field("abc")), /without a QoS/],
  ["SUBSCRIBE with # inside", bytes.subscribe(1, ["$iothub/#/res", 0]), /off the list/],
  ["SUBSCRIBE with + beside text", bytes.subscribe(1, ["$iothub/twin+/res", 0]), /off the list/],
  ["SUBSCRIBE to everything", bytes.subscribe(1, ["#", 0]), /off the list/],
  ["SUBSCRIBE to one level of all", bytes.subscribe(1, ["+", 0]), /off the list/],
  ["SUBSCRIBE above the hub's filter", bytes.subscribe(1, ["$iothub/twin/#", 0]), /off the list/],
  ["UNSUBSCRIBE without a filter", bytes.packet(0xa2, bytes.u16(1)), /without a topic filter/],
  ["UNSUBSCRIBE for identifier 0", bytes.unsubscribe(0, "a"), /identifier 0/],
  ["UNSUBSCRIBE with an empty filter", bytes.unsubscribe(1, ""), /without a topic filter/],
];

async function ignoresAcks(cloud: Cloud): Promise<void> {
  const device = cloud.device("acks");
  const raw = await Raw.enter(cloud, device);
  raw.write(bytes.puback(1), bytes.puback(65535), bytes.PINGREQ);
  deepEqual(await raw.read(2), Buffer.from(bytes.PINGRESP));
  raw.destroy();
}

async function ignoresAfterDisconnect(cloud: Cloud): Promise<void> {
  const device = cloud.device("after");
  const raw = await Raw.enter(cloud, device);
  raw.write(bytes.DISCONNECT, bytes.publish(device.eventsTopic, "late", { qos: 1, id: 1 }));
  deepEqual(await raw.rest(), Buffer.alloc(0));
  equal((await cloud.seen("close", device)).reason, "DISCONNECT");
  equal(cloud.log("telemetry", device).length, 0);
}

async function takesLongLengths(cloud: Cloud): Promise<void> {
  const device = cloud.device("long");
  const raw = await Raw.enter(cloud, device);
  // The standard does not demand the shortest form of a remaining length.
  raw.write(Buffer.of(0xc0, 0x80, 0x00), Buffer.of(0x40, 0x82, 0x00, 0x00, 0x01));
  deepEqual(await raw.read(2), Buffer.from(bytes.PINGRESP));
  raw.write(bytes.PINGREQ);
  deepEqual(await raw.read(2), Buffer.from(bytes.PINGRESP));
  raw.destroy();
}

async function deliversInOrder(cloud: Cloud): Promise<void> {
  const device = cloud.device("order");
  const raw = await Raw.enter(cloud, device);
  raw.write(bytes.subscribe(1, [device.mailFilter, 1]));
  await raw.read(5);
  for (const text of ["one", "two", "three"]) cloud.mail(device, text);
  const all = [await raw.packet(), await raw.packet(), await raw.packet()];
  deepEqual(all.map(shape), ["32 1 one", "32 2 two", "32 3 three"]);
  raw.destroy();
  await cloud.seen("close", device);
  const again = await Raw.open(cloud);
  again.write(entry(cloud, device));
  deepEqual(await again.read(4), bytes.connack(0, true));
  const copies = [await again.packet(), await again.packet(), await again.packet()];
  // MQTT-4.4.0-1: same identifiers, MQTT-3.3.1-1: DUP set, MQTT-4.6.0-1: same order.
  deepEqual(copies.map(shape), ["3a 1 one", "3a 2 two", "3a 3 three"]);
  again.write(bytes.puback(2));
  deepEqual(await again.rest(), Buffer.alloc(0));
  const closes = cloud.log("close", device);
  match(closes[closes.length - 1]!.reason, /PUBACK 2 out of order, 1 was due/);
}

/** First byte, identifier and body of a QoS 1 PUBLISH. */
function shape(packet: Buffer): string {
  let at = 1;
  while (packet[at]! > 127) at++;
  const topicEnd = at + 3 + packet.readUInt16BE(at + 1);
  const id = packet.readUInt16BE(topicEnd);
  return `${packet[0]!.toString(16)} ${id} ${packet.subarray(topicEnd + 2).toString()}`;
}

/** Cases about streams of bytes. */
export const FRAMING: readonly Case<Cloud>[] = [
  ["each of the 256 first bytes is taken or closes", tellsFirstBytes],
  ["a stream that comes byte by byte", takesBytes],
  ["eight packets in one write, before CONNACK", takesPipeline],
  ["two packets split at every third place", takesEverySplit],
  ...WRONG.map(([name, stream, reason]): Case<Cloud> => {
    return [`${name} closes`, (cloud) => minds(cloud, stream, reason)];
  }),
  ["PUBACK for what was never sent is ignored", ignoresAcks],
  ["what comes behind DISCONNECT is ignored", ignoresAfterDisconnect],
  ["lengths written longer than need be", takesLongLengths],
  ["redelivery: same identifiers, DUP, order; PUBACK out of order closes", deliversInOrder],
];
