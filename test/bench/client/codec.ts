// One codec at one packet, over and over: `codec.ts CASE CODEC ns|heap`.
// Neighbours: `codec.ts` of the benchmarks starts it, one process for each combination.
// Invariant: for `heap` the process runs with BUN_JSC_useGC=0, then `heapUsed` only grows and is
// exact to a block of 16 KiB; what is measured is consumed, so that nothing can be left out.

import { generate, type Packet, type Parser, parser, writeToStream } from "mqtt-packet";
import { Reader, ReadResult } from "../../../src/codec/reader.ts";
import { Writer } from "../../../src/codec/writer.ts";
import { Window } from "../../../src/core/window.ts";
import {
  PACKET_BYTES_MAX,
  TRANSMIT_BYTES,
  WINDOW_BYTES,
  WINDOW_MESSAGES,
} from "../../../src/limits.ts";
import { PAYLOAD, TOPIC } from "./message.ts";

const CONTENT = Buffer.from(PAYLOAD);
const IDENTIFIERS = 0xfff;

const PUBLISH: Packet = {
  cmd: "publish",
  topic: TOPIC,
  payload: CONTENT,
  qos: 1,
  messageId: 7,
  dup: false,
  retain: false,
};
const PUBACK: Packet = { cmd: "puback", messageId: 7 };
const PINGREQ: Packet = { cmd: "pingreq" };

/** Does one packet `count` times. */
type Loop = (count: number) => void;

/** Where results go, so that no compiler finds them useless. */
let consumed = 0;

function ourWrite(
  write: (writer: Writer, identifier: number) => boolean,
  writer = new Writer(TRANSMIT_BYTES),
): Loop {
  return (count) => {
    for (let index = 0; index < count; index++) {
      if (!write(writer, (index & IDENTIFIERS) + 1)) writer.reset();
    }
    consumed += writer.end;
  };
}

/** A PUBLISH as `session` writes it, out of the window that the message was put into. */
function ourPublish(): Loop {
  const shared = new Writer(TRANSMIT_BYTES, WINDOW_BYTES);
  const window = new Window(shared.shared, WINDOW_MESSAGES);
  const message = { priority: 7, acceptedS: 0, expiresS: 0, bag: "", body: CONTENT };
  for (let sequence = 1; sequence <= 8; sequence++) {
    window.stage(Buffer.from(TOPIC), { ...message, sequence });
  }
  for (let index = 1; index < 8; index++) window.sent(index, 0);
  const { bytes, topicStart, topicEnd, payloadEnd } = window;
  return ourWrite(
    (writer, identifier) =>
      writer.publish(
        bytes,
        topicStart,
        topicEnd,
        bytes,
        topicEnd,
        payloadEnd,
        1,
        false,
        false,
        identifier,
      ),
    shared,
  );
}

function ourRead(packet: Packet): Loop {
  const reader = new Reader(PACKET_BYTES_MAX);
  const chunk = Uint8Array.from(generate(packet));
  reader.feed(Uint8Array.of(0x20, 2, 0, 0), 0);
  reader.next();
  return (count) => {
    for (let index = 0; index < count; index++) {
      reader.feed(chunk, 0);
      while (reader.next() === ReadResult.PACKET) consumed += reader.identifier;
    }
  };
}

function peerGenerate(packet: Packet): Loop {
  return (count) => {
    for (let index = 0; index < count; index++) consumed += generate(packet).length;
  };
}

function peerStream(packet: Packet): Loop {
  // Without `cork` nothing is put off to a later tick, which is to the peer's good.
  const sink = {
    write(bytes: Uint8Array): boolean {
      consumed += bytes.length;
      return true;
    },
  } as unknown as NodeJS.WritableStream;
  return (count) => {
    for (let index = 0; index < count; index++) writeToStream(packet, sink as never);
  };
}

function peerParse(packet: Packet): Loop {
  const reader: Parser = parser();
  const chunk = generate(packet);
  reader.on("packet", (found) => {
    consumed += found.messageId ?? 0;
  });
  return (count) => {
    for (let index = 0; index < count; index++) reader.parse(chunk);
  };
}

/** The least that any codec does: one copy of the finished packet. */
function floor(packet: Packet): Loop {
  const frame = Uint8Array.from(generate(packet));
  const bytes = new Uint8Array(TRANSMIT_BYTES);
  return (count) => {
    let at = 0;
    for (let index = 0; index < count; index++) {
      if (at + frame.length > bytes.length) at = 0;
      bytes.set(frame, at);
      at += frame.length;
    }
    consumed += at;
  };
}

const LOOPS: Readonly<Record<string, () => Loop>> = {
  "publish-write azimuth": ourPublish,
  "publish-write generate": () => peerGenerate(PUBLISH),
  "publish-write writeToStream": () => peerStream(PUBLISH),
  "publish-write floor": () => floor(PUBLISH),
  "publish-read azimuth": () => ourRead(PUBLISH),
  "publish-read parser": () => peerParse(PUBLISH),
  "publish-read floor": () => floor(PUBLISH),
  "puback-write azimuth": () => ourWrite((writer, identifier) => writer.puback(identifier)),
  "puback-write generate": () => peerGenerate(PUBACK),
  "puback-write writeToStream": () => peerStream(PUBACK),
  "puback-write floor": () => floor(PUBACK),
  "puback-read azimuth": () => ourRead(PUBACK),
  "puback-read parser": () => peerParse(PUBACK),
  "puback-read floor": () => floor(PUBACK),
  "pingreq-write azimuth": () => ourWrite((writer) => writer.pingreq()),
  "pingreq-write generate": () => peerGenerate(PINGREQ),
  "pingreq-write writeToStream": () => peerStream(PINGREQ),
  "pingreq-write floor": () => floor(PINGREQ),
};

const CHUNK_NS = 4_000_000;
const CHUNKS = 50;
const WARM_CHUNKS = 12;
const HEAP_PACKETS = 50_000;

/** How often a loop must turn to fill a chunk of time. */
function countFor(loop: Loop): number {
  for (let count = 1_000; ; count *= 2) {
    const start = Bun.nanoseconds();
    loop(count);
    if (Bun.nanoseconds() - start >= CHUNK_NS) return count;
  }
}

function nsOf(loop: Loop): { readonly medianNs: number; readonly minimumNs: number } {
  const count = countFor(loop);
  const ns: number[] = [];
  for (let chunk = 0; chunk < CHUNKS + WARM_CHUNKS; chunk++) {
    const start = Bun.nanoseconds();
    loop(count);
    if (chunk >= WARM_CHUNKS) ns.push((Bun.nanoseconds() - start) / count);
  }
  ns.sort((a, b) => a - b);
  return { medianNs: ns[CHUNKS / 2]!, minimumNs: ns[0]! };
}

function heapOf(loop: Loop): { readonly heapBytes: number } {
  loop(HEAP_PACKETS / 5);
  const before = process.memoryUsage().heapUsed;
  loop(HEAP_PACKETS);
  return { heapBytes: (process.memoryUsage().heapUsed - before) / HEAP_PACKETS };
}

const [packet = "", codec = "", what = ""] = process.argv.slice(2);
const loop = LOOPS[`${packet} ${codec}`]!();
console.log(JSON.stringify(what === "heap" ? heapOf(loop) : nsOf(loop)));
if (consumed === 0) process.exit(1);
