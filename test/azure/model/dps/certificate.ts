/**
 * Certificates that an operator enrolls: taken as PEM, base64 of PEM or base64 of DER, shown as
 * facts. Neighbours: `attestation.ts` holds them as DER, `chain.ts` compares. Facts: DPS service
 * REST, X509CertificateWithInfo. Invariant: what is taken parses as a certificate.
 */
import { X509Certificate } from "node:crypto";
import { isoTime } from "../calendar.ts";
import type { JsonObject } from "../merge.ts";
import { thumbprint } from "../peer.ts";
import { malformed } from "./errors.ts";

const PEM = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/;

/** A certificate from DER or PEM, or undefined when it is none. */
export function parseCertificate(bytes: Uint8Array | string): X509Certificate | undefined {
  try {
    return new X509Certificate(bytes);
  } catch {
    return undefined;
  }
}

/** Base64 of the DER of a certificate that came as text in one of the usual forms; throws 400. */
export function takeCertificate(given: unknown, where: string): string {
  if (typeof given !== "string") throw malformed(`${where} must be a certificate`);
  const direct = PEM.exec(given)?.[0];
  const bytes = Buffer.from(given, "base64");
  const inner = PEM.exec(bytes.toString("latin1"))?.[0];
  const certificate = parseCertificate(direct ?? inner ?? bytes);
  if (certificate === undefined) {
    throw malformed(`${where} is no certificate: PEM, base64 of PEM or of DER is allowed`);
  }
  return certificate.raw.toString("base64");
}

/** Unix ms of a certificate's time, which OpenSSL writes as `Nov 24 07:31:24 2026 GMT`. */
export function certificateMs(text: string): number {
  return Date.parse(text);
}

/** Common name of a distinguished name, `''` when it has none. */
export function commonName(subject: string): string {
  return /(?:^|\n)CN=([^\n]*)/.exec(subject)?.[1] ?? "";
}

/** What services see of an enrolled certificate (base64 of DER). */
export function certificateView(der: string): JsonObject {
  const bytes = Buffer.from(der, "base64");
  const certificate = new X509Certificate(bytes);
  const oneLine = (name: string): string => name.trim().split("\n").join(", ");
  return {
    info: {
      subjectName: oneLine(certificate.subject),
      sha1Thumbprint: thumbprint(bytes, "sha1"),
      sha256Thumbprint: thumbprint(bytes, "sha256"),
      issuerName: oneLine(certificate.issuer),
      notBeforeUtc: isoTime(certificateMs(certificate.validFrom)),
      notAfterUtc: isoTime(certificateMs(certificate.validTo)),
      serialNumber: certificate.serialNumber,
      version: 3,
    },
  };
}
