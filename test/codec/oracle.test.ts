// Tests of src/codec/writer.ts and reader.ts against mqtt-packet, in both directions.
// Neighbours: writer.test.ts and reader.test.ts have the hand-written bytes; test/fuzz goes on
// from here with damaged streams.
// Invariant: what we write it reads as the same; what it writes as a server we read as the
// same; what we read it reads as well, so what it refuses we refuse.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as mqtt from "mqtt-packet";
import { PacketType } from "../../src/codec/packet.ts";
import { Reader, Refusal } from "../../src/codec/reader.ts";
import { Writer } from "../../src/codec/writer.ts";
import { deliver, everyCut, latin1, type Packet } from "./stream.ts";

const CAPACITY = 4096;
const ACCEPTED: mqtt.Packet = { cmd: "connack", returnCode: 0, sessionPresent: false };

/** Packets that the peer reads from bytes a client sent, or its first error. */
function peerReads(bytes: Uint8Array): mqtt.Packet[] | Error {
  const parser = mqtt.parser({ protocolVersion: 4 });
  const packets: mqtt.Packet[] = [];
  let failure: Error | undefined;
  parser.on("packet", (packet) => packets.push(packet));
  parser.on("error", (error) => {
    failure ??= error;
  });
  parser.parse(Buffer.from(bytes));
  return failure ?? packets;
}

function weWrite(write: (writer: Writer) => boolean): mqtt.Packet {
  const writer = new Writer(CAPACITY);
  expect(write(writer)).toBe(true);
  const packets = peerReads(writer.bytes.subarray(writer.start, writer.end));
  if (packets instanceof Error) throw packets;
  expect(packets).toHaveLength(1);
  return packets[0]!;
}

const identifiers = fc.integer({ min: 1, max: 65_535 });
const qualities = fc.constantFrom<0 | 1>(0, 1);
const words = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 40 })
  .filter((text) => !/[#+\0]/.test(text));
const bodies = fc.uint8Array({ maxLength: 300 });
const filters = fc.array(
  fc.tuple(words, fc.constantFrom("", "/#", "/+", "/+/x")).map(([a, b]) => a + b),
  { minLength: 1, maxLength: 5 },
);

describe("what we write the peer reads", () => {
  test("CONNECT", () => {
    const seconds = fc.nat(65_535);
    fc.assert(
      fc.property(words, words, words, seconds, fc.boolean(), (id, user, password, keep, clean) => {
        expect(weWrite((to) => to.connect(id, user, password, keep, clean))).toMatchObject({
          cmd: "connect",
          protocolId: "MQTT",
          protocolVersion: 4,
          clientId: id,
          username: user,
          password: Buffer.from(password),
          keepalive: keep,
          clean,
        });
      }),
    );
  });

  test("PUBLISH", () => {
    const flags = fc.tuple(qualities, fc.boolean(), fc.boolean());
    fc.assert(
      fc.property(words, bodies, flags, identifiers, (topic, payload, [qos, again, retain], id) => {
        const name = new TextEncoder().encode(topic);
        const dup = again && qos === 1;
        const read = weWrite((to) =>
          to.publish(name, 0, name.length, payload, 0, payload.length, qos, dup, retain, id),
        );
        expect(read).toMatchObject({ cmd: "publish", topic, qos, dup, retain });
        expect((read as mqtt.IPublishPacket).payload).toEqual(Buffer.from(payload));
        expect(read.messageId).toBe(qos === 1 ? id : undefined);
      }),
    );
  });

  test("PUBLISH of texts", () => {
    const payloads = fc.string({ unit: "grapheme", maxLength: 300 });
    fc.assert(
      fc.property(words, payloads, qualities, identifiers, (topic, payload, qos, id) => {
        const read = weWrite((to) => to.publishText(topic, payload, qos, id));
        expect(read).toMatchObject({ cmd: "publish", topic, qos, dup: false, retain: false });
        expect((read as mqtt.IPublishPacket).payload.toString()).toBe(payload);
      }),
    );
  });

  test("SUBSCRIBE and UNSUBSCRIBE", () => {
    fc.assert(
      fc.property(filters, identifiers, qualities, (list, messageId, qos) => {
        const asked = list.map((topic) => ({ topic, qos }));
        expect(
          weWrite((to) =>
            to.subscribe(
              messageId,
              list,
              list.map(() => qos),
            ),
          ),
        ).toMatchObject({
          cmd: "subscribe",
          messageId,
          subscriptions: asked,
        });
        expect(weWrite((to) => to.unsubscribe(messageId, list))).toMatchObject({
          cmd: "unsubscribe",
          messageId,
          unsubscriptions: list,
        });
      }),
    );
  });

  test("PUBACK, PINGREQ, DISCONNECT", () => {
    fc.assert(
      fc.property(identifiers, (messageId) => {
        expect(weWrite((to) => to.puback(messageId))).toMatchObject({ cmd: "puback", messageId });
      }),
    );
    expect(weWrite((to) => to.pingreq())).toMatchObject({ cmd: "pingreq" });
    expect(weWrite((to) => to.disconnect())).toMatchObject({ cmd: "disconnect" });
  });
});

/** A packet as a server sends it, and what our reader must make of it. */
type Pair = readonly [sent: mqtt.Packet, expected: Packet];

const publishes: fc.Arbitrary<Pair> = fc
  .tuple(words, bodies, qualities, fc.boolean(), fc.boolean(), identifiers)
  .map(([topic, body, qos, again, retain, id]) => {
    const dup = again && qos === 1;
    const payload = Buffer.from(body);
    const sent: mqtt.Packet = { cmd: "publish", topic, payload, qos, dup, retain, messageId: id };
    const identifier = qos === 1 ? id : 0;
    const bytes = latin1(new TextEncoder().encode(topic));
    const type = PacketType.PUBLISH;
    return [sent, { type, qos, dup, retain, identifier, topic: bytes, payload: latin1(body) }];
  });

const answers: fc.Arbitrary<Pair> = fc.oneof(
  identifiers.map((messageId): Pair => {
    return [
      { cmd: "puback", messageId },
      { type: PacketType.PUBACK, identifier: messageId },
    ];
  }),
  identifiers.map((messageId): Pair => {
    // The peer's types ask for the reason codes of MQTT 5, which 3.1.1 does not send.
    const sent = { cmd: "unsuback", messageId } as mqtt.Packet;
    return [sent, { type: PacketType.UNSUBACK, identifier: messageId }];
  }),
  fc
    .tuple(identifiers, fc.array(fc.constantFrom(0, 1, 2, 128), { minLength: 1, maxLength: 8 }))
    .map(([messageId, granted]): Pair => {
      const codes = granted.map((code) => code.toString(16).padStart(2, "0")).join(" ");
      return [
        { cmd: "suback", messageId, granted },
        { type: PacketType.SUBACK, identifier: messageId, codes },
      ];
    }),
  fc.constant<Pair>([{ cmd: "pingresp" }, { type: PacketType.PINGRESP }]),
);

describe("what the peer writes as a server we read", () => {
  test("any stream, whole, torn and byte by byte", () => {
    const pairs = fc.array(fc.oneof(publishes, answers), { maxLength: 8 });
    fc.assert(
      fc.property(pairs, fc.boolean(), fc.nat(), (list, sessionPresent, cut) => {
        const sent = [{ ...ACCEPTED, sessionPresent }, ...list.map(([packet]) => packet)];
        const bytes = Buffer.concat(sent.map((packet) => mqtt.generate(packet)));
        const first = { type: PacketType.CONNACK, returnCode: 0, sessionPresent };
        const expected = [first, ...list.map(([, packet]) => packet)];
        const outcome = { packets: expected, refusal: 0, at: bytes.length, left: 0 };
        expect(deliver(new Reader(CAPACITY), bytes, [])).toEqual(outcome);
        expect(deliver(new Reader(CAPACITY), bytes, [cut % bytes.length])).toEqual(outcome);
        expect(deliver(new Reader(CAPACITY), bytes, everyCut(bytes))).toEqual(outcome);
      }),
    );
  });

  test("a CONNACK with each code", () => {
    for (let returnCode = 0; returnCode <= 5; returnCode += 1) {
      const bytes = mqtt.generate({ cmd: "connack", returnCode, sessionPresent: false });
      const expected = { type: PacketType.CONNACK, returnCode, sessionPresent: false };
      expect(deliver(new Reader(CAPACITY), bytes, []).packets).toEqual([expected]);
    }
  });
});

describe("what the peer refuses we refuse", () => {
  const damaged = fc
    .tuple(fc.array(fc.oneof(publishes, answers), { minLength: 1, maxLength: 4 }), fc.nat())
    .chain(([list, seed]) => {
      const sent = [ACCEPTED, ...list.map(([packet]) => packet)];
      const bytes = Buffer.concat(sent.map((packet) => mqtt.generate(packet)));
      return fc.tuple(fc.constant(bytes), fc.constant(seed % bytes.length), fc.nat(255));
    });

  test("one byte changed anywhere", () => {
    let accepted = 0;
    let refusedByPeer = 0;
    fc.assert(
      fc.property(damaged, ([bytes, position, value]) => {
        bytes[position] = value;
        const ours = deliver(new Reader(CAPACITY), bytes, []);
        const theirs = peerReads(bytes);
        if (theirs instanceof Error) {
          refusedByPeer += 1;
          expect(ours.refusal).not.toBe(Refusal.NONE);
        } else if (ours.refusal === Refusal.NONE) {
          accepted += 1;
          expect(ours.packets).toHaveLength(theirs.length);
        }
      }),
      { numRuns: 5000 },
    );
    expect(accepted).toBeGreaterThan(100);
    expect(refusedByPeer).toBeGreaterThan(100);
  });
});
