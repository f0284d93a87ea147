// Tests of src/codec/request.ts: operations, handles and bytes as native/azimuth.h has them.
// Neighbours: `test/port/tpm.test.ts` has the library and a TPM take them.
// Invariant: bytes stand here in hexadecimal; numbers are read from the header file.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Blob } from "../../src/codec/blob.ts";
import { HandleRange } from "../../src/codec/capability.ts";
import * as request from "../../src/codec/request.ts";

/** The operation's name, its four numbers and its bytes. */
function shown({ operation, a, b, c, d, input }: request.TpmRequest): unknown[] {
  const name = request.TpmOperation[operation];
  return [name, a, b, c, d, Buffer.from(input).toString("hex")];
}

const bytes = (hex: string) => Buffer.from(hex, "hex");
const blob: Blob = {
  credential: bytes("0001c1"),
  secret: bytes("0001c2"),
  duplicate: bytes("0001d1"),
  seed: bytes("0001d2"),
  publicArea: bytes("0001d3"),
};

const ROWS: readonly (readonly [request.TpmRequest, unknown[]])[] = [
  [request.startup(), ["STARTUP", 0, 0, 0, 0, ""]],
  [request.readProperties(0x100), ["CAPABILITY", 6, 0x100, 254, 0, ""]],
  [request.readHandles(HandleRange.PERSISTENT), ["CAPABILITY", 1, 0x81000000, 254, 0, ""]],
  [request.readPublic(0x81000001), ["READ_PUBLIC", 0x81000001, 0, 0, 0, ""]],
  [
    request.createPrimary(request.OWNER, bytes("0001aa"), 9),
    ["CREATE_PRIMARY", 0x40000001, 9, 0, 0, "0001aa"],
  ],
  [request.persist(0x80000000, 0x81000100), ["EVICT", 0x80000000, 0x81000100, 0, 0, ""]],
  [request.evict(0x81000100, 9), ["EVICT", 0x81000100, 0x81000100, 9, 0, ""]],
  [request.flush(0x80000000), ["FLUSH", 0x80000000, 0, 0, 0, ""]],
  [request.startPolicy(), ["START_POLICY", 0, 0, 0, 0, ""]],
  [request.startHmac(0x81000001), ["START_HMAC", 0x81000001, 0, 0, 0, ""]],
  [
    request.policySecret(request.ENDORSEMENT, 0x03000000, 9),
    ["POLICY_SECRET", 0x4000000b, 0x03000000, 9, 0, ""],
  ],
  [request.activate(1, 2, 3, blob, 4), ["ACTIVATE", 1, 2, 3, 4, "0001c10001c2"]],
  [
    request.importKey(1, bytes("0001ee"), blob, 4),
    ["IMPORT", 1, 4, 0, 0, "0001ee0001d30001d10001d2"],
  ],
  [request.load(1, bytes("0001aa"), bytes("0001bb"), 4), ["LOAD", 1, 4, 0, 0, "0001aa0001bb"]],
  [
    request.create(1, bytes("5ec2e7"), bytes("0001bb"), 4),
    ["CREATE", 1, 4, 0, 0, "0007000000035ec2e70001bb"],
  ],
  [request.hmac(1, bytes("aabb"), 4), ["HMAC", 1, 4, 0, 0, "0002aabb"]],
];

test.each(ROWS.map(([asked, expected]) => [expected.join(" "), asked, expected] as const))(
  "%s",
  (_name, asked, expected) => {
    expect(shown(asked)).toEqual(expected);
  },
);

test("the numbers are those of the library", () => {
  const header = readFileSync(resolve(import.meta.dir, "../../native/azimuth.h"), "utf8");
  const names = Object.values(request.TpmOperation).filter((value) => typeof value === "string");
  for (const name of names) {
    const number = request.TpmOperation[name as keyof typeof request.TpmOperation];
    expect(header).toContain(`AZIMUTH_TPM_${name} = ${number},`);
  }
  expect(header).toContain(`AZIMUTH_TPM_OPERATIONS = ${names.length},`);
});

test("handles are those where Microsoft's clients keep their keys", () => {
  expect([request.ENDORSEMENT_HANDLE, request.STORAGE_HANDLE, request.IDENTITY_HANDLE]).toEqual([
    0x81010001, 0x81000001, 0x81000100,
  ]);
});
