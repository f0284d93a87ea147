/**
 * The password of a device: a token under one of its keys, or under a policy that may connect
 * devices. Neighbours: `sas.ts` has the arithmetic; MQTT and device REST both ask here.
 * Invariant: the answer names what is wrong, never the token.
 */
import type { Device } from "./device.ts";
import type { HubOptions } from "./options.ts";
import { isPeer, type Peer } from "./peer.ts";
import { policyProblem, Right } from "./policy.ts";
import { expiryProblem, isSignedBy, parseSas, plainResource, type Sas } from "./sas.ts";

/** Verdict on a token. */
export interface TokenCheck {
  /** `''` when the token is good. */
  problem: string;
  /** End of its life, Unix ms. */
  expiryMs: number;
}

function problemOf(sas: Sas, device: Device, options: HubOptions, nowMs: number): string {
  const target = `${device.hostOf(options.name)}/devices/${device.id}`;
  if (sas.keyName !== "") return policyProblem(sas, Right.DeviceConnect, target, options, nowMs);
  const resource = plainResource(sas);
  if (resource !== target.toLowerCase()) {
    return `token is for ${JSON.stringify(resource ?? "broken encoding")}, not for ${target}`;
  }
  if (!isSignedBy(sas, device.keys)) {
    return `token is signed by neither key of device ${device.id}`;
  }
  return expiryProblem(sas, nowMs, options.skewS);
}

/** A device with thumbprints shows one of these certificates in the TLS handshake, and no token. */
function certificateCheck(token: string, device: Device, peer: Peer | undefined): TokenCheck {
  const bad = (problem: string): TokenCheck => ({ problem, expiryMs: 0 });
  if (token !== "") return bad("a token, but the device is registered with a certificate");
  if (peer === undefined) return bad("no certificate was shown in the TLS handshake");
  if (!isPeer(peer, device.thumbprints)) return bad("the certificate has another thumbprint");
  return { problem: "", expiryMs: Number.POSITIVE_INFINITY };
}

/** Checks the token, or the certificate, of a device at `nowMs` (Unix ms). */
export function deviceTokenCheck(
  token: string,
  device: Device,
  options: HubOptions,
  nowMs: number,
  peer?: Peer,
): TokenCheck {
  if (device.thumbprints.length > 0) return certificateCheck(token, device, peer);
  if (token === "") return { problem: "no token", expiryMs: 0 };
  const sas = parseSas(token);
  if (typeof sas === "string") return { problem: sas, expiryMs: 0 };
  return { problem: problemOf(sas, device, options, nowMs), expiryMs: Number(sas.expiry) * 1000 };
}
