// Entry: what CONNECT may look like and what comes of it (MQTT 3.1.1, 3.1 and 3.2).
// Neighbours: `framing` has the packets after it; `client` has refusals as a library hears them.
// Invariant: malformed is closed in silence, well-formed and unwelcome gets CONNACK.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import * as bytes from "./bytes.ts";
import { Cloud, type Identity } from "./cloud.ts";
import { entry, Raw, WELCOME } from "./raw.ts";
import type { Case } from "./report.ts";

const { CLEAN, PASSWORD, USERNAME, WILL, WILL_RETAIN } = bytes;
const BOTH = USERNAME | PASSWORD;

/** Sends a CONNECT and gives all that is said before the close, and the reason in the log. */
async function said(cloud: Cloud, stream: Uint8Array): Promise<[Buffer, string]> {
  const before = cloud.events.length;
  const raw = await Raw.open(cloud);
  raw.write(stream);
  const answer = await raw.rest();
  const reasons = cloud.events
    .slice(before)
    .flatMap((event) => (event.type === "close" ? [event.reason] : []));
  equal(reasons.length, 1);
  return [answer, reasons[0]!];
}

type Making = (cloud: Cloud, device: Identity) => Uint8Array;

/** A CONNECT with these flags, and as many fields as they ask for. */
function flagged(flags: number, fields: number): Making {
  return (cloud, device) => {
    const all = [device.id, device.eventsTopic, "will", device.username, cloud.token(device)];
    const chosen = fields === 5 ? all : [all[0]!, ...all.slice(5 - fields + 1)];
    return bytes.connect({ flags, fields: chosen });
  };
}

const changed = (more: object): Making => {
  return (cloud, device) => entry(cloud, device, more);
};

const named = (id: string | Uint8Array): Making => {
  return (cloud, device) => {
    return bytes.connect({ fields: [id, device.username, cloud.token(device)] });
  };
};

/** Malformed: closed without a word. */
const SILENT: readonly (readonly [string, Making, RegExp])[] = [
  ["protocol name mqtt", changed({ name: "mqtt" }), /protocol name/],
  ["protocol name MQTTX", changed({ name: "MQTTX" }), /protocol name/],
  ["an empty protocol name", changed({ name: "" }), /protocol name/],
  ["the reserved flag", changed({ flags: BOTH | 1 }), /reserved flag/],
  ["will QoS without a will", changed({ flags: BOTH | 8 }), /without a will/],
  ["will RETAIN without a will", changed({ flags: BOTH | WILL_RETAIN }), /without a will/],
  ["will QoS 3", flagged(BOTH | WILL | 0x18, 5), /QoS 3/],
  ["a password without a user name", flagged(PASSWORD, 2), /password without/],
  ["a will that is announced and absent", changed({ flags: BOTH | WILL }), /longer than|missing/],
  ["a user name that is absent", flagged(BOTH, 1), /user name is missing/],
  ["bytes behind the last field", changed({ tail: Buffer.of(0) }), /behind the last field/],
  ["flags in its first byte", changed({ first: 0x11 }), /reserved flags of CONNECT/],
  ["U+0000 in the client identifier", named("a\0b"), /U\+0000 in the client identifier/],
  ["ill-formed UTF-8 in it", named(Buffer.of(0xff, 0xfe)), /ill-formed UTF-8/],
  ["a length beyond its body", () => Buffer.of(0x10, 12, 0, 99, ...Buffer.alloc(10)), /cut short/],
];

async function isSilent(cloud: Cloud, making: Making, reason: RegExp): Promise<void> {
  const device = cloud.device("silent");
  const [answer, logged] = await said(cloud, making(cloud, device));
  deepEqual(answer, Buffer.alloc(0));
  match(logged, reason);
  equal(cloud.log("connect", device).length, 0);
}

/** Well-formed and unwelcome: CONNACK with a code, then the close. */
const REFUSED: readonly (readonly [string, Making, number, RegExp])[] = [
  ["level 3", changed({ level: 3 }), 1, /level 3/],
  ["level 5", changed({ level: 5 }), 1, /level 5/],
  ["level 0", changed({ level: 0 }), 1, /level 0/],
  ["level 255", changed({ level: 255 }), 1, /level 255/],
  ["level 132, a bridge", changed({ level: 132 }), 1, /level 132/],
  ["MQIsdp, level 3", changed({ name: "MQIsdp", level: 3 }), 1, /MQIsdp/],
  ["an empty client identifier", named(""), 2, /empty client identifier/],
  [
    "an empty client identifier, clean session",
    (cloud, device) => {
      const fields = ["", device.username, cloud.token(device)];
      return bytes.connect({ flags: BOTH | CLEAN, fields });
    },
    2,
    /empty client identifier/,
  ],
  ["another client identifier", named("somebody"), 5, /client identifier is not/],
  ["another case", (cloud, device) => named(device.id.toUpperCase())(cloud, device), 5, /client/],
  ["no user name", (_, device) => bytes.connect({ flags: 0, fields: [device.id] }), 5, /no user/],
  [
    "no password",
    (_, { id, username }) => bytes.connect({ flags: USERNAME, fields: [id, username] }),
    5,
    /no token/,
  ],
  ["a will with QoS 2", flagged(BOTH | WILL | 0x10, 5), 5, /will with QoS 2/],
  ["65,535 bytes of client identifier", named("x".repeat(65_535)), 5, /client identifier is not/],
];

async function isRefused(cloud: Cloud, making: Making, code: number, reason: RegExp) {
  const device = cloud.device("refused");
  const [answer, logged] = await said(cloud, making(cloud, device));
  deepEqual(answer, bytes.connack(code));
  match(logged, reason);
}

async function mindsOrder(cloud: Cloud): Promise<void> {
  for (const first of [bytes.PINGREQ, bytes.DISCONNECT, bytes.puback(1), Buffer.of(0)]) {
    const [answer, reason] = await said(cloud, first);
    deepEqual(answer, Buffer.alloc(0));
    match(reason, /first packet is/);
  }
  const [answer] = await said(cloud, Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  deepEqual(answer, Buffer.alloc(0));
  const device = cloud.device("twice");
  const raw = await Raw.enter(cloud, device);
  raw.write(entry(cloud, device));
  deepEqual(await raw.rest(), Buffer.alloc(0));
  match((await cloud.seen("close", device)).reason, /second CONNECT/);
}

async function takesKeepAlives(cloud: Cloud): Promise<void> {
  for (const keepAliveS of [0, 1177, 65_535]) {
    const device = cloud.device("keepalive");
    const raw = await Raw.enter(cloud, device, { keepAliveS });
    raw.write(bytes.PINGREQ);
    deepEqual(await raw.read(2), Buffer.from(bytes.PINGRESP));
    equal((await cloud.seen("connect", device)).keepAlive, keepAliveS);
    raw.destroy();
  }
}

async function endsSilence(cloud: Cloud): Promise<void> {
  const silent = cloud.device("silence");
  const lively = cloud.device("lively");
  const mute = await Raw.enter(cloud, silent, { keepAliveS: 1 });
  const raw = await Raw.enter(cloud, lively, { keepAliveS: 1 });
  // Any packet counts, also half of one that goes on for longer than the keep-alive.
  const slow = bytes.publish(lively.eventsTopic, "slow", { qos: 1, id: 1 });
  for (const byte of slow.subarray(0, 8)) {
    raw.write(Buffer.of(byte));
    await Bun.sleep(400);
  }
  raw.write(slow.subarray(8));
  deepEqual(await raw.read(4), bytes.puback(1));
  deepEqual(await mute.rest(), Buffer.alloc(0));
  match((await cloud.seen("close", silent)).reason, /nothing heard for 1\.5 s/);
  equal(cloud.log("close", lively).length, 0);
  raw.destroy();
}

async function endsSlowConnect(): Promise<void> {
  const cloud = new Cloud({ hub: { limits: { connectWaitS: 1 } } });
  const device = cloud.device("loris");
  const raw = await Raw.open(cloud);
  const idle = await Raw.open(cloud);
  const stream = entry(cloud, device);
  let sent = 0;
  while (raw.isOpen && sent < 100) {
    raw.write(stream.subarray(sent, ++sent));
    await Bun.sleep(50);
  }
  ok(sent < stream.length);
  for (const each of [raw, idle]) deepEqual(await each.rest(), Buffer.alloc(0));
  const reasons = cloud.log("close", { id: "" }).map(({ reason }) => reason);
  deepEqual(reasons, ["no CONNECT within 1 s", "no CONNECT within 1 s"]);
  equal(cloud.connections, 0);
  cloud.stop();
}

async function endsExpired(): Promise<void> {
  const cloud = new Cloud({ hub: { graceS: 1, skewS: 0 } });
  const device = cloud.device("expiry");
  const raw = await Raw.open(cloud);
  const fields = [device.id, device.username, cloud.token(device, 2)];
  raw.write(bytes.connect({ fields }));
  deepEqual(await raw.read(4), WELCOME);
  deepEqual(await raw.rest(), Buffer.alloc(0));
  const close = await cloud.seen("close", device);
  equal(close.code, 401003);
  cloud.stop();
}

/** Cases about CONNECT. */
export const ENTRY: readonly Case<Cloud>[] = [
  ...SILENT.map(([name, making, reason]): Case<Cloud> => {
    return [`CONNECT with ${name} closes in silence`, (cloud) => isSilent(cloud, making, reason)];
  }),
  ...REFUSED.map(([name, making, code, reason]): Case<Cloud> => {
    const work = (cloud: Cloud) => isRefused(cloud, making, code, reason);
    return [`CONNECT with ${name}: CONNACK ${code}`, work];
  }),
  ["nothing but CONNECT may come first, and only once", mindsOrder],
  ["keep-alive 0, the longest, and beyond it", takesKeepAlives],
  ["silence ends at 1.5 times the keep-alive; any byte counts", endsSilence],
  ["a CONNECT that never ends is ended", endsSlowConnect],
  ["a token's end and the grace after it close with 401003", endsExpired],
];
