// Tests of src/codec/capability.ts with answers as swtpm gave them, and with broken ones.
// Neighbours: `request.ts` asks for them.
// Invariant: bytes stand here field by field.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Property, packedText, parseHandles, parseProperties } from "../../src/codec/capability.ts";

function bytes(...fields: readonly string[]): Buffer {
  return Buffer.from(fields.join(""), "hex");
}

describe("handles", () => {
  test("are told in their order", () => {
    const answer = bytes("00", "00000001", "00000002", "81000001", "81010001");
    expect(parseHandles(answer)).toEqual([0x81000001, 0x81010001]);
    expect(parseHandles(bytes("01", "00000001", "00000000"))).toEqual([]);
  });

  test.each([
    ["nothing", bytes()],
    ["properties", bytes("00", "00000006", "00000001", "00000100", "322e3000")],
    ["fewer than told", bytes("00", "00000001", "00000002", "81000001")],
    ["more than told", bytes("00", "00000001", "00000000", "81000001")],
    ["very many", bytes("00", "00000001", "ffffffff", "81000001")],
    ["half a handle", bytes("00", "00000001", "00000001", "8100")],
  ])("are not %s", (_name, answer) => {
    expect(parseHandles(answer)).toBeUndefined();
  });
});

describe("properties", () => {
  const answer = bytes(
    "01",
    "00000006",
    "00000003",
    "00000100",
    "322e3000",
    "00000105",
    "49424d00",
    "00000200",
    "00000601",
  );

  test("are told by number", () => {
    const properties = parseProperties(answer)!;
    expect(properties.size).toBe(3);
    expect(packedText(properties.get(Property.FAMILY)!)).toBe("2.0");
    expect(packedText(properties.get(Property.MANUFACTURER)!)).toBe("IBM");
    expect(properties.get(Property.PERMANENT)).toBe(0x601);
    expect(properties.get(Property.FIRMWARE_1)).toBeUndefined();
  });

  test.each([
    ["nothing", bytes()],
    ["handles", bytes("00", "00000001", "00000001", "81000001")],
    ["cut", answer.subarray(0, -1)],
    ["longer", Buffer.concat([answer, Buffer.alloc(8)])],
    ["very many", bytes("00", "00000006", "00000200", "00000100", "322e3000")],
  ])("are not %s", (_name, wrong) => {
    expect(parseProperties(wrong)).toBeUndefined();
  });
});

test("text from a property shows no control characters", () => {
  expect(packedText(0x53570a00)).toBe("SW");
  expect(packedText(0xff20214e)).toBe("!N");
});

test("no bytes make it throw", () => {
  const head = fc.constantFrom("0000000001", "0000000006", "");
  fc.assert(
    fc.property(head, fc.uint8Array({ maxLength: 64 }), (start, rest) => {
      const answer = Buffer.concat([Buffer.from(start, "hex"), rest]);
      const handles = parseHandles(answer);
      const properties = parseProperties(answer);
      const isWhole = handles === undefined || answer.length === 9 + 4 * handles.length;
      return isWhole && (properties === undefined || (answer.length - 9) % 8 === 0);
    }),
  );
});
