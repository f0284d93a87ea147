// Measures what a packet costs: ns and bytes of heap for each, beside mqtt-packet on demand:
//   BUN_JSC_useGC=0 bun test/codec/cost.ts [--peer] [--json]
// Neighbours: cost.test.ts holds the bytes to zero; times are shown, never asserted.
// Invariant: without the collector heapUsed only grows, by what was allocated (to 16 KiB).

import * as mqtt from "mqtt-packet";
import { Masker } from "../../src/codec/masker.ts";
import { Reader, ReadResult } from "../../src/codec/reader.ts";
import { Topic, TopicKind } from "../../src/codec/topic.ts";
import { FrameReader, FrameResult } from "../../src/codec/websocket.ts";
import { Writer } from "../../src/codec/writer.ts";

const PACKETS = 1_000_000;
const PEER_PACKETS = 50_000;
const ROUNDS = 3;
const BUFFER_BYTES = 64 * 1024;
const SHARED_BYTES = 256 * 1024;
const CHUNK_PACKETS = 50;

/** One line of the table. */
export interface Cost {
  readonly name: string;
  readonly ns: number;
  readonly heapBytes: number;
}

type Work = (packets: number) => void;

const encoder = new TextEncoder();
const topic = encoder.encode(`devices/d1/messages/devicebound/${"%24.mid=1&".repeat(5)}x`);
const payload = new Uint8Array(200).fill(0x7b);
const scratch = new Uint8Array(1024).fill(0x7b);
const CONNACK = Uint8Array.of(0x20, 2, 0, 0);

function measure(name: string, packets: number, work: Work): Cost {
  work(packets / 5);
  let ns = Number.POSITIVE_INFINITY;
  const before = process.memoryUsage().heapUsed;
  for (let round = 0; round < ROUNDS; round += 1) {
    const started = Bun.nanoseconds();
    work(packets);
    ns = Math.min(ns, (Bun.nanoseconds() - started) / packets);
  }
  const heapBytes = (process.memoryUsage().heapUsed - before) / (ROUNDS * packets);
  return { name, ns, heapBytes };
}

/** `write` until the buffer is full, then as if the socket had taken all of it. */
function writing(write: (writer: Writer, index: number) => boolean): Work {
  const writer = new Writer(BUFFER_BYTES);
  return (packets) => {
    for (let index = 0; index < packets; index += 1) {
      if (write(writer, index)) continue;
      writer.consume(writer.end - writer.start);
      if (!write(writer, index)) throw new Error("a packet larger than the buffer");
    }
  };
}

/** As the outbox does it: topic and payload lie anywhere in the memory shared with the writer. */
function publishingShared(): Work {
  const writer = new Writer(BUFFER_BYTES, SHARED_BYTES);
  const { shared } = writer;
  const size = topic.length + payload.length;
  for (let at = 0; at + size <= shared.length; at += size) {
    shared.set(topic, at);
    shared.set(payload, at + topic.length);
  }
  return (packets) => {
    for (let index = 0; index < packets; index += 1) {
      const from = (index & 0xff) * size;
      const middle = from + topic.length;
      const to = from + size;
      const identifier = (index & 0xff) + 1;
      if (writer.publish(shared, from, middle, shared, middle, to, 1, false, false, identifier)) {
        continue;
      }
      writer.consume(writer.end - writer.start);
    }
  };
}

function publish(writer: Writer, index: number, body: Uint8Array): boolean {
  const identifier = (index & 0xff) + 1;
  return writer.publish(topic, 0, topic.length, body, 0, 200, 1, false, false, identifier);
}

/** Reads chunks of `perChunk` equal packets; one byte less first when `torn`. */
function reading(packet: Uint8Array, perChunk: number, torn: boolean): Work {
  const reader = new Reader(BUFFER_BYTES);
  const names = new Topic("d1");
  const stream = new Uint8Array(packet.length * perChunk);
  for (let at = 0; at < stream.length; at += packet.length) stream.set(packet, at);
  const head = stream.slice(0, torn ? -1 : undefined);
  const tail = stream.slice(head.length);
  reader.feed(CONNACK, 0);
  reader.next();
  let read = 0;
  const drain = (chunk: Uint8Array) => {
    reader.feed(chunk, 0);
    while (reader.next() === ReadResult.PACKET) {
      read += 1;
      if (packet !== PUBLISH) continue;
      const kind = names.read(reader.bytes, reader.topicStart, reader.topicEnd);
      if (kind !== TopicKind.DEVICEBOUND) throw new Error("topic not recognised");
    }
  };
  return (packets) => {
    read = 0;
    while (read < packets) {
      drain(head);
      if (tail.length > 0) drain(tail);
    }
  };
}

/** Frames of 290 bytes into a buffer that a socket then takes whole. */
function masking(): Work {
  let word = 1;
  const masker = new Masker(BUFFER_BYTES, () => {
    word = (Math.imul(word, 0x0019660d) + 0x3c6ef35f) >>> 0;
    return word;
  });
  return (packets) => {
    for (let index = 0; index < packets; index += 1) {
      if (masker.data(scratch, 7, 297) < 290) masker.consume(masker.end - masker.start);
    }
  };
}

/** Frames with a PUBACK each, and a ping among fifty, in chunks of fifty; torn or not. */
function framing(torn: boolean): Work {
  const reader = new FrameReader(BUFFER_BYTES);
  const frames = Array.from({ length: CHUNK_PACKETS - 1 }, () => [0x82, 4, ...PUBACK]);
  const stream = Uint8Array.from([...frames.flat(), 0x89, 2, 1, 2]);
  const head = stream.slice(0, torn ? -3 : undefined);
  const tail = stream.slice(head.length);
  const drain = (chunk: Uint8Array) => {
    reader.feed(chunk, 0);
    for (;;) {
      const result = reader.next();
      if (result === FrameResult.MORE) return;
      if (result !== FrameResult.DATA && result !== FrameResult.PING) throw new Error("refused");
    }
  };
  return (packets) => {
    for (let read = 0; read < packets; read += CHUNK_PACKETS) {
      drain(head);
      if (tail.length > 0) drain(tail);
    }
  };
}

const PUBLISH = ((writer) => {
  publish(writer, 6, payload);
  return writer.bytes.slice(0, writer.end);
})(new Writer(BUFFER_BYTES));
const PUBACK = Uint8Array.of(0x40, 2, 0, 7);
const PINGRESP = Uint8Array.of(0xd0, 0);

/** What our own codec costs. */
export function ours(): Cost[] {
  return [
    measure(
      `PUBLISH write, ${PUBLISH.length} B`,
      PACKETS,
      writing((w, i) => publish(w, i, payload)),
    ),
    measure("PUBLISH write, shared memory", PACKETS, publishingShared()),
    measure(
      "PUBLISH write, front of 1 KiB",
      PACKETS,
      writing((w, i) => publish(w, i, scratch)),
    ),
    measure(
      "PUBACK write",
      PACKETS,
      writing((w, i) => w.puback((i & 0xff) + 1)),
    ),
    measure(
      "PINGREQ write",
      PACKETS,
      writing((w) => w.pingreq()),
    ),
    measure("PUBLISH read, one a chunk", PACKETS, reading(PUBLISH, 1, false)),
    measure("PUBLISH read, 50 a chunk", PACKETS, reading(PUBLISH, CHUNK_PACKETS, false)),
    measure("PUBLISH read, torn", PACKETS, reading(PUBLISH, CHUNK_PACKETS, true)),
    measure("PUBACK read, 50 a chunk", PACKETS, reading(PUBACK, CHUNK_PACKETS, false)),
    measure("PINGRESP read, 50 a chunk", PACKETS, reading(PINGRESP, CHUNK_PACKETS, false)),
    measure("frame write, 290 B", PACKETS, masking()),
    measure("frame read, 50 a chunk", PACKETS, framing(false)),
    measure("frame read, torn", PACKETS, framing(true)),
  ];
}

function peerReading(packet: Uint8Array): Work {
  const parser = mqtt.parser({ protocolVersion: 4 });
  const stream = Buffer.concat(Array.from({ length: CHUNK_PACKETS }, () => packet));
  let read = 0;
  parser.on("packet", () => {
    read += 1;
  });
  return (packets) => {
    for (read = 0; read < packets; ) parser.parse(stream);
  };
}

function peerWriting(packet: mqtt.Packet): Work {
  let bytes = 0;
  return (packets) => {
    for (let index = 0; index < packets; index += 1) bytes += mqtt.generate(packet).length;
    if (bytes === 0) throw new Error("nothing written");
  };
}

/** What mqtt-packet costs for the same packets. */
export function peers(): Cost[] {
  const message: mqtt.Packet = {
    cmd: "publish",
    topic: new TextDecoder().decode(topic),
    payload: Buffer.from(payload),
    qos: 1,
    dup: false,
    retain: false,
    messageId: 7,
  };
  return [
    measure("mqtt-packet PUBLISH write", PEER_PACKETS, peerWriting(message)),
    measure("mqtt-packet PUBACK write", PEER_PACKETS, peerWriting({ cmd: "puback", messageId: 7 })),
    measure("mqtt-packet PINGREQ write", PEER_PACKETS, peerWriting({ cmd: "pingreq" })),
    measure("mqtt-packet PUBLISH read", PEER_PACKETS, peerReading(PUBLISH)),
    measure("mqtt-packet PUBACK read", PEER_PACKETS, peerReading(PUBACK)),
    measure("mqtt-packet PINGRESP read", PEER_PACKETS, peerReading(PINGRESP)),
  ];
}

if (import.meta.main) {
  const costs = process.argv.includes("--peer") ? [...ours(), ...peers()] : ours();
  if (process.argv.includes("--json")) console.log(JSON.stringify(costs));
  else {
    for (const { name, ns, heapBytes } of costs) {
      console.log(
        `${name.padEnd(32)}${ns.toFixed(1).padStart(9)} ns${heapBytes.toFixed(2).padStart(10)} B`,
      );
    }
  }
}
