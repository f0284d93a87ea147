// Tests of src/codec/reader.ts on legal streams: hand-written bytes, however they are torn.
// Neighbours: refusal.test.ts has the streams that are turned down, oracle.test.ts the peer.
// Invariant: expected values are written by hand from the standard, never by our writer.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { PacketType } from "../../src/codec/packet.ts";
import { Reader, ReadResult, Refusal } from "../../src/codec/reader.ts";
import { deliver, everyCut, hex, latin1, type Packet } from "./stream.ts";

const CAPACITY = 512;
const CONNACK = "20 02 00 00";
const EDGES = "c2 80 df bf e0 a0 80 ed 9f bf ee 80 80 ef bf bf f0 90 80 80 f4 8f bf bf";
const accepted: Packet = { type: PacketType.CONNACK, returnCode: 0, sessionPresent: false };

function publish(topic: string, payload: string, more: Partial<Packet> = {}): Packet {
  const plain = { qos: 0, dup: false, retain: false, identifier: 0 } as const;
  return { type: PacketType.PUBLISH, ...plain, topic, payload, ...more };
}

const LEGAL: readonly [name: string, bytes: string, packets: readonly Packet[]][] = [
  ["CONNACK, accepted", CONNACK, [accepted]],
  ["CONNACK, session present", "20 02 01 00", [{ ...accepted, sessionPresent: true }]],
  ["CONNACK, not authorised", "20 02 00 05", [{ ...accepted, returnCode: 5 }]],
  ["PUBLISH, QoS 0", `${CONNACK} 30 05 00 01 (a) 61 (hi) 68 69`, [accepted, publish("a", "hi")]],
  ["PUBLISH, no payload", `${CONNACK} 30 03 00 01 61`, [accepted, publish("a", "")]],
  [
    "PUBLISH, QoS 1, DUP, RETAIN, largest identifier",
    `${CONNACK} 3b 07 00 02 (a/) 61 2f ff ff 00`,
    [accepted, publish("a/", "\0", { qos: 1, dup: true, retain: true, identifier: 0xffff })],
  ],
  [
    "PUBLISH, RETAIN alone",
    `${CONNACK} 31 03 00 01 24`,
    [accepted, publish("$", "", { retain: true })],
  ],
  [
    "topic with U+FEFF in front, which stays (MQTT-1.5.3-3)",
    `${CONNACK} 30 06 00 04 ef bb bf 61`,
    [accepted, publish("\xef\xbb\xbfa", "")],
  ],
  [
    "topic at the edges of UTF-8: U+0080 U+07FF U+0800 U+D7FF U+E000 U+FFFF U+10000 U+10FFFF",
    `${CONNACK} 30 1a 00 18 ${EDGES}`,
    [accepted, publish(latin1(hex(EDGES)), "")],
  ],
  [
    "topic with control characters and a space, which section 1.5.3 leaves to the receiver",
    `${CONNACK} 30 06 00 04 01 1f 20 7f`,
    [accepted, publish("\x01\x1f \x7f", "")],
  ],
  [
    "PUBACK, UNSUBACK, PINGRESP",
    `${CONNACK} 40 02 00 01 b0 02 12 34 d0 00`,
    [
      accepted,
      { type: PacketType.PUBACK, identifier: 1 },
      { type: PacketType.UNSUBACK, identifier: 0x1234 },
      { type: PacketType.PINGRESP },
    ],
  ],
  [
    "SUBACK with every code",
    `${CONNACK} 90 06 00 0a 00 01 02 80`,
    [accepted, { type: PacketType.SUBACK, identifier: 10, codes: "00 01 02 80" }],
  ],
  [
    "a message of a stored session right behind CONNACK",
    "20 02 01 00 32 06 00 01 61 00 07 21",
    [{ ...accepted, sessionPresent: true }, publish("a", "!", { qos: 1, identifier: 7 })],
  ],
  [
    "remaining length of two bytes at its least",
    `${CONNACK} 30 80 01 00 01 61 ${"2e".repeat(125)}`,
    [accepted, publish("a", ".".repeat(125))],
  ],
  [
    "a packet as large as the buffer",
    `${CONNACK} 30 fd 03 00 01 61 ${"2e".repeat(506)}`,
    [accepted, publish("a", ".".repeat(506))],
  ],
];

describe("legal streams", () => {
  test.each(LEGAL)("%s", (_name, text, packets) => {
    const bytes = hex(text);
    const whole = deliver(new Reader(CAPACITY), bytes, []);
    expect(whole).toEqual({ packets: [...packets], refusal: 0, at: bytes.length, left: 0 });
    for (const cut of everyCut(bytes)) {
      expect(deliver(new Reader(CAPACITY), bytes, [cut])).toEqual(whole);
    }
    expect(deliver(new Reader(CAPACITY), bytes, everyCut(bytes))).toEqual(whole);
  });

  test("all of them in one stream, torn anywhere, through one small buffer", () => {
    const behind = LEGAL.filter(([, text]) => text.startsWith(CONNACK));
    const bytes = hex(CONNACK + behind.map(([, text]) => text.slice(CONNACK.length)).join(""));
    const packets = [accepted, ...behind.flatMap(([, , list]) => list.slice(1))];
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: bytes.length - 1 }));
    fc.assert(
      fc.property(cuts, fc.integer({ min: CAPACITY, max: 600 }), (positions, capacity) => {
        const sorted = positions.sort((a, b) => a - b);
        const outcome = deliver(new Reader(capacity), bytes, sorted);
        expect(outcome).toEqual({ packets, refusal: 0, at: bytes.length, left: 0 });
      }),
    );
  });
});

describe("the buffer", () => {
  test("takes what fits, gives room back once packets are read, loses nothing", () => {
    const reader = new Reader(8);
    const stream = hex(`${CONNACK} 40 02 00 01 40 02 00 02 d0 00`);
    expect(reader.feed(stream, 0)).toBe(8);
    expect(reader.feed(stream, 8)).toBe(0);
    expect(reader.next()).toBe(ReadResult.PACKET);
    expect(reader.buffered).toBe(4);
    expect(reader.feed(stream, 8)).toBe(4);
    expect(reader.next()).toBe(ReadResult.PACKET);
    expect(reader.identifier).toBe(1);
    expect(reader.next()).toBe(ReadResult.PACKET);
    expect(reader.identifier).toBe(2);
    expect(reader.next()).toBe(ReadResult.MORE);
    expect(reader.feed(stream, 12)).toBe(2);
    expect(reader.next()).toBe(ReadResult.PACKET);
    expect(reader.type).toBe(PacketType.PINGRESP);
    expect(reader.buffered).toBe(0);
  });

  test("keeps the fields and their bytes while only next() says MORE", () => {
    const reader = new Reader(CAPACITY);
    reader.feed(hex(`${CONNACK} 32 06 00 01 61 00 07 21 30`), 0);
    reader.next();
    expect(reader.next()).toBe(ReadResult.PACKET);
    expect(reader.next()).toBe(ReadResult.MORE);
    expect(reader.identifier).toBe(7);
    expect(latin1(reader.bytes.subarray(reader.payloadStart, reader.payloadEnd))).toBe("!");
  });

  test("an empty chunk changes nothing", () => {
    const reader = new Reader(CAPACITY);
    expect(reader.feed(new Uint8Array(0), 0)).toBe(0);
    expect(reader.next()).toBe(ReadResult.MORE);
    expect(reader.buffered).toBe(0);
  });

  test("reset() expects a new connection's CONNACK, whatever was before", () => {
    const reader = new Reader(CAPACITY);
    expect(deliver(reader, hex(`${CONNACK} 30 03 00`), []).left).toBe(3);
    reader.reset();
    expect(reader.buffered).toBe(0);
    expect(deliver(reader, hex(`${CONNACK} 00`), []).refusal).toBe(Refusal.RESERVED_TYPE);
    reader.reset();
    expect(deliver(reader, hex(CONNACK), []).packets).toEqual([accepted]);
  });

  test("after a refusal the rest is taken and dropped, and the refusal stays", () => {
    const reader = new Reader(CAPACITY);
    expect(deliver(reader, hex(`${CONNACK} 00`), []).refusal).toBe(Refusal.RESERVED_TYPE);
    const held = reader.buffered;
    expect(reader.feed(hex(`${CONNACK}`), 1)).toBe(3);
    expect(reader.buffered).toBe(held);
    expect(reader.next()).toBe(ReadResult.REFUSED);
    expect(reader.refusal).toBe(Refusal.RESERVED_TYPE);
  });

  test.each([0, 1, 2.5, Number.NaN, 268_435_461])("a capacity of %p is a mistake", (capacity) => {
    expect(() => new Reader(capacity)).toThrow("capacity");
  });
});
