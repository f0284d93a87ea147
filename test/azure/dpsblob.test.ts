/**
 * The `authenticationKey`: its layout, and that one chip and no other opens it. Neighbours:
 * `chip.ts` undoes by hand what `model/dps/blob.ts` does. Invariant: nothing here uses the model's
 * own arithmetic as the answer.
 */
import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { Chip } from "./chip.ts";
import { type PublicArea, parseArea } from "./model/dps/area.ts";
import { makeBlob, shortened, spoilt } from "./model/dps/blob.ts";

const chip = Chip.make();
const other = Chip.make();
const key = Buffer.from("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "hex");

/** A world whose bytes count up from `seed`. */
const world = (seed: number) => {
  let next = seed;
  return {
    nowMs: () => 0,
    randomBytes: (length: number) => Uint8Array.from({ length }, () => next++ & 0xff),
  };
};

function area(text: string): PublicArea {
  const parsed = parseArea(text);
  if (typeof parsed === "string") throw new Error(parsed);
  return parsed;
}

function blobFor(device: Chip, uri: string, seed = 1): Buffer {
  return makeBlob(world(seed), {
    endorsementKey: area(device.endorsementKey),
    storageRootKey: area(device.storageRootKey),
    key,
    uri,
  });
}

describe("a blob", () => {
  test("opens to the key and the uri in the chip that it was made for", () => {
    const opened = chip.open(blobFor(chip, "hub.example").toString("base64"));
    expect(opened.key.equals(key)).toBe(true);
    expect(opened.uri).toBe("hub.example");
  });

  test("has the layout of the real one", () => {
    const blob = blobFor(chip, "0123456789abcdef");
    expect(blob).toHaveLength(798 + 16);
    const { sizes, area: made } = chip.open(blob.toString("base64"));
    expect(sizes).toEqual([54, 258, 144, 258, 82, 18]);
    // KEYEDHASH, SHA-256, sign|userWithAuth|noDA, PolicyCommandCode(Duplicate), HMAC, SHA-256.
    const policy = "bef56b8c1cc84e11edd717528d2cd99356bd2bbf8f015209c3f84aeeaba8e8a2";
    const head = `0008000b000404400020${policy}0005000b`;
    expect(made.subarray(0, 46).toString("hex")).toBe(head);
  });

  test("keeps an empty last field when there is no uri", () => {
    const { sizes, uri } = chip.open(blobFor(chip, "").toString("base64"));
    expect([sizes[5], uri]).toEqual([2, ""]);
  });

  test("is the same for the same randomness and another one for another", () => {
    expect(blobFor(chip, "h", 7).equals(blobFor(chip, "h", 7))).toBe(true);
    expect(blobFor(chip, "h", 7).equals(blobFor(chip, "h", 8))).toBe(false);
  });

  test("does not open in another chip, nor after the owner has cleared this one", () => {
    const blob = blobFor(chip, "h").toString("base64");
    expect(() => other.open(blob)).toThrow();
    expect(() => chip.cleared().open(blob)).toThrow("TPM_RC_INTEGRITY");
  });

  test("with a wrong HMAC is refused by the chip, with its end cut off too", () => {
    const blob = blobFor(chip, "h");
    expect(() => chip.open(spoilt(blob).toString("base64"))).toThrow("TPM_RC_INTEGRITY");
    expect(() => chip.open(shortened(blob).toString("base64"))).toThrow("cut short");
    expect(chip.open(blob.toString("base64")).key.equals(key)).toBe(true);
  });

  test("with any bit flipped never opens to another key", () => {
    const blob = blobFor(chip, "h");
    const uriBytes = 3;
    for (let index = 0; index < blob.length - uriBytes; index += 5) {
      const bent = Buffer.from(blob);
      bent[index]! ^= 1 << (index & 7);
      expect(() => chip.open(bent.toString("base64"))).toThrow();
    }
  });

  test("carries keys of other sizes", () => {
    const long = Buffer.alloc(64, 5);
    const content = {
      endorsementKey: area(chip.endorsementKey),
      storageRootKey: area(chip.storageRootKey),
      key: long,
      uri: "",
    };
    const opened = chip.open(makeBlob(world(3), content).toString("base64"));
    const sign = (by: Buffer): string => createHmac("sha256", by).update("x").digest("hex");
    expect(sign(opened.key)).toBe(sign(long));
  });
});

describe("a public area", () => {
  const whole = Buffer.from(chip.storageRootKey, "base64");
  const bent = (at: number, ...bytes: number[]): string => {
    const copy = Buffer.from(whole);
    copy.set(bytes, at);
    return copy.toString("base64");
  };

  test("of EK and SRK gives modulus and name", () => {
    expect(area(chip.endorsementKey).modulus).toHaveLength(256);
    expect(area(chip.storageRootKey).name.toString("hex", 0, 2)).toBe("000b");
  });

  test("with an exponent spelled out is taken", () => {
    expect(typeof parseArea(bent(22, 0, 1, 0, 1))).toBe("object");
  });

  const cases: [string, string, RegExp][] = [
    ["no base64", "?", /not base64/],
    ["nothing", "", /not base64/],
    ["a size that does not fit", bent(0, 9, 9), /size field/],
    ["too short", Buffer.from([0, 2, 0, 1]).toString("base64"), /size field/],
    ["an elliptic key", bent(2, 0, 0x23), /not an RSA key/],
    ["another name algorithm", bent(4, 0, 4), /name algorithm/],
    ["a signing key", bent(6, 0, 4, 0, 0), /restricted decryption/],
    ["a policy that runs over", bent(10, 0xff, 0xff), /does not fit/],
    ["AES-256", bent(14, 1, 0), /AES-128-CFB/],
    ["a scheme", bent(18, 0, 0x14), /scheme/],
    ["1024 bits", bent(20, 4, 0), /2048 bits/],
    ["exponent 3", bent(22, 0, 0, 0, 3), /exponent/],
    ["a short modulus", bent(26, 0, 0x80), /modulus is cut/],
    ["an even modulus", bent(whole.length - 1, 2), /not one of RSA-2048/],
    ["a small modulus", bent(28, 0x7f), /not one of RSA-2048/],
  ];
  for (const [what, text, problem] of cases) {
    test(`${what} is refused by name`, () => {
      expect(parseArea(text)).toMatch(problem);
    });
  }
});
