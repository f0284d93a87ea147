// Credential: the SAS token that opens the next connection.
// Neighbours: `agent` asks for it and decides when to reconnect with it; the signer port or
// the TPM makes the signature.
// Invariant: a token is offered only while it has TOKEN_LEFT_S_MIN of its life left by the
// monotonic clock, whatever the calendar does meanwhile; the signature is kept here and in
// CONNECT, nowhere else.

// state    | request       | onSigned | onSignFailed | deadline  | discard
// NONE     | sign, SIGNING | stray    | stray        | -         | -
// SIGNING  | -             | FRESH    | NONE         | isOverdue | NONE
// FRESH    | sign, SIGNING | stray    | stray        | isDue     | NONE
// NEEDLESS | -             | stray    | stray        | -         | -
// NEEDLESS is for good: a certificate opens the connection, and no token expires on it.

import { signedText, token } from "../codec/sas.ts";
import type { Prng } from "../kit/prng.ts";
import {
  CLOCK_SKEW_S_MAX,
  RENEW_JITTER,
  RENEW_S,
  SIGN_MS,
  TOKEN_LEFT_S_MIN,
  TOKEN_S,
} from "../limits.ts";
import type { Counters } from "./counters.ts";
import type { Effects } from "./effects.ts";

export enum CredentialState {
  NONE,
  SIGNING,
  FRESH,
  NEEDLESS,
}

const NEVER = Number.POSITIVE_INFINITY;

/** Makes and keeps one SAS token for the resource `{hub}/devices/{id}`. */
export class Credential {
  deadlineMs = NEVER;
  /** Expiry of the last token in Unix s by the clock it was made by; 0 without one. */
  expiryS = 0;
  private token = "";
  private expiresMs = 0;
  /** Expiry in the text to be signed, and when it was first asked for. */
  private askedS = 0;
  private askedMs = Number.NEGATIVE_INFINITY;
  /** Server's clock less the monotonic one, in s; NaN: our calendar is trusted. */
  private offsetS = Number.NaN;

  constructor(
    private readonly effects: Effects,
    private readonly counters: Counters,
    private readonly prng: Prng,
    private resource: string,
    public state = CredentialState.NONE,
  ) {}

  /** Another resource: tokens for the one before are worth nothing. */
  identify(resource: string): void {
    this.resource = resource;
    this.discard();
    this.askedMs = Number.NEGATIVE_INFINITY;
  }

  /** Asks for a signature over a token that lives TOKEN_S from now. */
  request(nowMs: number, wallS: number): void {
    if (this.state === CredentialState.SIGNING || !this.isNeeded) return;
    const serverS = Number.isNaN(this.offsetS) ? wallS : nowMs / 1000 + this.offsetS;
    const expiryS = Math.max(Math.floor(serverS), 0) + TOKEN_S;
    // After a timeout the late answer may still come. The same text makes it fit this request.
    const isLate = nowMs - this.askedMs < CLOCK_SKEW_S_MAX * 1000;
    if (!isLate || Math.abs(expiryS - this.askedS) > CLOCK_SKEW_S_MAX) {
      this.askedS = expiryS;
      this.askedMs = nowMs;
    }
    this.effects.sign(signedText(this.resource, this.askedS));
    this.enter(CredentialState.SIGNING, nowMs + SIGN_MS);
  }

  /** The signature is here; false when nobody waits for it any more. */
  onSigned(signatureBase64: string): boolean {
    if (this.state !== CredentialState.SIGNING) {
      this.counters.stray++;
      return false;
    }
    this.token = token(this.resource, signatureBase64, this.askedS);
    this.expiryS = this.askedS;
    this.expiresMs = this.askedMs + TOKEN_S * 1000;
    this.counters.tokens++;
    const spread = 1 + RENEW_JITTER * (2 * this.prng.unit() - 1);
    this.enter(CredentialState.FRESH, this.askedMs + RENEW_S * 1000 * spread);
    return true;
  }

  /**
   * The key did not sign, or took too long; false when nobody waits for it any more. Of the
   * token before, which a connection may still live on, its expiry is remembered.
   */
  onSignFailed(): boolean {
    if (this.state !== CredentialState.SIGNING) {
      this.counters.stray++;
      return false;
    }
    this.token = "";
    this.enter(CredentialState.NONE, NEVER);
    return true;
  }

  /** A probe showed the server's clock: tokens follow it while our calendar is wrong. */
  onServerTime(dateS: number, nowMs: number, wallS: number): void {
    if (Number.isNaN(dateS)) return;
    // Monotonic, for the calendar that was wrong is the one that somebody may set right.
    const isRight = Math.abs(dateS - wallS) <= CLOCK_SKEW_S_MAX;
    this.offsetS = isRight ? Number.NaN : dateS - nowMs / 1000;
  }

  /** What the clock by which the last token was made says now, in Unix s. */
  clockS(nowMs: number): number {
    return this.askedS - TOKEN_S + (nowMs - this.askedMs) / 1000;
  }

  /** Seconds since the last token's expiry; negative while it is valid, NaN without one. */
  expiredS(nowMs: number): number {
    return this.expiryS === 0 ? Number.NaN : (nowMs - this.expiresMs) / 1000;
  }

  /** False when a certificate takes the place of all tokens. */
  get isNeeded(): boolean {
    return this.state !== CredentialState.NEEDLESS;
  }

  /** True when a token exists and its renewal is due. */
  isDue(nowMs: number): boolean {
    return this.state === CredentialState.FRESH && nowMs >= this.deadlineMs;
  }

  /** True when the signature has not come in time. */
  isOverdue(nowMs: number): boolean {
    return this.state === CredentialState.SIGNING && nowMs >= this.deadlineMs;
  }

  /** When something is due here, in monotonic ms; renewal only with `isUsed`, while connected. */
  nextMs(isUsed: boolean): number {
    return isUsed || this.state === CredentialState.SIGNING ? this.deadlineMs : NEVER;
  }

  /** The token whatever is left of it, "" when there is none; secret. */
  get current(): string {
    return this.token;
  }

  /** The token for a new connection; "" when one has to be made first. */
  usable(nowMs: number): string {
    const left = this.expiresMs - nowMs;
    const fit = this.state === CredentialState.FRESH && left >= TOKEN_LEFT_S_MIN * 1000;
    return fit ? this.token : "";
  }

  /** Forgets the token: the hub refused it, or the clock it was made by was wrong. */
  discard(): void {
    if (!this.isNeeded) return;
    this.token = "";
    this.expiryS = 0;
    this.enter(CredentialState.NONE, NEVER);
  }

  private enter(state: CredentialState, deadlineMs: number): void {
    this.state = state;
    this.deadlineMs = deadlineMs;
  }
}
