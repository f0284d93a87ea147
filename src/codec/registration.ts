// Registration: the name that a TPM has at DPS when nobody gave it another.
// Neighbours: the provision machine asks for it; public.ts knows the key that it comes from.
// Invariant: the same key gives the same name as Microsoft's own clients make of it.

import type { Sha256 } from "./public.ts";

const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

/**
 * Registration id from an endorsement key: SHA-256 over the whole TPM2B_PUBLIC, in lower-case
 * base32 without padding, 52 characters (azure-iot-sdk-c, prov_auth_client.c; azure-iot-sdk-node,
 * security/tpm).
 */
export function registrationId(endorsementKey: Uint8Array, sha256: Sha256): string {
  return encodeBase32(sha256(endorsementKey));
}

/** `bytes` in base32 (RFC 4648, section 6), lower case, without padding. */
export function encodeBase32(bytes: Uint8Array): string {
  let text = "";
  let group = 0;
  let bits = 0;
  for (const byte of bytes) {
    group = ((group << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(group >> bits) & 0x1f]!;
    }
  }
  return bits === 0 ? text : text + ALPHABET[(group << (5 - bits)) & 0x1f]!;
}
