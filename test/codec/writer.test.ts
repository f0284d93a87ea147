// Tests of src/codec/writer.ts: hand-written bytes for every packet, room and compaction,
// and what is a caller's mistake.
// Neighbours: oracle.test.ts reads what is written here with another implementation.
// Invariant: expected bytes come from the standard by hand, never from our reader.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Writer } from "../../src/codec/writer.ts";
import { hex, toHex } from "./stream.ts";

const ascii = new TextEncoder();

function written(writer: Writer): string {
  return toHex(writer.bytes.subarray(writer.start, writer.end));
}

function bytesOf(write: (writer: Writer) => boolean, capacity = 256): string {
  const writer = new Writer(capacity);
  expect(write(writer)).toBe(true);
  return written(writer);
}

function publish(writer: Writer, topic: string, payload: Uint8Array, from: number, to: number) {
  const name = ascii.encode(topic);
  return writer.publish(name, 0, name.length, payload, from, to, 1, false, false, 9);
}

describe("bytes", () => {
  test("CONNECT with user name and password, clean session 0", () => {
    expect(bytesOf((writer) => writer.connect("d1", "u", "pw", 240, false))).toBe(
      toHex(hex("10 15 00 04 (MQTT) 4d 51 54 54 04 c0 00 f0 00 02 64 31 00 01 75 00 02 70 77")),
    );
  });

  test("CONNECT without password (X.509), clean session 1", () => {
    expect(bytesOf((writer) => writer.connect("d1", "u", "", 65_535, true))).toBe(
      toHex(hex("10 11 00 04 4d 51 54 54 04 82 ff ff 00 02 64 31 00 01 75")),
    );
  });

  test("CONNECT with a client id alone", () => {
    expect(bytesOf((writer) => writer.connect("d", "", "", 0, false))).toBe(
      toHex(hex("10 0d 00 04 4d 51 54 54 04 00 00 00 00 01 64")),
    );
  });

  test("PUBLISH, QoS 1, DUP, RETAIN", () => {
    const topic = ascii.encode("a/b");
    expect(
      bytesOf((writer) => writer.publish(topic, 0, 3, hex("01 02"), 0, 2, 1, true, true, 258)),
    ).toBe("3b 09 00 03 61 2f 62 01 02 01 02");
  });

  test("PUBLISH, QoS 0, of parts of larger arrays", () => {
    const topic = ascii.encode("<<a/b>>");
    const payload = hex("aa bb cc dd");
    expect(
      bytesOf((writer) => writer.publish(topic, 2, 5, payload, 1, 3, 0, false, false, 0)),
    ).toBe("30 07 00 03 61 2f 62 bb cc");
  });

  test("PUBLISH, of parts of the shared memory, which stays as it is", () => {
    const writer = new Writer(64, 8);
    writer.shared.set(hex("aa 61 2f 62 bb cc dd ee"));
    writer.pingreq();
    const { shared } = writer;
    expect(writer.publish(shared, 1, 4, shared, 5, 7, 0, false, false, 0)).toBe(true);
    expect(written(writer)).toBe("c0 00 30 07 00 03 61 2f 62 cc dd");
    writer.consume(2);
    expect(writer.publish(shared, 0, 1, shared, 8, 8, 0, false, false, 0)).toBe(true);
    expect(written(writer)).toBe("30 07 00 03 61 2f 62 cc dd 30 03 00 01 aa");
    expect(toHex(shared)).toBe("aa 61 2f 62 bb cc dd ee");
    expect([writer.bytes.length, new Writer(64).shared.length]).toEqual([64, 0]);
  });

  test("PUBLISH without payload", () => {
    const none = new Uint8Array(0);
    const topic = ascii.encode("a");
    expect(bytesOf((writer) => writer.publish(topic, 0, 1, none, 0, 0, 0, false, true, 0))).toBe(
      "31 03 00 01 61",
    );
  });

  test("PUBLISH of texts", () => {
    expect(bytesOf((writer) => writer.publishText("é", "{€}", 1, 65_535))).toBe(
      "32 0b 00 02 c3 a9 ff ff 7b e2 82 ac 7d",
    );
    expect(bytesOf((writer) => writer.publishText("$a", "", 0, 0))).toBe("30 04 00 02 24 61");
  });

  test("PUBACK, PINGREQ, DISCONNECT", () => {
    expect(bytesOf((writer) => writer.puback(0x1234))).toBe("40 02 12 34");
    expect(bytesOf((writer) => writer.pingreq())).toBe("c0 00");
    expect(bytesOf((writer) => writer.disconnect())).toBe("e0 00");
  });

  test("SUBSCRIBE and UNSUBSCRIBE", () => {
    expect(bytesOf((writer) => writer.subscribe(10, ["a/#", "+"], [1, 0]))).toBe(
      "82 0c 00 0a 00 03 61 2f 23 01 00 01 2b 00",
    );
    expect(bytesOf((writer) => writer.unsubscribe(11, ["a/#", "+"]))).toBe(
      "a2 0a 00 0b 00 03 61 2f 23 00 01 2b",
    );
  });

  test.each([
    [0x7f, "7f"],
    [0x80, "80 01"],
    [0x3fff, "ff 7f"],
    [0x4000, "80 80 01"],
    [0x1f_ffff, "ff ff 7f"],
    [0x20_0000, "80 80 80 01"],
  ])("remaining length %d as table 2.4 has it", (length, text) => {
    const writer = new Writer(length + 5);
    const payload = new Uint8Array(length - 3);
    const topic = ascii.encode("a");
    expect(writer.publish(topic, 0, 1, payload, 0, payload.length, 0, false, false, 0)).toBe(true);
    const header = hex(text).length + 1;
    expect(toHex(writer.bytes.subarray(0, header))).toBe(`30 ${text}`);
    expect(writer.end).toBe(header + length);
  });
});

describe("room", () => {
  test("a packet that does not fit leaves what is held as it was", () => {
    const writer = new Writer(12);
    expect(writer.puback(1)).toBe(true);
    const held = written(writer);
    const topic = ascii.encode("abc");
    const attempts = [
      () => writer.publish(topic, 0, 3, topic, 0, 3, 1, false, false, 1),
      () => writer.publishText("abc", "def", 1, 1),
      () => writer.connect("d", "", "", 0, true),
      () => writer.subscribe(1, ["abc"], [0]),
      () => writer.unsubscribe(1, ["abcd"]),
    ];
    for (const attempt of attempts) expect(attempt()).toBe(false);
    expect(written(writer)).toBe(held);
    expect(writer.room()).toBe(8);
  });

  test("an exact fit is a fit, for every kind of packet", () => {
    const sizes: [number, (writer: Writer) => boolean][] = [
      [4, (writer) => writer.puback(1)],
      [2, (writer) => writer.pingreq()],
      [2, (writer) => writer.disconnect()],
      [8, (writer) => writer.publishText("a", "b", 1, 1)],
      [8, (writer) => publish(writer, "a", Uint8Array.of(1), 0, 1)],
      [8, (writer) => writer.subscribe(1, ["a"], [0])],
      [7, (writer) => writer.unsubscribe(1, ["a"])],
      [15, (writer) => writer.connect("d", "", "", 0, true)],
    ];
    for (const [size, write] of sizes) {
      const writer = new Writer(size);
      expect(write(writer)).toBe(true);
      expect(writer.room()).toBe(0);
      expect(write(writer)).toBe(false);
      if (size > 2) expect(write(new Writer(size - 1))).toBe(false);
    }
  });

  test("the consumed prefix is room, and what is held moves there only when it must", () => {
    const writer = new Writer(10);
    writer.puback(1);
    writer.puback(2);
    writer.consume(3);
    expect(writer.room()).toBe(5);
    writer.pingreq();
    expect([writer.start, writer.end]).toEqual([3, 10]);
    expect(writer.pingreq()).toBe(true);
    expect([writer.start, writer.end]).toEqual([0, 9]);
    expect(written(writer)).toBe("01 40 02 00 02 c0 00 c0 00");
    writer.consume(9);
    expect([writer.start, writer.end, writer.room()]).toEqual([0, 0, 10]);
  });

  test("reset() forgets what is held", () => {
    const writer = new Writer(10);
    writer.puback(1);
    writer.reset();
    expect([writer.start, writer.end, writer.room()]).toEqual([0, 0, 10]);
  });

  test("any payload range comes out whole and harms nothing beside it", () => {
    const size = fc.integer({ min: 1, max: 300 });
    fc.assert(
      fc.property(size, fc.nat(299), fc.nat(300), fc.nat(40), (length, a, b, slack) => {
        const source = Uint8Array.from({ length }, (_, index) => 1 + (index % 250));
        const from = Math.min(a, length);
        const to = Math.min(from + b, length);
        const wanted = source.slice(from, to);
        const writer = new Writer(4 + 10 + wanted.length + 4 + slack);
        writer.puback(7);
        expect(publish(writer, "t/t", source, from, to)).toBe(true);
        expect(writer.puback(8)).toBe(true);
        const head = wanted.length + 7 > 127 ? 3 : 2;
        const at = 4 + head + 7;
        expect(written(writer).startsWith("40 02 00 07 32")).toBe(true);
        expect(toHex(writer.bytes.subarray(at, at + wanted.length))).toBe(toHex(wanted));
        expect(toHex(writer.bytes.subarray(at + wanted.length, writer.end))).toBe("40 02 00 08");
      }),
      { numRuns: 1000 },
    );
  });
});

describe("a caller's mistakes", () => {
  const writer = new Writer(100_000);
  const none = new Uint8Array(0);
  const topic = ascii.encode("a");
  const long = "x".repeat(65_536);
  const mistakes: [string, () => unknown][] = [
    ["no client id", () => writer.connect("", "u", "p", 60, true)],
    ["a password without a user name", () => writer.connect("d", "", "p", 60, true)],
    ["a password too long", () => writer.connect("d", "u", long, 60, true)],
    ["a keep-alive of 65536", () => writer.connect("d", "u", "p", 65_536, true)],
    ["a keep-alive below 0", () => writer.connect("d", "u", "p", -1, true)],
    ["an empty topic", () => writer.publish(topic, 1, 1, none, 0, 0, 0, false, false, 0)],
    [
      "a topic of 65536 bytes",
      () => writer.publish(ascii.encode(long), 0, 65_536, none, 0, 0, 0, false, false, 0),
    ],
    [
      "a payload that ends early",
      () => writer.publish(topic, 0, 1, topic, 1, 0, 0, false, false, 0),
    ],
    ["identifier 0", () => writer.publish(topic, 0, 1, none, 0, 0, 1, false, false, 0)],
    ["DUP at QoS 0", () => writer.publish(topic, 0, 1, none, 0, 0, 0, true, false, 0)],
    ["a wildcard", () => writer.publishText("a/#", "", 0, 0)],
    ["U+0000 in a topic", () => writer.publishText("a\0", "", 0, 0)],
    ["an empty text topic", () => writer.publishText("", "", 0, 0)],
    ["a lone surrogate in a payload", () => writer.publishText("a", "\ud800", 0, 0)],
    ["identifier 65536", () => writer.publishText("a", "", 1, 65_536)],
    ["PUBACK 0", () => writer.puback(0)],
    ["no filter", () => writer.subscribe(1, [], [])],
    ["no filter to drop", () => writer.unsubscribe(1, [])],
    ["a filter without a QoS", () => writer.subscribe(1, ["a", "b"], [0])],
    ["a bad filter", () => writer.subscribe(1, ["a#"], [0])],
    ["SUBSCRIBE 0", () => writer.subscribe(0, ["a"], [0])],
    ["more consumed than held", () => writer.consume(1)],
    ["less than nothing consumed", () => writer.consume(-1)],
    ["a capacity of 1", () => new Writer(1)],
    ["a capacity beyond any packet", () => new Writer(268_435_461)],
  ];

  test.each(mistakes)("%s", (_name, mistake) => {
    expect(mistake).toThrow();
    expect([writer.start, writer.end]).toEqual([0, 0]);
  });
});
