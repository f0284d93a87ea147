// Tpminfo, tested: what people, scripts and DPS read of one and the same TPM.
// Neighbours: `src/core/tpminfo.ts`; findings are put together here as `inquiry` gives them.
// Invariant: the report is compared whole, and keys with the base64 of node:buffer.

import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { type Findings, type KeyFinding, KeyState, Origin } from "../../src/core/inquiry.ts";
import {
  enrollmentJson,
  infoJson,
  infoText,
  scanText,
  type TpmInfo,
  tpmInfo,
} from "../../src/core/tpminfo.ts";

const EK = Buffer.alloc(316, 0xa5);
const SRK = Buffer.alloc(284, 0x5a);
/** base32 of SHA-256 over EK, by coreutils. */
const ID = "7s7nx3mpjyitmgm6s22ub4vvpixkrbacqjwv5wu2pqvs5kp23gda";

function key(publicArea: Buffer, state = KeyState.PERSISTENT): KeyFinding {
  return { state, publicArea, reason: "" };
}

function unknown(reason: string): KeyFinding {
  return { state: KeyState.UNKNOWN, publicArea: new Uint8Array(0), reason };
}

const PROPERTIES: readonly (readonly [number, number])[] = [
  [0x100, 0x322e3000],
  [0x101, 0],
  [0x102, 138],
  [0x103, 8],
  [0x104, 2018],
  [0x105, 0x49465800],
  [0x106, 0x534c4239],
  [0x107, 0x36373000],
  [0x108, 0],
  [0x109, 0],
  [0x10b, 0x00070055],
  [0x10c, 0x0011cb00],
  [0x200, 0],
  [0x20e, 1],
  [0x20f, 32],
  [0x210, 7200],
  [0x211, 86400],
];

const FINDINGS: Findings = {
  properties: new Map(PROPERTIES),
  handles: [0x81000001, 0x81000100, 0x81010001, 0x81018000],
  endorsement: key(EK),
  storage: key(SRK),
  origin: Origin.TCG,
  originReason: "",
};

function infoOf(changes: Partial<Findings> = {}, permanent = 0): TpmInfo {
  const properties = new Map([...PROPERTIES, [0x200, permanent]] as [number, number][]);
  const findings = { ...FINDINGS, properties, ...changes };
  return tpmInfo(findings, (bytes) => createHash("sha256").update(bytes).digest());
}

describe("for people", () => {
  test("a provisioned TPM", () => {
    expect(infoText(infoOf())).toBe(`Registration id
${ID}

Endorsement key (persistent)
${EK.toString("base64")}

Storage root key (persistent)
${SRK.toString("base64")}

manufacturer        IFX (Infineon)
model               SLB9670
firmware            7.85.17.51968 (0x000700550011cb00)
specification       TPM 2.0, level 0, revision 1.38, day 8 of 2018
key template        TCG L-1 (unique of 256 zero bytes, as EK certificates have it)
persistent handles  0x81000001 storage root key
                    0x81000100 device key
                    0x81010001 endorsement key
                    0x81018000
passwords           owner not set, endorsement not set, lockout not set
lockout             no; 1 of 32 failed tries, one is forgotten each 7200 s
`);
  });

  test("a blank one: which handles are empty, and what fills them", () => {
    const text = infoText(
      infoOf({
        handles: [],
        endorsement: key(EK, KeyState.COMPUTED),
        storage: key(SRK, KeyState.CREATED),
      }),
    );
    expect(text).toContain(`Endorsement key (not persisted yet)\n${EK.toString("base64")}\n`);
    expect(text).toContain(`Storage root key (created now)\n${SRK.toString("base64")}\n`);
    expect(text).toContain("persistent handles  none\n");
    expect(text).toEndWith(`

0x81010001 is empty: the endorsement key is not persisted yet; \
the first registration or azimuth tpm --create makes this one
0x81000001 was empty: the storage root key was made and is there now
`);
  });

  test("one that keeps its keys to itself", () => {
    const reason = "the endorsement password is set";
    const text = infoText(
      infoOf({ endorsement: unknown(reason), origin: Origin.UNKNOWN }, (1 << 1) | (1 << 9)),
    );
    expect(text).toStartWith("Registration id\nunknown\n\nEndorsement key (unknown)\nunknown\n");
    expect(text).toContain("key template        unknown\n");
    expect(text).toContain("owner not set, endorsement set, lockout not set\n");
    expect(text).toContain("lockout             LOCKED OUT; 1 of 32 failed tries");
    expect(text).toEndWith(
      `\n\n0x81010001 is empty, and what endorsement key would be made is not known: ${reason}\n`,
    );
  });

  test.each([
    [Origin.EMPTY, "empty unique (as Microsoft's C and Node.js clients have it)"],
    [Origin.OTHER, "other (none that azimuth knows)"],
  ])("template %p", (origin, words) => {
    expect(infoText(infoOf({ origin }))).toContain(`key template        ${words}\n`);
  });

  test("a template that was not found out", () => {
    const text = infoText(infoOf({ origin: Origin.UNKNOWN, originReason: "a reason" }));
    expect(text).toContain("key template        unknown\n");
    expect(text).toEndWith("\n\nkey template not found out: a reason\n");
  });

  test("a maker without a name, a model in parts, no properties at all", () => {
    const properties = new Map([
      [0x105, 0x58595a00],
      [0x106, 0x53572020],
      [0x107, 0x2054504d],
    ]);
    const text = infoText(infoOf({ properties }));
    expect(text).toContain("manufacturer        XYZ\nmodel               SW TPM\n");
    expect(infoText(infoOf({ properties: new Map() }))).toContain("manufacturer        \n");
  });
});

test("for scripts", () => {
  const text = infoJson(infoOf({ handles: [0x81010001, 0x81018000] }, 1 << 2));
  expect(text).toEndWith("}\n");
  expect(JSON.parse(text)).toEqual({
    registrationId: ID,
    endorsementKey: EK.toString("base64"),
    endorsementKeyState: "persistent",
    endorsementKeyTemplate: "TCG L-1",
    storageRootKey: SRK.toString("base64"),
    storageRootKeyState: "persistent",
    manufacturer: "IFX",
    manufacturerName: "Infineon",
    model: "SLB9670",
    firmwareVersion: "7.85.17.51968",
    firmwareHex: "0x000700550011cb00",
    specificationFamily: "2.0",
    specificationLevel: 0,
    specificationRevision: "1.38",
    specificationYear: 2018,
    specificationDayOfYear: 8,
    persistentHandles: [
      { handle: "0x81010001", use: "endorsement key" },
      { handle: "0x81018000", use: null },
    ],
    lockout: {
      lockedOut: false,
      failedTries: 1,
      triesMax: 32,
      recoveryS: 7200,
      lockoutRecoveryS: 86_400,
    },
    passwordsSet: { owner: false, endorsement: false, lockout: true },
    notes: [],
  });
  const hidden = JSON.parse(infoJson(infoOf({ endorsement: unknown("r"), storage: unknown("r") })));
  expect(hidden).toMatchObject({ registrationId: null, endorsementKey: null });
  expect(hidden).toMatchObject({ storageRootKey: null, notes: { length: 2 } });
});

describe("for DPS", () => {
  const body = (changes: Partial<Findings> = {}) =>
    JSON.parse(enrollmentJson(infoOf(changes), "0a1b2c3d4e5f") ?? "null");

  test("an individual enrollment", () => {
    expect(body()).toEqual({
      registrationId: ID,
      deviceId: "0a1b2c3d4e5f",
      attestation: {
        type: "tpm",
        tpm: { endorsementKey: EK.toString("base64"), storageRootKey: SRK.toString("base64") },
      },
      provisioningStatus: "enabled",
    });
  });

  test("a storage root key that is not there yet, or not known, stays out", () => {
    for (const storage of [key(SRK, KeyState.COMPUTED), unknown("")]) {
      expect(body({ storage }).attestation.tpm).toEqual({ endorsementKey: EK.toString("base64") });
    }
    expect(body({ storage: key(SRK, KeyState.CREATED) }).attestation.tpm).toHaveProperty(
      "storageRootKey",
    );
  });

  test("none without an endorsement key", () => {
    expect(body({ endorsement: unknown("") })).toBeNull();
  });
});

test("to scan: id and key, a line each", () => {
  expect(scanText(infoOf())).toBe(`${ID}\n${EK.toString("base64")}`);
  expect(scanText(infoOf({ endorsement: unknown("") }))).toBeUndefined();
});
