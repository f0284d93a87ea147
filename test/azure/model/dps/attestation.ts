/**
 * How an enrolled device proves who it is: TPM, symmetric key or X.509. Neighbours: `enrollment.ts`
 * owns one, `gate.ts` judges devices by it. Facts: DPS service REST, AttestationMechanism.
 * Invariant: what is kept is complete and well-formed; services see no symmetric key here.
 */
import { isObject, type JsonObject } from "../merge.ts";
import type { World } from "../world.ts";
import { parseArea } from "./area.ts";
import { certificateView, takeCertificate } from "./certificate.ts";
import { malformed } from "./errors.ts";
import { keyOf } from "./key.ts";

/** Of a TPM only the endorsement key is enrolled; the other is learnt. */
export interface TpmAttestation {
  type: "tpm";
  /** TPM2B_PUBLIC, base64. */
  endorsementKey: string;
  /** TPM2B_PUBLIC, base64; `''` until the first registration. */
  storageRootKey: string;
}

/** Of one device, or of a group whose devices have derived keys. */
export interface SymmetricKeyAttestation {
  type: "symmetricKey";
  primaryKey: string;
  secondaryKey: string;
}

/** Certificates of one device, or of authorities that sign for a group. */
export interface X509Attestation {
  type: "x509";
  /** DER, base64: primary, then secondary if there is one. */
  certificates: readonly string[];
}

export type Attestation = TpmAttestation | SymmetricKeyAttestation | X509Attestation;

function inner(body: JsonObject, name: string): JsonObject {
  const value = body[name] ?? Object.create(null);
  if (!isObject(value)) throw malformed(`attestation.${name} must be an object`);
  return value;
}

function takeArea(given: unknown, name: string): string {
  if (typeof given !== "string") throw malformed(`attestation.tpm.${name} must be a string`);
  const area = parseArea(given);
  if (typeof area === "string") throw malformed(`attestation.tpm.${name}: ${area}`);
  return given;
}

function takeTpm(body: JsonObject): TpmAttestation {
  const given = inner(body, "tpm");
  const root = given.storageRootKey ?? "";
  return {
    type: "tpm",
    endorsementKey: takeArea(given.endorsementKey, "endorsementKey"),
    storageRootKey: root === "" ? "" : takeArea(root, "storageRootKey"),
  };
}

function takeX509(body: JsonObject, old: Attestation | undefined, isGroup: boolean) {
  const given = inner(body, "x509");
  const kind = isGroup ? "signingCertificates" : "clientCertificates";
  if (given.caReferences !== undefined && given.caReferences !== null) {
    throw malformed("attestation.x509.caReferences are not offered; give signingCertificates");
  }
  const pair = given[kind];
  if (!isObject(pair) || !isObject(pair.primary)) {
    throw malformed(`attestation.x509.${kind}.primary must be an object`);
  }
  const kept = old?.type === "x509" ? old.certificates : [];
  const certificates: string[] = [];
  [pair.primary, pair.secondary].forEach((one, index) => {
    if (!isObject(one)) return;
    const where = `attestation.x509.${kind}.${index === 0 ? "primary" : "secondary"}`;
    // An enrollment that was read has facts in place of the certificate.
    const isRead = one.certificate === undefined && one.info !== undefined;
    const same = isRead ? kept[index] : undefined;
    certificates.push(same ?? takeCertificate(one.certificate, where));
  });
  return { type: "x509", certificates } as const;
}

/** Takes `attestation` of a body; `old` fills in what reading an enrollment hides. Throws 400. */
export function takeAttestation(
  body: JsonObject,
  old: Attestation | undefined,
  isGroup: boolean,
  world: World,
): Attestation {
  const given = body.attestation;
  if (!isObject(given)) throw malformed("attestation must be an object");
  if (given.type === "tpm" && !isGroup) return takeTpm(given);
  if (given.type === "x509") return takeX509(given, old, isGroup);
  if (given.type === "symmetricKey") {
    const pair = inner(given, "symmetricKey");
    const kept = old?.type === "symmetricKey" ? old : { primaryKey: "", secondaryKey: "" };
    return {
      type: "symmetricKey",
      primaryKey: keyOf(pair.primaryKey, kept.primaryKey, "primaryKey", world),
      secondaryKey: keyOf(pair.secondaryKey, kept.secondaryKey, "secondaryKey", world),
    };
  }
  const allowed = isGroup ? "symmetricKey, x509" : "tpm, symmetricKey, x509";
  throw malformed(`attestation.type must be one of ${allowed}`);
}

/** As services read it; `withKeys` shows symmetric keys, which only one call may. */
export function attestationView(
  attestation: Attestation,
  isGroup: boolean,
  withKeys: boolean,
): JsonObject {
  const { type } = attestation;
  switch (type) {
    case "tpm": {
      const { endorsementKey, storageRootKey } = attestation;
      return {
        type,
        tpm: { endorsementKey, ...(storageRootKey === "" ? {} : { storageRootKey }) },
      };
    }
    case "symmetricKey": {
      if (!withKeys) return { type };
      const { primaryKey, secondaryKey } = attestation;
      return { type, symmetricKey: { primaryKey, secondaryKey } };
    }
    case "x509": {
      const [primary, secondary] = attestation.certificates.map(certificateView);
      const pair: JsonObject = { primary: primary!, secondary: secondary ?? null };
      return { type, x509: isGroup ? { signingCertificates: pair } : { clientCertificates: pair } };
    }
  }
}
