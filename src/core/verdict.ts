// Verdict: what last went wrong with the connection, kept until something else does.
// Neighbours: `agent` reports each end of a connection; `diagnosis` puts it in words; `status`
// shows it.
// Invariant: the text is one line and fits the facts of the last failure, however late they come.

import { diagnose, type Ending, explainRefusal } from "./diagnosis.ts";
import { Cause, type Probed } from "./effects.ts";
import { LinkState } from "./link.ts";
import type { EndpointSettings } from "./settings.ts";
import { validityFault } from "./validity.ts";

/** A connection that ends sooner may be one of two machines throwing each other out. */
const SHORT_MS = 60_000;

/** The last failure, in words. */
export class Verdict {
  cause = Cause.NONE;
  /** One line; "" as long as nothing went wrong. */
  text = "";
  /** When it was found, and when a connection stood again, in Unix s. */
  atS = 0;
  overS = 0;
  private shortLived = 0;

  constructor(private endpoint: EndpointSettings) {}

  /** What the next failure is about. */
  identify(endpoint: EndpointSettings): void {
    this.endpoint = endpoint;
  }

  /**
   * A connection could not be made or ended.
   * @param expiredS seconds since the token's expiry; negative while valid, NaN without one
   */
  onFailure(ending: Ending, expiredS: number, wallS: number): void {
    const { cause, step, upMs, unanswered } = ending;
    // A hub that gives a device's place to another closes; a reset comes from a broken link.
    const closed = cause === Cause.CLOSED_BY_PEER && step === LinkState.UP;
    const refused = cause >= Cause.CONNACK_PROTOCOL && cause <= Cause.CONNACK_NOT_AUTHORISED;
    if (closed && upMs < SHORT_MS && unanswered === "") this.shortLived++;
    else if (upMs > 0 || refused) this.shortLived = 0;
    const { endpoint, shortLived } = this;
    this.cause = cause;
    this.atS = wallS;
    const text = diagnose({ ...ending, endpoint, expiredS, shortLived });
    this.text = this.isOfIdentity(step) ? this.judged(text, wallS) : text;
  }

  /** True when somebody who knows who we are may have said no. */
  private isOfIdentity(step: LinkState): boolean {
    const { cause } = this;
    const isCut = cause === Cause.CLOSED_BY_PEER || cause === Cause.TCP_RESET;
    const isAtDps = cause === Cause.DPS_FAILED || cause === Cause.DPS_REFUSED;
    const isRefused = this.isRefusal || cause === Cause.TLS_HANDSHAKE_FAILED;
    const isEarly = step === LinkState.SECURING || step === LinkState.GREETING;
    return isRefused || isAtDps || (isCut && isEarly);
  }

  /** The text, and what the calendar has against our certificate. */
  private judged(text: string, wallS: number): string {
    const fault = validityFault(this.endpoint.certificate, wallS);
    return fault === "" ? text : `${text}; ${fault}`;
  }

  /** True when the hub said no to who we are. */
  get isRefusal(): boolean {
    return this.cause === Cause.CONNACK_CREDENTIALS || this.cause === Cause.CONNACK_NOT_AUTHORISED;
  }

  /** A refusal was looked into; `clockS` is what the clock of the refused token says now. */
  onProbed(probed: Probed, clockS: number, wallS: number): void {
    this.text = this.judged(explainRefusal(probed, clockS, this.endpoint), wallS);
    this.atS = wallS;
  }

  /** True when a connection has stood since. */
  get isOver(): boolean {
    return this.cause === Cause.NONE;
  }

  /** Connected: the text stays for the record, the cause does not. */
  onUp(wallS: number): void {
    if (!this.isOver) this.overS = wallS;
    this.cause = Cause.NONE;
  }
}
