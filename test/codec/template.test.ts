// Tests of src/codec/template.ts: the bytes that decide who a device is.
// Neighbours: `test/port/tpm.test.ts` makes keys from them and from the bytes below.
// Invariant: the templates stand here once more, in hexadecimal, as the TCG publishes them.

import { expect, test } from "bun:test";
import { parsePublic } from "../../src/codec/public.ts";
import * as template from "../../src/codec/template.ts";
import { EK_TEMPLATE, SRK_TEMPLATE, sized } from "../tpm/client.ts";

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

test("endorsement and storage root key are those of the TCG", () => {
  expect(hexOf(template.ENDORSEMENT_TEMPLATE)).toBe(EK_TEMPLATE.toString("hex"));
  expect(hexOf(template.STORAGE_TEMPLATE)).toBe(SRK_TEMPLATE.toString("hex"));
});

test("those of Microsoft's clients differ in an empty key alone", () => {
  const emptied = (bytes: Buffer) =>
    sized(Buffer.concat([bytes.subarray(2, -258), Buffer.alloc(2)])).toString("hex");
  expect(hexOf(template.ENDORSEMENT_TEMPLATE_EMPTY)).toBe(emptied(EK_TEMPLATE));
  expect(hexOf(template.STORAGE_TEMPLATE_EMPTY)).toBe(emptied(SRK_TEMPLATE));
});

test("a sealed key signs and stays", () => {
  // Type, name algorithm, attributes, no policy, HMAC with SHA-256, no unique.
  expect(hexOf(template.SEALED_TEMPLATE)).toBe("00100008000b0004045200000005000b0000");
});

test("all are sound public areas", () => {
  for (const bytes of Object.values(template)) expect(parsePublic(bytes)).toBeObject();
});
