// Tests of src/codec/refusal.ts and of what src/codec/reader.ts turns down: one row of
// hand-written bytes for each rule, with the number of bytes that suffice to see it broken.
// Invariant: a refusal comes as early as it can, however the stream is torn, and stays.

import { describe, expect, test } from "bun:test";
import { Reader, Refusal, refusalText } from "../../src/codec/reader.ts";
import { deliver, everyCut, hex } from "./stream.ts";

const CAPACITY = 64;
const OK = "20 02 00 00";

/** `at`: bytes behind the CONNACK (if there is one) after which the refusal is due. */
type Row = readonly [name: string, refusal: Refusal, bytes: string, at: number];

const FIRST_BYTE: readonly Row[] = [
  ["type 0", Refusal.RESERVED_TYPE, `${OK} 00 00`, 1],
  ["type 15", Refusal.RESERVED_TYPE, `${OK} f0 00`, 1],
  ["type 15 before CONNACK", Refusal.RESERVED_TYPE, "f0 00", 1],
  ["CONNECT", Refusal.CLIENT_ONLY_TYPE, `${OK} 10 0c`, 1],
  ["SUBSCRIBE", Refusal.CLIENT_ONLY_TYPE, `${OK} 82 06 00 01`, 1],
  ["UNSUBSCRIBE", Refusal.CLIENT_ONLY_TYPE, `${OK} a2 05 00 01`, 1],
  ["PINGREQ", Refusal.CLIENT_ONLY_TYPE, `${OK} c0 00`, 1],
  ["DISCONNECT", Refusal.CLIENT_ONLY_TYPE, `${OK} e0 00`, 1],
  ["PUBREC", Refusal.QOS2_TYPE, `${OK} 50 02 00 01`, 1],
  ["PUBREL", Refusal.QOS2_TYPE, `${OK} 62 02 00 01`, 1],
  ["PUBCOMP", Refusal.QOS2_TYPE, `${OK} 70 02 00 01`, 1],
  ["CONNACK with flag 1", Refusal.FLAGS, "21 02 00 00", 1],
  ["PUBACK with flag 2", Refusal.FLAGS, `${OK} 42 02 00 01`, 1],
  ["SUBACK with flag 2", Refusal.FLAGS, `${OK} 92 03 00 01 00`, 1],
  ["UNSUBACK with flag 8", Refusal.FLAGS, `${OK} b8 02 00 01`, 1],
  ["PINGRESP with flag 1", Refusal.FLAGS, `${OK} d1 00`, 1],
  ["QoS 3", Refusal.QOS_3, `${OK} 36 05 00 01 61 00 01`, 1],
  ["QoS 3 with DUP", Refusal.QOS_3, `${OK} 3e 05 00 01 61 00 01`, 1],
  ["QoS 2", Refusal.QOS_2, `${OK} 34 05 00 01 61 00 01`, 1],
  ["DUP at QoS 0", Refusal.DUP_AT_QOS_0, `${OK} 38 03 00 01 61`, 1],
  ["PUBLISH first", Refusal.BEFORE_CONNACK, "30 03 00 01 61", 1],
  ["PINGRESP first", Refusal.BEFORE_CONNACK, "d0 00", 1],
  ["second CONNACK", Refusal.SECOND_CONNACK, `${OK} 20 02 00 00`, 1],
  ["PINGRESP after CONNACK 5", Refusal.AFTER_REFUSED_CONNACK, "20 02 00 05 d0 00", 5],
  ["CONNACK after CONNACK 3", Refusal.AFTER_REFUSED_CONNACK, "20 02 00 03 20 02 00 00", 5],
];

const LENGTHS: readonly Row[] = [
  ["five length bytes", Refusal.LENGTH_ENCODING, `${OK} 30 80 80 80 80 01`, 5],
  ["five length bytes in CONNACK", Refusal.LENGTH_ENCODING, "20 82 80 80 80 00", 5],
  ["2 in two length bytes", Refusal.LENGTH_PADDED, `${OK} 40 82 00 00 01`, 3],
  ["0 in four length bytes", Refusal.LENGTH_PADDED, `${OK} d0 80 80 80 00`, 5],
  ["CONNACK of 0", Refusal.LENGTH, "20 00", 2],
  ["CONNACK of 1", Refusal.LENGTH, "20 01 00", 2],
  ["CONNACK of 3, as in MQTT 5", Refusal.LENGTH, "20 03 00 00 00", 2],
  ["PUBACK of 1", Refusal.LENGTH, `${OK} 40 01 00`, 2],
  ["PUBACK of 4, as in MQTT 5", Refusal.LENGTH, `${OK} 40 04 00 01 00 00`, 2],
  ["UNSUBACK of 3", Refusal.LENGTH, `${OK} b0 03 00 01 00`, 2],
  ["PINGRESP of 1", Refusal.LENGTH, `${OK} d0 01 00`, 2],
  ["SUBACK of 2, without a code", Refusal.LENGTH, `${OK} 90 02 00 01`, 2],
  ["PUBLISH of 0", Refusal.LENGTH, `${OK} 30 00`, 2],
  ["PUBLISH of 2, room for no topic", Refusal.LENGTH, `${OK} 30 02 00 00`, 2],
  ["PUBLISH of 4 at QoS 1", Refusal.LENGTH, `${OK} 32 04 00 01 61 00`, 2],
  ["PUBLISH one byte above the buffer", Refusal.TOO_LONG, `${OK} 30 3f 00 01 61`, 2],
  ["PUBLISH of 256 MB", Refusal.TOO_LONG, `${OK} 30 ff ff ff 7f`, 5],
  ["SUBACK one byte above the buffer", Refusal.TOO_LONG, `${OK} 90 3f 00 01 00`, 2],
  ["topic of 2 in a packet of 3", Refusal.TOPIC_LENGTH, `${OK} 30 03 00 02 61 62`, 4],
  ["topic that leaves no identifier", Refusal.TOPIC_LENGTH, `${OK} 32 05 00 02 61 62 63`, 4],
  ["topic of 65535", Refusal.TOPIC_LENGTH, `${OK} 30 0a ff ff 61`, 4],
  ["topic of 0", Refusal.TOPIC_EMPTY, `${OK} 30 04 00 00 61 62`, 4],
];

const BODIES: readonly Row[] = [
  ["topic of U+0000", Refusal.TOPIC_NUL, `${OK} 30 03 00 01 00`, 5],
  ["U+0000 inside", Refusal.TOPIC_NUL, `${OK} 30 08 00 06 61 61 61 00 61 61`, 10],
  ["U+0000 beside U+00E9", Refusal.TOPIC_NUL, `${OK} 30 05 00 03 c3 a9 00`, 7],
  ["#", Refusal.TOPIC_WILDCARD, `${OK} 30 03 00 01 23`, 5],
  ["+", Refusal.TOPIC_WILDCARD, `${OK} 30 03 00 01 2b`, 5],
  ["# beside U+00E9", Refusal.TOPIC_WILDCARD, `${OK} 30 05 00 03 c3 a9 23`, 7],
  ["lone continuation", Refusal.TOPIC_UTF8, `${OK} 30 03 00 01 80`, 5],
  ["overlong two bytes", Refusal.TOPIC_UTF8, `${OK} 30 04 00 02 c0 af`, 6],
  ["U+0000 overlong", Refusal.TOPIC_UTF8, `${OK} 30 04 00 02 c0 80`, 6],
  ["overlong three bytes", Refusal.TOPIC_UTF8, `${OK} 30 05 00 03 e0 9f bf`, 7],
  ["overlong four bytes", Refusal.TOPIC_UTF8, `${OK} 30 06 00 04 f0 8f bf bf`, 8],
  ["surrogate U+D800", Refusal.TOPIC_UTF8, `${OK} 30 05 00 03 ed a0 80`, 7],
  ["surrogate U+DFFF", Refusal.TOPIC_UTF8, `${OK} 30 05 00 03 ed bf bf`, 7],
  ["U+110000", Refusal.TOPIC_UTF8, `${OK} 30 06 00 04 f4 90 80 80`, 8],
  ["lead byte F5", Refusal.TOPIC_UTF8, `${OK} 30 06 00 04 f5 80 80 80`, 8],
  ["byte FF", Refusal.TOPIC_UTF8, `${OK} 30 03 00 01 ff`, 5],
  ["truncated by the topic's end", Refusal.TOPIC_UTF8, `${OK} 30 06 00 02 61 e2 82 ac`, 8],
  ["identifier 0 in PUBLISH", Refusal.IDENTIFIER_ZERO, `${OK} 32 05 00 01 61 00 00`, 7],
  ["identifier 0 in PUBACK", Refusal.IDENTIFIER_ZERO, `${OK} 40 02 00 00`, 4],
  ["identifier 0 in SUBACK", Refusal.IDENTIFIER_ZERO, `${OK} 90 03 00 00 01`, 5],
  ["identifier 0 in UNSUBACK", Refusal.IDENTIFIER_ZERO, `${OK} b0 02 00 00`, 4],
  ["acknowledge flag 2", Refusal.CONNACK_FLAGS, "20 02 02 00", 4],
  ["acknowledge flag 80", Refusal.CONNACK_FLAGS, "20 02 81 00", 4],
  ["return code 6", Refusal.CONNACK_CODE, "20 02 00 06", 4],
  ["return code FF", Refusal.CONNACK_CODE, "20 02 00 ff", 4],
  ["session present and refused", Refusal.CONNACK_SESSION, "20 02 01 05", 4],
  ["SUBACK code 3", Refusal.SUBACK_CODE, `${OK} 90 03 00 01 03`, 5],
  ["SUBACK code 7F", Refusal.SUBACK_CODE, `${OK} 90 04 00 01 00 7f`, 6],
  ["SUBACK code 81", Refusal.SUBACK_CODE, `${OK} 90 04 00 01 81 00`, 6],
];

const TABLE = [...FIRST_BYTE, ...LENGTHS, ...BODIES];

describe("refused", () => {
  test.each(TABLE)("%s", (_name, refusal, text, due) => {
    const bytes = hex(text);
    const at = text.startsWith(`${OK} `) ? 4 + due : due;
    const bytewise = deliver(new Reader(CAPACITY), bytes, everyCut(bytes));
    expect(Refusal[bytewise.refusal]).toBe(Refusal[refusal]!);
    expect(bytewise.at).toBe(at);
    const whole = deliver(new Reader(CAPACITY), bytes, []);
    expect(whole.packets).toEqual(bytewise.packets);
    expect(whole.refusal).toBe(refusal);
    for (const cut of everyCut(bytes)) {
      const torn = deliver(new Reader(CAPACITY), bytes, [cut]);
      expect(torn.packets).toEqual(whole.packets);
      expect(torn.refusal).toBe(refusal);
      expect(torn.at).toBe(cut >= at ? cut : bytes.length);
    }
  });

  test("each of the 256 first bytes after CONNACK as table 2.2 has it", () => {
    const legal = new Set([0x30, 0x31, 0x32, 0x33, 0x3a, 0x3b, 0x40, 0x90, 0xb0, 0xd0]);
    for (let first = 0; first < 256; first += 1) {
      const { refusal } = deliver(new Reader(CAPACITY), Uint8Array.of(0x20, 2, 0, 0, first), []);
      expect([first, refusal === Refusal.NONE]).toEqual([first, legal.has(first)]);
    }
  });

  test("a bad byte anywhere in a topic of any length and alignment", () => {
    const bad: readonly [number, Refusal][] = [
      [0x00, Refusal.TOPIC_NUL],
      [0x23, Refusal.TOPIC_WILDCARD],
      [0x2b, Refusal.TOPIC_WILDCARD],
      [0x80, Refusal.TOPIC_UTF8],
      [0x81, Refusal.TOPIC_UTF8],
      [0xa3, Refusal.TOPIC_UTF8],
      [0xab, Refusal.TOPIC_UTF8],
      [0xff, Refusal.TOPIC_UTF8],
    ];
    const filler = [0x01, 0x22, 0x24, 0x2a, 0x2c, 0x7f, 0x61, 0x03];
    for (let length = 1; length <= 20; length += 1) {
      for (let position = 0; position < length; position += 1) {
        for (const [byte, refusal] of bad) {
          const topic = Array.from({ length }, (_, index) => filler[(index + length) % 8]!);
          const head = [
            0x20,
            2,
            0,
            0,
            ...Array(length % 4)
              .fill([0xd0, 0])
              .flat(),
          ];
          const whole = [...head, 0x30, 2 + length, 0, length];
          const sound = deliver(new Reader(CAPACITY), Uint8Array.from([...whole, ...topic]), []);
          expect(sound.refusal).toBe(Refusal.NONE);
          topic[position] = byte;
          const broken = deliver(new Reader(CAPACITY), Uint8Array.from([...whole, ...topic]), []);
          expect([length, position, broken.refusal]).toEqual([length, position, refusal]);
        }
      }
    }
  });
});

describe("sentences", () => {
  const values = Object.values(Refusal).filter((value) => typeof value === "number");

  test("every refusal has a row above", () => {
    const seen = new Set(TABLE.map(([, refusal]) => refusal));
    const missing = values.filter((value) => value !== Refusal.NONE && !seen.has(value));
    expect(missing.map((value) => Refusal[value])).toEqual([]);
  });

  test("every refusal has one line of its own that names its place in the standard", () => {
    const lines = values.map((value) => refusalText(value));
    expect(new Set(lines).size).toBe(lines.length);
    for (const value of values) {
      if (value === Refusal.NONE || value === Refusal.TOO_LONG) continue;
      expect(refusalText(value)).toMatch(
        /^[^\n]{10,90}(?:\[MQTT-\d(?:\.\d+)*-\d+\]|\(section [^)]+\))$/,
      );
    }
  });
});
