// Proof, tested: the rows for keys and certificates are such as the table of settings needs.
// Neighbours: `src/core/proof.ts`; `schema.test` has names and defaults, `endpoint.test` the rules.
// Invariant: no secret can be shown by a message about its row.

import { expect, test } from "bun:test";
import { Applies } from "../../src/core/key.ts";
import { PROOF_KEYS } from "../../src/core/proof.ts";
import { fault, Kind } from "../../src/core/value.ts";

test("each stands in [endpoint], may be left out, and waits for a restart", () => {
  expect(PROOF_KEYS.length).toBeGreaterThan(0);
  for (const { section, fallback, applies } of PROOF_KEYS) {
    expect({ section, fallback, applies }).toEqual({
      section: "endpoint",
      fallback: "",
      applies: Applies.RESTART,
    });
  }
});

test("each says for which type it is", () => {
  for (const { meaning } of PROOF_KEYS) expect(meaning).toMatch(/^For (symmetric-key|x509): /);
});

test("a key that stands in the file is a secret, all others are paths", () => {
  const kinds = PROOF_KEYS.map(({ name, value }) => [name, Kind[value.kind]]);
  expect(kinds).toEqual([
    ["symmetric-key", "SECRET"],
    ["symmetric-key-file", "PATH"],
    ["group-key-file", "PATH"],
    ["certificate-file", "PATH"],
    ["private-key-file", "PATH"],
  ]);
});

test("a key put where a path belongs is refused without showing it", () => {
  const key = Buffer.alloc(32, 0xa5).toString("base64");
  for (const { value } of PROOF_KEYS.filter(({ value }) => value.kind === Kind.PATH)) {
    expect(fault(value, key)).not.toBe("");
    expect(fault(value, key)).not.toContain(key);
  }
});
