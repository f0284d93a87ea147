// The text of a shared access signature: what is signed, the token, and a token read for
// diagnosis. Neighbours: credential in core keeps tokens, the signer port makes the HMAC.
// Invariant: the resource is encoded here and nowhere else, so what is signed is what is sent;
// reading a token gives no part of its signature away.

import { assert } from "../kit/assert.ts";
import { decodeBase64 } from "./base64.ts";

/** What a token says about itself; the signature stays out. */
export interface Token {
  /** The resource with its encoding removed, for example `hub.azure-devices.net/devices/d1`. */
  readonly resource: string;
  /** Unix seconds after which it is worth nothing. */
  readonly expiryS: number;
  /** Name of the shared access policy, "" when the device's own key signed. */
  readonly policy: string;
}

/** Why a text is no token, in one line that holds no part of a signature. */
export interface TokenProblem {
  readonly problem: string;
}

const SCHEME = "SharedAccessSignature ";
const FIELDS = ["sr", "sig", "se", "skn"];
const SIGNATURE_BYTES = 32;

/**
 * The text whose HMAC-SHA256 is the signature, to be signed as UTF-8 (it is ASCII). `resource`
 * is not encoded yet; `expiryS` in Unix seconds.
 */
export function signedText(resource: string, expiryS: number): string {
  return `${encodeURIComponent(resource)}\n${checkExpiry(expiryS)}`;
}

/** The token; `policy` only for keys that are not the device's own (`registration` at DPS). */
export function token(
  resource: string,
  signatureBase64: string,
  expiryS: number,
  policy = "",
): string {
  const sr = encodeURIComponent(resource);
  const sig = encodeURIComponent(signatureBase64);
  const skn = policy === "" ? "" : `&skn=${encodeURIComponent(policy)}`;
  return `${SCHEME}sr=${sr}&sig=${sig}&se=${checkExpiry(expiryS)}${skn}`;
}

/** Reads a token, its fields in any order, the resource encoded or not. */
export function parseToken(text: string): Token | TokenProblem {
  if (!text.startsWith(SCHEME)) return { problem: `does not begin with "${SCHEME.trim()}"` };
  const fields = new Map<string, string>();
  for (const entry of text.slice(SCHEME.length).split("&")) {
    const equals = entry.indexOf("=");
    const name = entry.slice(0, Math.max(equals, 0));
    if (!FIELDS.includes(name)) {
      return { problem: `holds a field other than ${FIELDS.join(", ")}` };
    }
    if (fields.has(name)) return { problem: `holds ${name} twice` };
    const value = decoded(entry.slice(equals + 1));
    if (value === undefined) return { problem: `${name} has a bad percent escape` };
    if (value === "") return { problem: `${name} is empty` };
    fields.set(name, value);
  }
  const resource = fields.get("sr");
  const signature = fields.get("sig");
  const expiry = fields.get("se");
  if (resource === undefined || signature === undefined || expiry === undefined) {
    return { problem: "lacks one of sr, sig, se" };
  }
  if (decodeBase64(signature)?.length !== SIGNATURE_BYTES) {
    return { problem: `sig is not the base64 of ${SIGNATURE_BYTES} bytes` };
  }
  if (!/^(?:0|[1-9]\d{0,14})$/.test(expiry)) return { problem: "se is no number of seconds" };
  return { resource, expiryS: Number(expiry), policy: fields.get("skn") ?? "" };
}

function checkExpiry(expiryS: number): number {
  assert(Number.isSafeInteger(expiryS) && expiryS >= 0, "an expiry is in whole Unix seconds");
  return expiryS;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
