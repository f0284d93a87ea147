// Proof: the settings by which a device with a key or a certificate of its own proves who it is.
// Neighbours: `schema` has these rows among its own; `endpoint` says which go together.
// Invariant: what is secret is of kind SECRET or in a file of its own.

import { Applies, type Key, PATH } from "./key.ts";
import { Kind, type Value } from "./value.ts";

const ENROLLED_KEY: Value = {
  kind: Kind.SECRET,
  words: "base64 of 16 .. 64 bytes, as the portal shows it for the enrollment",
};

/** Rows of section [endpoint], in the table's order. */
export const PROOF_KEYS: readonly Key[] = [
  row(
    "symmetric-key",
    "For symmetric-key: key of the device's own enrollment; give exactly one of this and the " +
      "next two keys.",
    ENROLLED_KEY,
  ),
  row(
    "symmetric-key-file",
    "For symmetric-key: file that holds that key and nothing else; owned by azimuth, mode 0600.",
  ),
  row(
    "group-key-file",
    "For symmetric-key: file that holds the key of an enrollment group, from which the device's " +
      "own is derived; whoever reads it can be any device of the group, so better derive before " +
      "flashing.",
  ),
  row(
    "certificate-file",
    "For x509: PEM file of the device's certificate, followed by those that lead to an enrolled " +
      "one.",
  ),
  row(
    "private-key-file",
    "For x509: PEM file of the certificate's key, RSA or EC, not encrypted; owned by azimuth, " +
      "mode 0600.",
  ),
];

function row(name: string, meaning: string, value = PATH): Key {
  return { section: "endpoint", name, value, fallback: "", applies: Applies.RESTART, meaning };
}
