// Tests of src/codec/public.ts with public areas as the TCG and the reference server have them.
// Neighbours: `test/tpm` has the same areas for other uses; node:crypto is the second opinion.
// Invariant: bytes stand here in hexadecimal, field by field.

import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { Algorithm, isLike, nameOf, type PublicArea, parsePublic } from "../../src/codec/public.ts";
import { EK_TEMPLATE, SRK_TEMPLATE, sized } from "../tpm/client.ts";

const POLICY = "bef56b8c1cc84e11edd717528d2cd99356bd2bbf8f015209c3f84aeeaba8e8a2";
const UNIQUE = "11".repeat(32);
/** Type, name algorithm, attributes, policy, scheme, its hash, unique. */
const HMAC_FIELDS = ["0008", "000b", "00040440", `0020${POLICY}`, "0005", "000b", `0020${UNIQUE}`];

function area(...fields: readonly string[]): Buffer {
  return sized(Buffer.from(fields.join(""), "hex"));
}

function parsed(bytes: Uint8Array): PublicArea {
  const result = parsePublic(bytes);
  if (typeof result === "string") throw new Error(result);
  return result;
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();

describe("a public area", () => {
  test("of an endorsement key", () => {
    const result = parsed(EK_TEMPLATE);
    expect(result.type).toBe(Algorithm.RSA);
    expect(result.nameAlgorithm).toBe(0x000b);
    expect(result.attributes).toBe(0x000300b2);
    expect(Buffer.from(result.policy).toString("hex")).toStartWith("837197674484b3f8");
    expect(result.keyBits).toBe(2048);
    expect(result.unique).toHaveLength(256);
    expect(result.head).toHaveLength(EK_TEMPLATE.length - 2 - 258);
  });

  test("of an HMAC key", () => {
    const result = parsed(area(...HMAC_FIELDS));
    expect(result.type).toBe(Algorithm.KEYEDHASH);
    expect([result.attributes, result.scheme, result.keyBits]).toEqual([0x00040440, 0x0005, 0]);
    expect(Buffer.from(result.unique).toString("hex")).toBe(UNIQUE);
  });

  test("of other keyed-hash schemes", () => {
    const [type, name, attributes, policy, , , unique] = HMAC_FIELDS as [
      string,
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    expect(parsed(area(type, name, attributes, policy, "0010", unique)).scheme).toBe(0x0010);
    const xor = area(type, name, attributes, policy, "000a", "000b", "0022", unique);
    expect(parsed(xor).scheme).toBe(0x000a);
  });

  test("of an RSA key that signs: no cipher for children, a scheme with its hash", () => {
    const fields = ["0001", "000b", "00040072", "0000", "0010", "0014", "000b", "0800", "00000000"];
    const result = parsed(area(...fields, `0100${"77".repeat(256)}`));
    expect([result.keyBits, result.unique.length]).toEqual([2048, 256]);
  });

  test.each([
    ["nothing", Buffer.alloc(0)],
    ["a size alone", Buffer.from("0000", "hex")],
    ["a size too large", Buffer.from("0003 0001".replace(" ", ""), "hex")],
    ["one byte more", Buffer.concat([area(...HMAC_FIELDS), Buffer.alloc(1)])],
    ["one byte more inside", area(...HMAC_FIELDS, "00")],
    ["a type alone", area("0008")],
    ["a policy beyond the end", area("0008", "000b", "00040440", "0021", POLICY)],
    [
      "a policy of 65 bytes",
      area("0008", "000b", "00040440", `0041${"00".repeat(65)}`, "00100000"),
    ],
    ["no unique", area(...HMAC_FIELDS.slice(0, -1))],
    ["a digest of 65 bytes", area(...HMAC_FIELDS.slice(0, -1), `0041${"00".repeat(65)}`)],
    ["a modulus of 513 bytes", rsa(513)],
  ])("is not %s", (_name, bytes) => {
    expect(parsePublic(bytes)).toMatch(/^public area: [a-z ]+$/);
  });

  test("of an elliptic curve key is named and refused", () => {
    expect(parsePublic(area("0023", "000b", "00000000", "0000"))).toBe(
      "public area: type 0x0023; allowed: 0x0001 (RSA), 0x0008 (keyed hash)",
    );
  });

  test("never throws, and what it takes it takes whole", () => {
    const bases = [EK_TEMPLATE, SRK_TEMPLATE, area(...HMAC_FIELDS)];
    const spoiled = fc
      .tuple(fc.constantFrom(...bases), fc.nat(), fc.nat(255), fc.nat(3))
      .map(([base, place, value, cut]) => {
        const bytes = Buffer.from(base.subarray(0, base.length - cut));
        bytes[place % bytes.length] = value;
        return bytes;
      });
    fc.assert(
      fc.property(spoiled, (bytes) => {
        const result = parsePublic(bytes);
        if (typeof result === "string") return true;
        const { head, unique, body } = result;
        return head.length + 2 + unique.length === body.length && body.length + 2 === bytes.length;
      }),
    );
  });
});

function rsa(modulusBytes: number): Buffer {
  const size = modulusBytes.toString(16).padStart(4, "0");
  const fields = ["0001", "000b", "00000000", "0000", "0010", "0010", "0800", "00000000"];
  return area(...fields, size, "55".repeat(modulusBytes));
}

describe("a name", () => {
  test("is the digest of the area without its size", () => {
    const bytes = area(...HMAC_FIELDS);
    const name = Buffer.from(nameOf(parsed(bytes), sha256)).toString("hex");
    expect(name).toBe(`000b${sha256(bytes.subarray(2)).toString("hex")}`);
  });

  test("of another algorithm is not told", () => {
    const bytes = area("0008", "000c", ...HMAC_FIELDS.slice(2));
    expect(nameOf(parsed(bytes), sha256)).toHaveLength(0);
  });
});

describe("likeness to a template", () => {
  const key = Buffer.from(EK_TEMPLATE);
  key.fill(0xab, key.length - 256);

  test("is a matter of everything but the key", () => {
    expect(isLike(parsed(key), parsed(EK_TEMPLATE))).toBe(true);
    expect(isLike(parsed(key), parsed(SRK_TEMPLATE))).toBe(false);
  });

  test("wants a key as long as it says", () => {
    const empty = area(EK_TEMPLATE.subarray(2, -258).toString("hex"), "0000");
    expect(isLike(parsed(empty), parsed(EK_TEMPLATE))).toBe(false);
    expect(isLike(parsed(key), parsed(empty))).toBe(true);
  });
});
