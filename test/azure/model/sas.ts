/**
 * Shared access signatures, judged as the real hub does: the HMAC covers the resource as it was
 * sent, then the decoded resource is compared without regard to case. Neighbours: `admission.ts`
 * for devices, `policy.ts` for services. Invariant: signatures and keys never reach a message.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { percentDecoded } from "./bag.ts";

/** Parts of a token, order on the wire is free. */
export interface Sas {
  /** Resource exactly as sent: this is what was signed. */
  resource: string;
  /** Signature, 32 bytes when well-formed. */
  signature: Buffer;
  /** Expiry as sent, Unix s. */
  expiry: string;
  /** Policy name, `''` for a device's own key. */
  keyName: string;
}

const PREFIX = "SharedAccessSignature ";

/** Takes a token apart; a text instead is the problem. */
export function parseSas(text: string): Sas | string {
  if (!text.startsWith(PREFIX)) return "not a SharedAccessSignature";
  const fields = new Map<string, string>();
  for (const part of text.slice(PREFIX.length).split("&")) {
    const equals = part.indexOf("=");
    if (equals < 0) return "token part without =";
    const key = part.slice(0, equals).trim();
    if (fields.has(key)) return `token with two ${key} parts`;
    fields.set(key, part.slice(equals + 1));
  }
  const resource = fields.get("sr");
  const signature = percentDecoded(fields.get("sig") ?? "");
  const expiry = fields.get("se");
  const keyName = percentDecoded(fields.get("skn") ?? "");
  if (resource === undefined || expiry === undefined || !fields.has("sig")) {
    return "token without sr, sig or se";
  }
  if (!/^\d{1,12}$/.test(expiry)) return "token whose se is not a Unix time in seconds";
  if (signature === null || keyName === null) return "token with broken percent-encoding";
  return { resource, signature: Buffer.from(signature, "base64"), expiry, keyName };
}

/** HMAC-SHA256 over `resource`, line feed, `expiry` under a base64 key: 32 bytes. */
export function sign(resource: string, expiry: string, key: string): Buffer {
  const text = `${resource}\n${expiry}`;
  return createHmac("sha256", Buffer.from(key, "base64")).update(text).digest();
}

/** A token for `resource` (not yet encoded) until `expiryS` (Unix s), as the SDKs write it. */
export function makeSas(resource: string, expiryS: number, key: string, keyName = ""): string {
  const encoded = encodeURIComponent(resource);
  const signature = encodeURIComponent(sign(encoded, `${expiryS}`, key).toString("base64"));
  const policy = keyName === "" ? "" : `&skn=${encodeURIComponent(keyName)}`;
  return `${PREFIX}sr=${encoded}&sig=${signature}&se=${expiryS}${policy}`;
}

/** Whether one of the base64 keys made this signature. */
export function isSignedBy(sas: Sas, keys: readonly string[]): boolean {
  return keys.some((key) => {
    const expected = sign(sas.resource, sas.expiry, key);
    return expected.length === sas.signature.length && timingSafeEqual(expected, sas.signature);
  });
}

/** Why the token is too old for a hub at `nowMs`, `''` when it is not. */
export function expiryProblem(sas: Sas, nowMs: number, skewS: number): string {
  const lateS = Math.floor(nowMs / 1000) - Number(sas.expiry);
  if (lateS <= skewS) return "";
  return `token expired ${lateS} s ago (allowance ${skewS} s): clock or lifetime of the client`;
}

/** The resource decoded and in lower case, null when the encoding is broken. */
export function plainResource(sas: Sas): string | null {
  const plain = percentDecoded(sas.resource);
  return plain === null ? null : plain.toLowerCase().replace(/\/+$/, "");
}
