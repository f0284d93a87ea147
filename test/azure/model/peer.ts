/**
 * What a client has shown of itself in its TLS handshake. Neighbours: `server/` takes it off the
 * socket; `admission.ts` and `token.ts` compare thumbprints, `dps/chain.ts` walks the chain.
 * Invariant: TLS has proved that the client holds the key of the first certificate, and no more.
 */
import { createHash } from "node:crypto";

/** Certificates of a client. */
export interface Peer {
  /** DER, the client's own first, then what it sent along; at least one. */
  readonly chain: readonly Uint8Array[];
}

/** Upper-case hexadecimal digest of a certificate (DER). */
export function thumbprint(certificate: Uint8Array, algorithm: "sha1" | "sha256"): string {
  return createHash(algorithm).update(certificate).digest("hex").toUpperCase();
}

/** A thumbprint as people write it, without separators and in upper case; `''` when it is none. */
export function plainThumbprint(text: string): string {
  const plain = text.replace(/[:\s]/g, "").toUpperCase();
  return /^(?:[0-9A-F]{40}|[0-9A-F]{64})$/.test(plain) ? plain : "";
}

/** Whether the client's own certificate has one of these thumbprints (SHA-1 or SHA-256). */
export function isPeer(peer: Peer | undefined, thumbprints: readonly string[]): boolean {
  const own = peer?.chain[0];
  if (own === undefined) return false;
  const digests = [thumbprint(own, "sha1"), thumbprint(own, "sha256")];
  return thumbprints.some((wanted) => digests.includes(wanted));
}
