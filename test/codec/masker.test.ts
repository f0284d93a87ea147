// Tests of src/codec/masker.ts: every frame unmasked again by its own key, byte by byte.
// Neighbours: websocket.test.ts has the other direction; port/websocket.test.ts another reader.
// Invariant: expectations come from RFC 6455, 5.2 and 5.3.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Masker } from "../../src/codec/masker.ts";
import { Prng } from "../../src/kit/prng.ts";

interface Frame {
  readonly first: number;
  readonly key: number;
  readonly payload: Buffer;
}

/** The frames that wait in a masker, which are then consumed. */
function take(masker: Masker): Frame[] {
  const bytes = Buffer.from(masker.bytes.subarray(masker.start, masker.end));
  masker.consume(masker.end - masker.start);
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at]!;
    expect(bytes[at + 1]! & 0x80).toBe(0x80);
    const short = bytes[at + 1]! & 0x7f;
    expect(short).toBeLessThan(127);
    const size = short === 126 ? bytes.readUInt16BE(at + 2) : short;
    if (short === 126) expect(size).toBeGreaterThan(125);
    at += short === 126 ? 4 : 2;
    const key = bytes.readUInt32BE(at);
    const mask = bytes.subarray(at, at + 4);
    const payload = bytes
      .subarray(at + 4, at + 4 + size)
      .map((byte, index) => byte ^ mask[index % 4]!);
    expect(payload.length).toBe(size);
    frames.push({ first, key, payload: Buffer.from(payload) });
    at += 4 + size;
  }
  return frames;
}

describe("a masker", () => {
  test("writes the example of RFC 6455, 5.7, as binary", () => {
    const masker = new Masker(1024, () => 0x37fa213d);
    expect(masker.data(Buffer.from("Hello"), 0, 5)).toBe(5);
    const bytes = Buffer.from(masker.bytes.subarray(masker.start, masker.end));
    expect(bytes.toString("hex")).toBe("828537fa213d7f9f4d5158");
  });

  test("takes what fits, loses nothing, and keys each frame anew", () => {
    const prng = new Prng(1);
    const all = Buffer.from(Array.from({ length: 9000 }, () => prng.below(256)));
    const runs = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(runs, fc.integer({ min: 0, max: 7 }), (sizes, offset) => {
        const words = new Prng(offset);
        const masker = new Masker(1024 + offset * 100, () => words.next32());
        const seen: Frame[] = [];
        let at = offset;
        for (const size of sizes) {
          const taken = masker.data(all, at, Math.min(at + size, all.length));
          at += taken;
          if (taken < size) seen.push(...take(masker));
        }
        seen.push(...take(masker));
        const text = Buffer.concat(seen.map(({ payload }) => payload));
        expect(text.equals(all.subarray(offset, at))).toBe(true);
        expect(seen.every(({ first, payload }) => first === 0x82 && payload.length > 0)).toBe(true);
        expect(new Set(seen.map(({ key }) => key)).size).toBe(seen.length);
      }),
    );
  });

  test("leaves room for a pong and a close when data has filled it", () => {
    const masker = new Masker(1024, () => 1);
    while (masker.data(new Uint8Array(100), 0, 100) > 0);
    masker.pong(new Uint8Array(125).fill(3), 125);
    masker.close(1000);
    expect(masker.end).toBeLessThanOrEqual(1024);
    const last = take(masker).slice(-2);
    expect(last.map(({ first }) => first)).toEqual([0x8a, 0x88]);
    expect(last[0]!.payload.equals(Buffer.alloc(125, 3))).toBe(true);
    expect(last[1]!.payload.toString("hex")).toBe("03e8");
  });

  test("a flood of pings fills no more than its buffer, and a close still fits", () => {
    const masker = new Masker(1024, () => 1);
    for (let count = 0; count < 1000; count++) masker.pong(new Uint8Array(125), 125);
    masker.close(1002);
    expect(take(masker).at(-1)!.payload.toString("hex")).toBe("03ea");
  });

  test("writes nothing behind a close, and begins anew after a reset", () => {
    const masker = new Masker(1024, () => 1);
    masker.close(1000);
    masker.close(1001);
    masker.pong(new Uint8Array(1), 1);
    expect(masker.data(new Uint8Array(5), 0, 5)).toBe(0);
    expect(take(masker)).toHaveLength(1);
    expect(masker.isEmpty).toBe(true);
    masker.reset();
    expect(masker.data(new Uint8Array(5), 0, 5)).toBe(5);
  });

  test("what a socket takes in parts stays in order", () => {
    const masker = new Masker(2048, () => 0x01020304);
    masker.data(Buffer.from("one"), 0, 3);
    const whole = Buffer.from(masker.bytes.subarray(masker.start, masker.end));
    masker.consume(4);
    expect(Buffer.from(masker.bytes.subarray(masker.start, masker.end))).toEqual(whole.subarray(4));
    masker.data(Buffer.from("two"), 0, 3);
    masker.consume(whole.length - 4);
    expect(take(masker)[0]!.payload.toString()).toBe("two");
  });
});
