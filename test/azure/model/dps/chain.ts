/**
 * Whether a client's certificates lead to an enrolled authority, or are enrolled themselves.
 * Neighbours: `gate.ts` asks. Facts: DPS X.509 attestation: the common name is the registration id,
 * the client sends its intermediates along. Invariant: every signature on the way is verified,
 * every certificate on the way is in its time, and issuers are authorities.
 */
import { X509Certificate } from "node:crypto";
import type { Peer } from "../peer.ts";
import { certificateMs, commonName, parseCertificate } from "./certificate.ts";

const DEPTH_MAX = 10;

/** Why this certificate may not be used at `nowMs`, `''` when it may. */
function timeProblem(certificate: X509Certificate, nowMs: number): string {
  const name = commonName(certificate.subject) || "without a name";
  if (nowMs < certificateMs(certificate.validFrom)) return `certificate ${name} is not valid yet`;
  return nowMs > certificateMs(certificate.validTo) ? `certificate ${name} has expired` : "";
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** What is wrong with a client's own certificate for this registration id, `''` for nothing. */
export function leafProblem(peer: Peer, registrationId: string, nowMs: number): string {
  const leaf = parseCertificate(peer.chain[0]!);
  if (leaf === undefined) return "the client's certificate cannot be read";
  const name = commonName(leaf.subject);
  if (name.toLowerCase() !== registrationId.toLowerCase()) {
    return `common name ${JSON.stringify(name)} is not the registration id ${registrationId}`;
  }
  return timeProblem(leaf, nowMs);
}

/** Whether the client's own certificate is one of these (base64 of DER). */
export function isEnrolled(peer: Peer, certificates: readonly string[]): boolean {
  return certificates.includes(Buffer.from(peer.chain[0]!).toString("base64"));
}

/**
 * Steps from the client's certificate to the nearest of `authorities` (base64 of DER), 1 when one
 * of them signed it; -1 when none is reached. What the client sent serves as the way between.
 */
export function stepsTo(peer: Peer, authorities: readonly string[], nowMs: number): number {
  const roots = authorities.map((der) => new X509Certificate(Buffer.from(der, "base64")));
  const between = peer.chain.slice(1).map(parseCertificate);
  let current = parseCertificate(peer.chain[0]!);
  for (let steps = 1; current !== undefined && steps <= DEPTH_MAX; steps++) {
    const subject: X509Certificate = current;
    const root = roots.find((candidate) => isIssuedBy(subject, candidate));
    if (root !== undefined) return timeProblem(root, nowMs) === "" ? steps : -1;
    current = between.find((candidate) => {
      return (
        candidate !== undefined &&
        candidate.raw.compare(subject.raw) !== 0 &&
        isIssuedBy(subject, candidate) &&
        timeProblem(candidate, nowMs) === ""
      );
    });
  }
  return -1;
}
