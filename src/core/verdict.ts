// Verdict: what last went wrong with the connection, kept until something else does.
// Neighbours: `agent` reports each end of a connection; `diagnosis` puts it in words; `status`
// shows it.
// Invariant: the text is one line and fits the facts of the last failure, however late they come.

import { diagnose, type Ending, explainRefusal } from "./diagnosis.ts";
import { Cause, type Probed } from "./effects.ts";
import { LinkState } from "./link.ts";
import type { EndpointSettings } from "./settings.ts";

/** A connection that ends sooner may be one of two machines throwing each other out. */
const SHORT_MS = 60_000;

/** The last failure, in words. */
export class Verdict {
  cause = Cause.NONE;
  /** One line; "" as long as nothing went wrong. */
  text = "";
  /** When it was found, in Unix s. */
  atS = 0;
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
    const closed = cause === Cause.CLOSED_BY_PEER || cause === Cause.TCP_RESET;
    const short = closed && step === LinkState.UP && upMs < SHORT_MS && unanswered === "";
    if (short) this.shortLived++;
    else if (upMs > 0) this.shortLived = 0;
    const { endpoint, shortLived } = this;
    this.cause = cause;
    this.atS = wallS;
    this.text = diagnose({ ...ending, endpoint, expiredS, shortLived });
  }

  /** True when the hub said no to who we are. */
  get isRefusal(): boolean {
    return this.cause === Cause.CONNACK_CREDENTIALS || this.cause === Cause.CONNACK_NOT_AUTHORISED;
  }

  /** A refusal was looked into; `clockS` is what the clock of the refused token says now. */
  onProbed(probed: Probed, clockS: number, wallS: number): void {
    this.text = explainRefusal(probed, clockS, this.endpoint);
    this.atS = wallS;
  }

  /** Connected: the text stays for the record, the cause does not. */
  onUp(): void {
    this.cause = Cause.NONE;
  }
}
