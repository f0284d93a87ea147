/**
 * The client certificate of a TLS socket, as the model wants it. Neighbours: `mqtt.ts` and
 * `front.ts` have the sockets; `model/peer.ts` is the form. Invariant: the TLS layer asks for a
 * certificate and demands none; whom to believe is the model's business.
 */

import type { DetailedPeerCertificate } from "node:tls";
import type { Socket } from "bun";
import type { Peer } from "../model/peer.ts";

const CHAIN_MAX = 10;

/** TLS settings of a server that asks for a client certificate and takes any, or none. */
export const ASK_FOR_CERTIFICATE = { requestCert: true, rejectUnauthorized: false } as const;

interface Shower {
  getPeerCertificate(isAbbreviated: boolean): DetailedPeerCertificate | undefined;
}

/** What the client has shown, undefined for nothing. */
export function peerOf(socket: Socket<unknown>): Peer | undefined {
  const chain: Uint8Array[] = [];
  // The types leave the parameter out; without it there is no chain.
  let next = (socket as unknown as Shower).getPeerCertificate(false);
  while (next?.raw !== undefined && chain.length < CHAIN_MAX) {
    chain.push(new Uint8Array(next.raw));
    // A self-signed certificate is its own issuer.
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
  }
  return chain.length === 0 ? undefined : { chain };
}
