// Validity: how long the device's certificate is good, who looks at the calendar, and the words
// for a certificate that is not good, or not taken.
// Neighbours: `machines` starts it; `diagnosis`, `dps`, `verdict` and `status` use the words.
// Invariant: the calendar is only quoted, never obeyed: it may be wrong, and the hub decides.

import { isoUtc } from "../kit/time.ts";
import { CERTIFICATE_CHECK_MS, CERTIFICATE_WARNING_S, DAY_S } from "../limits.ts";
import { type Effects, Level } from "./effects.ts";
import type { Certificate } from "./settings.ts";

const NEVER = Number.POSITIVE_INFINITY;
const RENEW = "put a new one into certificate-file and start azimuth again";

/** Why the certificate is not good at `wallS` by this clock, in one clause; "" when it is. */
export function validityFault(certificate: Certificate | undefined, wallS: number): string {
  if (certificate === undefined) return "";
  const { fromS, untilS } = certificate;
  if (wallS > untilS) {
    return `by this clock the device's certificate expired on ${isoUtc(untilS)}; ${RENEW}`;
  }
  if (wallS >= fromS) return "";
  return (
    `by this clock the device's certificate is not valid before ${isoUtc(fromS)}; ` +
    "set the clock, or wait"
  );
}

/** The same, and also a word when it ends within CERTIFICATE_WARNING_S. */
export function validityText(certificate: Certificate | undefined, wallS: number): string {
  const text = validityFault(certificate, wallS);
  if (text !== "" || certificate === undefined) return text;
  const leftS = certificate.untilS - wallS;
  if (leftS >= CERTIFICATE_WARNING_S) return "";
  const days = Math.floor(leftS / DAY_S);
  const left = days === 0 ? "less than a day" : `${days} ${days === 1 ? "day" : "days"}`;
  return `the device's certificate ends in ${left}, on ${isoUtc(certificate.untilS)}; ${RENEW}`;
}

/** True when the end of a handshake was an alert about our certificate (RFC 8446, 6.2). */
export function isRejection(detail: string): boolean {
  return /ALERT_(BAD_|UNSUPPORTED_)?CERTIFICATE|ALERT_(UNKNOWN_CA|ACCESS_DENIED)/.test(detail);
}

/** One clause for that. */
export function rejectionText(address: string): string {
  return `${address} did not accept this device's certificate; check certificate-file`;
}

/** Looks at start and each day, and logs what there is to say. */
export class Validity {
  deadlineMs = NEVER;

  constructor(
    private readonly effects: Effects,
    private readonly certificate: Certificate | undefined,
  ) {}

  start(nowMs: number, wallS: number): void {
    if (this.certificate !== undefined) this.look(nowMs, wallS);
  }

  onDeadline(nowMs: number, wallS: number): void {
    if (nowMs >= this.deadlineMs) this.look(nowMs, wallS);
  }

  private look(nowMs: number, wallS: number): void {
    this.deadlineMs = nowMs + CERTIFICATE_CHECK_MS;
    const text = validityText(this.certificate, wallS);
    if (text !== "") this.effects.log(Level.WARNING, text);
  }
}
