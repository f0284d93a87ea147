// Signs SAS texts with the device key of a connection string or an enrollment.
// Neighbours: the credential machine asks, the turn gets the answer; the TPM has its own signer.
// Invariant: each `sign` is answered by exactly one event, after the asking step has returned;
// the key is never part of a message.

import type { Signer, SignerEvents } from "../core/effects.ts";

/** HMAC-SHA256 (RFC 2104) with a key held in memory. */
export class KeySigner implements Signer {
  private readonly key: Uint8Array;

  /** @param keyBase64 the device key, base64 as in a connection string; secret. */
  constructor(
    private readonly events: SignerEvents,
    keyBase64: string,
  ) {
    this.key = decoded(keyBase64);
  }

  /** Answers `onSigned` with the signature in base64, or `onSignFailed` when there is no key. */
  sign(text: string): void {
    const key = this.key;
    if (key.length === 0) {
      queueMicrotask(() => this.events.onSignFailed("the device key is empty or not base64"));
      return;
    }
    const signature = new Bun.CryptoHasher("sha256", key).update(text).digest("base64");
    queueMicrotask(() => this.events.onSigned(signature));
  }
}

/**
 * Key of one device of an enrollment group, base64: HMAC-SHA256 over its registration id under the
 * group's key (azure-docs, iot-dps, concepts-symmetric-key-attestation); "" without a sound one.
 * @param groupKeyBase64 secret
 */
export function derivedKey(groupKeyBase64: string, registrationId: string): string {
  const key = decoded(groupKeyBase64);
  if (key.length === 0) return "";
  return new Bun.CryptoHasher("sha256", key).update(registrationId).digest("base64");
}

/** Strict, unlike Buffer, which skips what is not base64 and would sign with a wrong key. */
function decoded(keyBase64: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(keyBase64, { lastChunkHandling: "strict" });
  } catch {
    return new Uint8Array(0);
  }
}
