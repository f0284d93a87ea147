/**
 * Why a TLS handshake failed, in words that help: most first connections fail
 * here. Neighbours: `mqtt.ts` reports it. Invariant: an unknown error keeps its
 * own text.
 */

const REASONS: readonly [RegExp, string][] = [
  [/UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN/, "the device does not trust ca.pem"],
  [/CERTIFICATE_EXPIRED/, "the device takes the certificate for expired: its clock?"],
  [/WRONG_VERSION_NUMBER|HTTP_REQUEST/, "this is not TLS: plain MQTT or HTTP on a TLS port"],
  [/UNSUPPORTED_PROTOCOL/, "the device offers nothing newer than TLS 1.1, 1.2 is the least"],
  [/NO_SHARED_CIPHER/, "the device offers no cipher that fits (see --cert-type)"],
  [/disconnected before/, "the device hung up: certificate not trusted, or a name not in it?"],
];

/** One clause for the log; `message` as the TLS library gives it. */
export function handshakeReason(message: string): string {
  const known = REASONS.find(([pattern]) => pattern.test(message));
  if (known !== undefined) return known[1];
  return message.replace(/^error:[0-9a-f]*:/i, "") || "the device gave up";
}
