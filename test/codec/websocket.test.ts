// Tests of src/codec/websocket.ts: every kind of frame, every rule that a server can break, and
// streams beside a second reader.
// Neighbours: test/fuzz/frames.ts is that reader; masker.test.ts has the other direction.
// Invariant: bytes are written out here, from RFC 6455 alone.

import { describe, expect, test } from "bun:test";
import { FrameReader, FrameResult } from "../../src/codec/websocket.ts";
import { Prng } from "../../src/kit/prng.ts";
import { frame, judgeFrames, legalFrames, type Said } from "../fuzz/frames.ts";

const BYTES_MAX = 70_000;
const NONE = Buffer.alloc(0);

/** Reads a stream in chunks of `size` bytes and tells all that it said. */
function read(stream: Uint8Array, size = stream.length, reader = new FrameReader(BYTES_MAX)): Said {
  const data: Uint8Array[] = [];
  const pings: string[] = [];
  let close = 0;
  for (let at = 0; at < stream.length; at += size) {
    const chunk = stream.subarray(at, at + size);
    reader.feed(chunk, 0);
    let result = reader.next();
    for (; result !== FrameResult.MORE && result !== FrameResult.REFUSED; result = reader.next()) {
      if (result === FrameResult.DATA) data.push(chunk.slice(reader.start, reader.end));
      if (result === FrameResult.CLOSE) close = reader.closeCode;
      if (result !== FrameResult.PING) continue;
      pings.push(Buffer.from(reader.control.subarray(0, reader.controlLength)).toString("hex"));
    }
  }
  const hex = Buffer.concat(data).toString("hex");
  return { data: hex, pings, close, isRefused: reader.problem !== "" };
}

function problemOf(...frames: readonly Uint8Array[]): string {
  const reader = new FrameReader(BYTES_MAX);
  expect(read(Buffer.concat(frames), undefined, reader).isRefused).toBe(true);
  return reader.problem;
}

describe("frames that are taken", () => {
  test("the examples of RFC 6455, 5.7, as binary", () => {
    const hello = Buffer.from("Hello").toString("hex");
    const whole = Buffer.from("820548656c6c6f", "hex");
    expect(read(whole)).toEqual({ data: hello, pings: [], close: 0, isRefused: false });
    const fragments = Buffer.from("020348656c80026c6f", "hex");
    expect(read(fragments).data).toBe(hello);
    expect(read(Buffer.from("890548656c6c6f", "hex")).pings).toEqual([hello]);
    expect(read(Buffer.from("8a0548656c6c6f", "hex"))).toMatchObject({ data: "", pings: [] });
  });

  test.each([0, 1, 125, 126, 127, 65_535, 65_536, BYTES_MAX])("a payload of %d bytes", (size) => {
    const payload = Buffer.alloc(size, 7);
    const bytes = Buffer.concat([frame(0x82, payload), frame(0x82, Buffer.of(1))]);
    const expected = { data: `${payload.toString("hex")}01`, isRefused: false };
    expect(read(bytes)).toMatchObject(expected);
    expect(read(bytes, 1000)).toMatchObject(expected);
  });

  test("a ping within a message, and empty fragments", () => {
    const parts = [frame(2, Buffer.of(1)), frame(0x89, Buffer.of(9)), frame(0, NONE)];
    const said = read(Buffer.concat([...parts, frame(0x80, Buffer.of(2)), frame(0x82, NONE)]));
    expect(said).toEqual({ data: "0102", pings: ["09"], close: 0, isRefused: false });
  });

  test.each([
    [NONE, 1005],
    [Buffer.from("03e8", "hex"), 1000],
    [Buffer.from("03e9c3a9", "hex"), 1001],
    [Buffer.from("0f9f", "hex"), 3999],
  ])("a close of %p", (payload, code) => {
    const said = read(Buffer.concat([frame(0x88, payload), frame(0x82, Buffer.of(1))]));
    expect(said).toEqual({ data: "", pings: [], close: code, isRefused: false });
  });
});

describe("rules that a server can break", () => {
  const cases: readonly (readonly [string, readonly Uint8Array[], string])[] = [
    ["a text frame (MQTT-6.0.0-1)", [frame(0x81, NONE)], "a text frame"],
    ["a text frame in a message", [frame(0x02, NONE), frame(0x81, NONE)], "a text frame"],
    ["RSV1", [frame(0xc2, NONE)], "reserved bits set"],
    ["RSV2", [frame(0xa2, NONE)], "reserved bits set"],
    ["RSV3", [frame(0x99, NONE)], "reserved bits set"],
    ["opcode 3", [frame(0x83, NONE)], "reserved opcode 3"],
    ["opcode 7", [frame(0x87, NONE)], "reserved opcode 7"],
    ["opcode 11", [frame(0x8b, NONE)], "reserved opcode 11"],
    ["opcode 15", [frame(0x8f, NONE)], "reserved opcode 15"],
    ["a mask", [Buffer.from("82810000000000", "hex")], "a masked frame"],
    ["a continuation first", [frame(0x80, NONE)], "a continuation of nothing"],
    [
      "a continuation behind a whole message",
      [frame(0x82, NONE), frame(0, NONE)],
      "a continuation of nothing",
    ],
    ["two beginnings", [frame(2, NONE), frame(0x82, NONE)], "a message within a message"],
    ["a ping in fragments", [frame(9, NONE)], "a control frame in fragments"],
    ["a close in fragments", [frame(8, NONE)], "a control frame in fragments"],
    [
      "a ping of 126 bytes",
      [frame(0x89, Buffer.alloc(126))],
      "a control frame of more than 125 bytes",
    ],
    ["125 in two bytes", [frame(0x82, Buffer.alloc(125), 2)], "a length in too many bytes"],
    ["65,535 in eight", [frame(0x82, Buffer.alloc(65_535), 8)], "a length in too many bytes"],
    ["more than allowed", [frame(0x82, Buffer.alloc(70_001))], "a frame of more than 70000 bytes"],
    [
      "the longest of all",
      [Buffer.from("827fffffffffffffffff", "hex")],
      "a frame of more than 70000 bytes",
    ],
    ["a close of one byte", [frame(0x88, Buffer.of(3))], "a close that breaks its rules"],
    [
      "a close with bad UTF-8",
      [frame(0x88, Buffer.of(3, 232, 255))],
      "a close that breaks its rules",
    ],
  ];
  test.each(cases)("%s", (_, frames, problem) => {
    expect(problemOf(...frames)).toBe(problem);
  });

  test.each([0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535])("close %d", (code) => {
    const payload = Buffer.of(code >> 8, code & 255);
    expect(problemOf(frame(0x88, payload))).toBe("a close that breaks its rules");
  });

  test("what came before counts, what comes behind does not, until the next connection", () => {
    const reader = new FrameReader(BYTES_MAX);
    const bytes = Buffer.concat([
      frame(0x82, Buffer.of(1)),
      frame(0x81, NONE),
      frame(0x82, Buffer.of(2)),
    ]);
    expect(read(bytes, undefined, reader)).toMatchObject({ data: "01", isRefused: true });
    expect(read(frame(0x82, Buffer.of(3)), undefined, reader)).toMatchObject({ data: "" });
    reader.reset();
    expect(read(frame(0x82, Buffer.of(4)), undefined, reader)).toMatchObject({
      data: "04",
      isRefused: false,
    });
  });

  test("a message left open does not outlive its connection", () => {
    const reader = new FrameReader(BYTES_MAX);
    read(frame(2, Buffer.of(1)), undefined, reader);
    reader.reset();
    expect(read(frame(0x82, Buffer.of(2)), undefined, reader)).toMatchObject({
      data: "02",
      isRefused: false,
    });
  });
});

test("legal streams are read as the second reader reads them, however they are torn", () => {
  const prng = new Prng(6455);
  for (let round = 0; round < 500; round++) {
    const stream = legalFrames(prng);
    const expected = judgeFrames(stream, BYTES_MAX);
    expect(expected.isRefused).toBe(false);
    for (const size of [stream.length, 1, 1 + prng.below(40)]) {
      expect(read(stream, size)).toEqual(expected);
    }
  }
});
