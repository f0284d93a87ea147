// Tests of src/codec/packet.ts: the numbers of table 2.1 and the bounds of section 2.2.3.
// Neighbours: every other test of test/codec relies on these.
// Invariant: the numbers are written out here, as the standard prints them.

import { expect, test } from "bun:test";
import {
  HEADER_BYTES_MAX,
  PACKET_BYTES_MAX,
  PacketType,
  REMAINING_LENGTH_MAX,
  STRING_BYTES_MAX,
} from "../../src/codec/packet.ts";

test("packet types as table 2.1 numbers them", () => {
  const names = Object.keys(PacketType).filter((name) => Number.isNaN(Number(name)));
  expect(names.map((name) => [name, PacketType[name as keyof typeof PacketType]])).toEqual([
    ["CONNECT", 1],
    ["CONNACK", 2],
    ["PUBLISH", 3],
    ["PUBACK", 4],
    ["PUBREC", 5],
    ["PUBREL", 6],
    ["PUBCOMP", 7],
    ["SUBSCRIBE", 8],
    ["SUBACK", 9],
    ["UNSUBSCRIBE", 10],
    ["UNSUBACK", 11],
    ["PINGREQ", 12],
    ["PINGRESP", 13],
    ["DISCONNECT", 14],
  ]);
});

test("bounds", () => {
  expect(REMAINING_LENGTH_MAX).toBe(0x7f + 0x7f * 128 + 0x7f * 128 ** 2 + 0x7f * 128 ** 3);
  expect(HEADER_BYTES_MAX).toBe(5);
  expect(PACKET_BYTES_MAX).toBe(268_435_460);
  expect(STRING_BYTES_MAX).toBe(65_535);
});
