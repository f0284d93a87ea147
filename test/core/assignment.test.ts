// Assignment, tested: what is written is read again, and anything else is none.
// Neighbours: `src/core/assignment.ts`; the store keeps its text over restarts.
// Invariant: no damaged text gives half an assignment.

import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  type Assignment,
  assignmentText,
  parseAssignment,
  proofOf,
  recall,
} from "../../src/core/assignment.ts";
import { CERTIFICATE, certified, hardware, keyed } from "./enclave.ts";

const ONE: Assignment = {
  idScope: "0ne1",
  hubName: "hub.example",
  deviceId: "gw1",
  registrationId: "gw1-reg",
  endorsement: "abc",
  atS: 1_700_000_000,
  isPending: false,
};

test("what is written is read again", () => {
  expect(parseAssignment(assignmentText(ONE))).toEqual(ONE);
  const pending = { ...ONE, isPending: true };
  expect(parseAssignment(assignmentText(pending))).toEqual(pending);
});

test("it is one line of JSON that names its format, for those who come later", () => {
  expect(assignmentText(ONE)).toMatch(/^\{"format":1,.*\}\n$/);
});

test("a text that was cut anywhere is none", () => {
  const text = assignmentText(ONE);
  for (let end = 0; end < text.length - 1; end++) {
    expect(parseAssignment(text.slice(0, end))).toBeUndefined();
  }
});

test("a missing or wrong part is none", () => {
  for (const key of Object.keys(ONE)) {
    expect(
      parseAssignment(JSON.stringify({ format: 1, ...ONE, [key]: undefined })),
    ).toBeUndefined();
    expect(parseAssignment(JSON.stringify({ format: 1, ...ONE, [key]: [] }))).toBeUndefined();
  }
  expect(parseAssignment(JSON.stringify({ ...ONE, format: 2 }))).toBeUndefined();
});

test("a place that no hub and no device can have is none", () => {
  const parts: readonly Partial<Assignment>[] = [
    { hubName: "hub example" },
    { hubName: "hub.example:8883" },
    { hubName: "x".repeat(64) },
    { hubName: "" },
    { deviceId: "gw 1" },
    { deviceId: "gw+1" },
    { deviceId: "\ud800" },
    { deviceId: "" },
    { registrationId: "\ud800" },
    { endorsement: "a\u001b[2J" },
    { idScope: "x".repeat(129) },
    { atS: 0.5 },
  ];
  for (const part of parts) {
    const text = assignmentText({ ...ONE, ...part });
    expect(parseAssignment(text)).toBeUndefined();
  }
  expect(parseAssignment(assignmentText(ONE).replace("1700000000", "1e999"))).toBeUndefined();
});

test("before the first registration has ended there is no place yet", () => {
  const nowhere = { ...ONE, hubName: "", deviceId: "", isPending: true };
  expect(parseAssignment(assignmentText(nowhere))).toEqual(nowhere);
  const half = { ...nowhere, hubName: "hub.example" };
  expect(parseAssignment(assignmentText(half))).toBeUndefined();
});

test("whatever JSON is there, it is none or whole", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(parseAssignment(text)).toBeUndefined();
    }),
  );
});

const sha256 = (bytes: Uint8Array) => new Bun.CryptoHasher("sha256").update(bytes).digest();
const proof = (given: ReturnType<typeof hardware>): string => proofOf(given.endpoint, sha256);

test("a proof tells keys and certificates apart, and holds no key", () => {
  const own = proof(keyed());
  expect(own).toMatch(/^key:[a-z2-7]{16}$/);
  expect(proof(keyed({ endpoint: { key: "AAAA" } }))).not.toBe(own);
  expect(proof(certified())).toBe(`certificate:${CERTIFICATE.fingerprint}`);
  expect(proof(hardware())).toBe("");
});

test("what is recalled is of this scope and name, and open again under another proof", () => {
  const own = proof(keyed());
  const { endpoint } = keyed({ endpoint: { idScope: "0ne1", registrationId: "gw1-reg" } });
  const text = assignmentText({ ...ONE, endorsement: own });
  expect(recall(text, endpoint, own)).toEqual({ ...ONE, endorsement: own });
  const open = { ...ONE, endorsement: "", isPending: true };
  expect(recall(text, endpoint, "key:other")).toEqual(open);
  expect(recall(text, endpoint, "")).toEqual(open);
  expect(recall(assignmentText(ONE), endpoint, own)).toEqual(open);
  expect(recall(assignmentText(ONE), endpoint, "")).toEqual(ONE);
  expect(recall(text, { ...endpoint, idScope: "0ne2" }, own)).toBeUndefined();
  expect(recall(text, { ...endpoint, registrationId: "gw2" }, own)).toBeUndefined();
  expect(recall(text, { ...endpoint, registrationId: "" }, own)?.deviceId).toBe("gw1");
  expect(recall("", endpoint, own)).toBeUndefined();
});
