// Pattern, tested: names and addresses that are allowed, and those that only look like it.
// Neighbours: `src/core/pattern.ts`; `validate` tells what is wrong with the rest.
// Invariant: each form has examples of both kinds.

import { describe, expect, test } from "bun:test";
import {
  HOST,
  ID_SCOPE,
  MODEL_ID,
  PROXY_USER,
  REGISTRATION_ID,
  TPM,
} from "../../src/core/pattern.ts";
import { fault, type Value } from "../../src/core/value.ts";

const FORMS: readonly (readonly [string, Value, readonly string[], readonly string[]])[] = [
  ["id scope", ID_SCOPE, ["0ne00012AB3", "x"], ["0ne-1", "0ne 1", "a".repeat(65)]],
  [
    "registration id",
    REGISTRATION_ID,
    ["mac", "gw-1", "a.b_c:d-", "1", "x".repeat(128)],
    ["a.", "a_", "a b", "x".repeat(129), "é"],
  ],
  ["host", HOST, ["localhost", "a.b-c.example", "1"], ["-a", "a-", "a b", "a_b", "http://a"]],
  [
    "TPM",
    TPM,
    ["/dev/tpmrm0", "swtpm:/run/tpm.sock", "swtpm:localhost:2321", "swtpm:127.0.0.1:1"],
    ["tpmrm0", "swtpm:", "swtpm:host", "swtpm:host:0", "swtpm:a b:1", "swtpm:run/x"],
  ],
  [
    "proxy user",
    PROXY_USER,
    ["site 1", "DOMAIN\\é", "x".repeat(255)],
    ["a:b", "a\tb", "x".repeat(256)],
  ],
  ["model id", MODEL_ID, ["dtmi:a:b;1", "dtmi:a;1.2"], ["dtmi:a", "dtmi:_a;1", "dtmi:a;0"]],
];

for (const [name, form, good, bad] of FORMS) {
  describe(name, () => {
    for (const text of good) test(`${text} is one`, () => expect(fault(form, text)).toBe(""));
    for (const text of bad) test(`${text} is none`, () => expect(fault(form, text)).not.toBe(""));
  });
}
