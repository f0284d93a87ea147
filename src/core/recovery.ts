// Recovery: what is said and done when a connection comes up, ends, or could not be made: words
// for it, a closer look when the hub refused us, and how long to wait.
// Neighbours: `agent` tells it and waits; `verdict` keeps the words, `backoff` counts.
// Invariant: after a refusal the token is forgotten and the next attempt waits REFUSED_MS_MIN; once
// the hub has ended a connection, as it may have ended a fleet's, no wait brings those together.

import { lengthOf } from "../kit/time.ts";
import { REFUSED_MS_MIN, SIGN_MS, STABLE_MS, TPM_REFUSED_MS_MIN } from "../limits.ts";
import type { Backoff } from "./backoff.ts";
import type { Credential } from "./credential.ts";
import type { Ending } from "./diagnosis.ts";
import { Cause, type Effects, Level, type Probed } from "./effects.ts";
import { LinkState } from "./link.ts";
import type { Passage } from "./passage.ts";
import type { EndpointSettings } from "./settings.ts";
import { AgentState } from "./state.ts";
import type { Verdict } from "./verdict.ts";

/** What the end of auto-on-startup means for the connection that there is, or is not. */
enum Meaning {
  STAYS,
  ASKED,
  LAST_ATTEMPT,
  NO_ATTEMPT,
}

const WAITS = "waiting for `azimuth connect`";
const MEANINGS = {
  [Meaning.STAYS]: "the connection stays, and comes back after a loss, until `azimuth disconnect`",
  [Meaning.ASKED]: "the connection asked for by hand is made all the same",
  [Meaning.LAST_ATTEMPT]: "the attempt under way is the last one, unless it succeeds",
  [Meaning.NO_ATTEMPT]: WAITS,
};

/** From a connection that ended to the next that stands. */
export class Recovery {
  /** connect.spread, in ms. */
  spreadMs = 0;
  /** True from such an end until a connection stands. */
  private isShared = false;

  constructor(
    private readonly effects: Effects,
    private readonly verdict: Verdict,
    private readonly backoff: Backoff,
    private readonly credential: Credential,
    private readonly passage: Passage,
    private endpoint: EndpointSettings,
  ) {}

  /** Who the next connection is for. */
  identify(endpoint: EndpointSettings): void {
    this.endpoint = endpoint;
    this.verdict.identify(endpoint);
  }

  /** The hub is dialled: chooses the way, and says which. */
  onAttempt(nowMs: number): void {
    const text = this.passage.choose(this.endpoint, nowMs);
    this.effects.log(Level.INFO, `connecting to ${text}`);
  }

  /** A connection stands `tookMs` after the first step towards it; the same in words. */
  onUp(tookMs: number, sessionPresent: boolean, nowMs: number, wallS: number): string {
    this.isShared = false;
    this.passage.route.onReached(nowMs);
    const { hubName, deviceId } = this.endpoint;
    const session = sessionPresent ? "session resumed" : "new session";
    const text = `connected to ${hubName} as ${deviceId} in ${lengthOf(tookMs)} (${session})`;
    this.effects.log(Level.NOTICE, text);
    this.verdict.onUp(wallS);
    return text;
  }

  /** A connection ended, for whatever reason, after `upMs`. */
  onDown(upMs: number): void {
    if (upMs >= STABLE_MS) this.backoff.reset();
  }

  /**
   * Says what went wrong; the wait before the next attempt, in ms: Infinity when there is none.
   * @param capMs longest wait, but for the floor after a refusal; Infinity: no further attempt
   */
  onFailure(ending: Ending, capMs: number, nowMs: number, wallS: number): number {
    const { verdict, credential, passage } = this;
    const { way } = passage;
    verdict.onFailure({ ...ending, way }, credential.expiredS(nowMs), wallS);
    passage.onEnded(ending.cause, ending.step, nowMs);
    const refused = verdict.isRefusal;
    if (refused) {
      this.effects.probe(credential.current);
      credential.discard();
    }
    if (capMs === Number.POSITIVE_INFINITY) {
      this.effects.log(Level.WARNING, `${verdict.text}; no further attempt, ${WAITS}`);
      return capMs;
    }
    if (ending.upMs > 0 && ending.upMs < STABLE_MS) this.backoff.onBrief();
    const waitMs = this.waitMs(ending, capMs);
    const text = `${verdict.text}; next attempt in ${lengthOf(waitMs)}`;
    this.effects.log(Level.WARNING, text);
    return waitMs;
  }

  private waitMs(ending: Ending, capMs: number): number {
    const { backoff, spreadMs } = this;
    const floorMs = this.verdict.isRefusal ? REFUSED_MS_MIN : floorOf(ending.cause);
    if (isOfHub(ending)) {
      this.isShared = true;
      return backoff.spread(capMs, spreadMs);
    }
    if (!this.isShared || floorMs > 0 || isOfSite(ending.cause))
      return backoff.next(capMs, floorMs);
    return backoff.respread(capMs, spreadMs);
  }

  /** The process is ready and nobody wants a connection. */
  onIdle(): void {
    this.effects.log(Level.NOTICE, `connect.auto-on-startup is false: ${WAITS}`);
  }

  /** An operator wants no connection. */
  onHeld(): void {
    this.effects.log(Level.NOTICE, "disconnected; held by an operator");
  }

  /**
   * connect.auto-on-startup went from true to false: says what that means from now on.
   * @param isLast the attempt under way is not followed by another
   */
  onManual(state: AgentState, isLast: boolean): void {
    const text = `connect.auto-on-startup is now false: ${MEANINGS[meaningOf(state, isLast)]}`;
    this.effects.log(Level.NOTICE, text);
  }

  /** The process ends with `count` messages not acknowledged, which are on disk or in memory. */
  onStopped(count: number, isDurable: boolean): void {
    const one = count === 1;
    const messages = one ? "1 message" : `${count} messages`;
    const kept = `${messages} ${one ? "waits" : "wait"} for the next start`;
    const lost = `${messages} in memory ${one ? "is" : "are"} lost`;
    const text = count === 0 ? "stopped" : `stopped; ${isDurable ? kept : lost}`;
    this.effects.log(count === 0 || isDurable ? Level.NOTICE : Level.WARNING, text);
  }

  /** While connected no new token was made: the old one serves on until the hub ends it. */
  onNotRenewed(detail: string): void {
    const why = detail === "" ? "the device key took too long" : detail;
    const text = `the token was not renewed (${why}); again in ${lengthOf(SIGN_MS)}`;
    this.effects.log(Level.WARNING, text);
  }

  /** The hub's HTTPS side answered: now a refusal can be told apart. */
  onProbed(probed: Probed, nowMs: number, wallS: number): void {
    const { verdict, credential } = this;
    if (!verdict.isRefusal) return;
    verdict.onProbed(probed, credential.clockS(nowMs), wallS);
    credential.onServerTime(probed.dateS, nowMs, wallS);
    this.effects.log(Level.ERROR, verdict.text);
  }
}

function meaningOf(state: AgentState, isLast: boolean): Meaning {
  switch (state) {
    case AgentState.PROVISIONING:
    case AgentState.SIGNING:
    case AgentState.LINKING:
      return isLast ? Meaning.LAST_ATTEMPT : Meaning.ASKED;
    case AgentState.ONLINE:
    case AgentState.RENEWING:
      return Meaning.STAYS;
    default:
      return Meaning.NO_ATTEMPT;
  }
}

/** Least wait after a failure before the hub was reached, in ms. */
function floorOf(cause: Cause): number {
  if (cause === Cause.TPM_REFUSED) return TPM_REFUSED_MS_MIN;
  return cause === Cause.DPS_REFUSED ? REFUSED_MS_MIN : 0;
}

/** True when it looks to every device of the hub as it does to us when the hub restarts. */
function isOfHub({ cause, step }: Ending): boolean {
  return step === LinkState.UP && (cause === Cause.CLOSED_BY_PEER || cause === Cause.TCP_RESET);
}

/** True when an attempt has failed before it could tell anything of the hub. */
function isOfSite(cause: Cause): boolean {
  switch (cause) {
    case Cause.NAME_NOT_FOUND:
    case Cause.NAME_LOOKUP_FAILED:
    case Cause.UNREACHABLE:
    case Cause.SIGN_FAILED:
    case Cause.SIGN_TIMEOUT:
    case Cause.PROXY_UNREACHABLE:
      return true;
    default:
      return false;
  }
}
