// Row, tested: what was written comes back; what was changed in any column does not.
// Neighbours: `src/kit/row.ts`; the sums here are zlib's.
// Invariant: the sum is held against one made another way.

import { describe, expect, test } from "bun:test";
import { crc32 } from "node:zlib";
import { type Message, type Row, Seal } from "../../src/kit/row.ts";

const MESSAGE: Message = {
  sequence: 300,
  priority: 2,
  acceptedS: 1_790_000_000,
  expiresS: 0,
  bag: "a=b%20c",
  body: new TextEncoder().encode("body"),
};

function rowOf({ acceptedS, expiresS, bag, body }: Message, sum: number): Row {
  return { key: 2 * 2 ** 49 + 300, accepted: acceptedS, expires: expiresS, sum, bag, body };
}

const seal = new Seal((bytes, from) => crc32(bytes, from));
const row = rowOf(MESSAGE, seal.sumOf(MESSAGE));

test("a message comes back", () => {
  expect(seal.messageOf(row)).toEqual(MESSAGE);
});

test("the sum is over key, times, bag and body", () => {
  const head = Buffer.alloc(28);
  head.writeDoubleBE(2 * 2 ** 49 + 300, 0);
  head.writeDoubleBE(1_790_000_000, 8);
  head.writeUInt32BE(7, 24);
  expect(seal.sumOf(MESSAGE)).toBe(crc32(Buffer.concat([head, Buffer.from("a=b%20cbody")])));
});

test("a bag longer than any before has its sum too", () => {
  const long = { ...MESSAGE, bag: "x".repeat(5000) };
  expect(seal.messageOf({ ...rowOf(long, seal.sumOf(long)) })).toEqual(long);
});

describe("a row is no message", () => {
  test.each<[string, Row]>([
    ["with another key", { key: 2 * 2 ** 49 + 301 }],
    ["with another time", { accepted: 1_790_000_001 }],
    ["with another end", { expires: 1 }],
    ["with another bag", { bag: "a=b%20d" }],
    ["with a longer bag", { bag: "a=b%20cb", body: new TextEncoder().encode("ody") }],
    ["with another body", { body: new TextEncoder().encode("bodz") }],
    ["with another sum", { sum: 1 }],
    ["without a sum", { sum: null }],
    ["with a text for a body", { body: "body" }],
    ["with a blob for a bag", { bag: new Uint8Array(1) }],
    ["with a text for a key", { key: "300" }],
    ["with a fraction for a time", { accepted: 0.5 }],
    ["with nothing for an end", { expires: null }],
  ])("%s", (_name, change) => {
    expect(seal.messageOf({ ...row, ...change })).toBeUndefined();
  });
});
