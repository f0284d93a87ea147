// Place, tested: what an operator may write for a TPM, and what not.
// Neighbours: `src/core/place.ts`.
// Invariant: each refused text differs from an allowed one in one thing.

import { expect, test } from "bun:test";
import { parsePlace, TPM_DEVICE } from "../../src/core/place.ts";

test.each([
  [TPM_DEVICE, { device: "/dev/tpmrm0" }],
  ["/dev/tpm0", { device: "/dev/tpm0" }],
  ["swtpm:localhost:2321", { host: "localhost", port: 2321 }],
  ["swtpm:127.0.0.1:65535", { host: "127.0.0.1", port: 65_535 }],
  ["swtpm:/run/swtpm.sock", { path: "/run/swtpm.sock" }],
  ["swtpm:/run/a:1", { path: "/run/a:1" }],
])("%s", (text, place) => {
  expect(parsePlace(text)).toEqual(place as ReturnType<typeof parsePlace>);
});

test.each([
  [""],
  ["/"],
  ["dev/tpm0"],
  ["/dev/tpm 0"],
  ["swtpm:"],
  ["swtpm:/"],
  ["swtpm:localhost"],
  ["swtpm:localhost:"],
  ["swtpm:localhost:0"],
  ["swtpm:localhost:65536"],
  ["swtpm:localhost:2321x"],
  ["swtpm:local host:2321"],
  ["SWTPM:localhost:2321"],
  [`swtpm:/${"a".repeat(107)}`],
])("not %p", (text) => {
  expect(parsePlace(text)).toBeUndefined();
});
