// Machines: builds the machines under the agent from valid settings.
// Neighbours: `agent` owns and drives them; tests and the simulator look into them.
// Invariant: built once a process; what settings may change while it runs is in `configure`.

import { telemetryTopic } from "../codec/topic.ts";
import { username } from "../codec/username.ts";
import type { Writer } from "../codec/writer.ts";
import type { Prng } from "../kit/prng.ts";
import { VERSION } from "../kit/version.ts";
import { WINDOW_MESSAGES } from "../limits.ts";
import { Approach } from "./approach.ts";
import { Backoff } from "./backoff.ts";
import { Counters } from "./counters.ts";
import { Credential, CredentialState } from "./credential.ts";
import { Drain } from "./drain.ts";
import type { Effects, Store } from "./effects.ts";
import { Identity, type Origin } from "./identity.ts";
import { Journal } from "./journal.ts";
import { Keeper } from "./keeper.ts";
import { Lamps } from "./lamps.ts";
import { type Greeting, Link } from "./link.ts";
import { Outbox } from "./outbox.ts";
import { Passage } from "./passage.ts";
import { Recovery } from "./recovery.ts";
import { type EndpointSettings, isInTpm, type Settings } from "./settings.ts";
import { Telemetry } from "./telemetry.ts";
import { Traffic } from "./traffic.ts";
import { Validity } from "./validity.ts";
import { Verdict } from "./verdict.ts";
import { Window } from "./window.ts";

const NEVER = Number.POSITIVE_INFINITY;

/** One of each. */
export class Machines {
  readonly counters = new Counters();
  readonly outbox: Outbox;
  readonly lamps: Lamps;
  readonly link: Link;
  readonly traffic: Traffic;
  readonly credential: Credential;
  readonly telemetry: Telemetry;
  readonly verdict: Verdict;
  readonly recovery: Recovery;
  readonly identity: Identity;
  readonly passage: Passage;
  readonly validity: Validity;
  readonly approach: Approach;
  readonly keeper: Keeper;
  private endpoint: EndpointSettings;

  /**
   * @param settings with the endpoint placed as far as it is known
   * @param boot names this run of the process in message ids
   */
  constructor(
    private readonly effects: Effects,
    writer: Writer,
    settings: Settings,
    prng: Prng,
    boot: string,
    origin: Origin,
    store: Store,
  ) {
    const { counters } = this;
    const { endpoint } = settings;
    this.identity = new Identity(effects, counters, prng, endpoint, origin);
    const placed = this.identity.settled;
    const outbox = this.createOutbox(writer, settings, store);
    this.outbox = outbox;
    const { deviceId, moduleId } = placed;
    this.endpoint = placed;
    this.lamps = new Lamps(effects, settings.lamps);
    this.link = new Link(effects, writer, counters, greetingOf(placed));
    this.traffic = new Traffic(effects, writer, outbox, counters, this.lamps, settings, prng);
    this.traffic.identify(deviceId, moduleId);
    outbox.identify(topicOf(placed));
    const first = placed.type === "x509" ? CredentialState.NEEDLESS : CredentialState.NONE;
    this.credential = new Credential(effects, counters, prng, resourceOf(placed), first);
    this.validity = new Validity(effects, placed.certificate);
    const { lamps } = this;
    this.telemetry = new Telemetry(effects, outbox, lamps, boot, settings.telemetry);
    this.verdict = new Verdict(placed);
    const { verdict, credential } = this;
    this.passage = new Passage(settings.network, placed);
    this.keeper = new Keeper(effects, counters, outbox, this.traffic, settings);
    const backoff = new Backoff(prng);
    this.recovery = new Recovery(effects, verdict, backoff, credential, this.passage, placed);
    this.recovery.spreadMs = settings.data.connectSpreadS * 1000;
    this.approach = new Approach(this.identity, credential, this.recovery, this.link);
  }

  /** What keeps the device key from signing, as far as is known; "" for nothing. */
  get signerFault(): string {
    return isInTpm(this.endpoint) ? this.identity.vault.fault : "";
  }

  /** A registration has ended well. */
  onRegistered(nowMs: number, wallS: number): void {
    this.identify(this.identity.settled);
    const { dateS, dateMs } = this.identity.provision;
    this.credential.onServerTime(dateS + (nowMs - dateMs) / 1000, nowMs, wallS);
  }

  private createOutbox(writer: Writer, { data }: Settings, store: Store): Outbox {
    const journal: Journal = new Journal(store, {
      onAccepted: (sequence) => outbox.onAccepted(sequence),
      onRefused: (first, last, why, detail) => outbox.onRefused(first, last, why, detail),
      onLine: (line) => outbox.onLine(line),
    });
    const window = new Window(writer.shared, WINDOW_MESSAGES);
    const drain = new Drain(data.drain);
    const purgeMs = data.purgeIntervalS * 1000;
    const outbox = new Outbox(this.effects, journal, drain, window, data.bounds, purgeMs);
    return outbox;
  }

  /** DPS has told who we are and where; what waits goes out in the new name. */
  private identify(endpoint: EndpointSettings): void {
    const { deviceId, moduleId } = endpoint;
    this.endpoint = endpoint;
    this.link.identify(greetingOf(endpoint));
    this.traffic.identify(deviceId, moduleId);
    this.credential.identify(resourceOf(endpoint));
    this.outbox.identify(topicOf(endpoint));
    this.recovery.identify(endpoint);
  }

  /**
   * Puts the outputs into their initial state and starts the schedules.
   * @param machine names this run of the machine
   */
  start(machine: string, nowMs: number, wallS: number): void {
    this.outbox.open(nowMs, wallS);
    this.lamps.start();
    this.telemetry.start(nowMs);
    this.validity.start(nowMs, wallS);
    this.keeper.start(machine, nowMs, wallS);
  }

  /** What is due beside the connection. */
  onDeadline(nowMs: number, wallS: number): void {
    this.telemetry.onDeadline(nowMs, wallS);
    this.outbox.onDeadline(nowMs, wallS);
    this.validity.onDeadline(nowMs, wallS);
    this.keeper.onDeadline(nowMs, wallS);
  }

  /** Takes the settings that need no new connection. */
  configure(settings: Settings, nowMs: number, wallS: number): void {
    const isNew = this.lamps.configure(settings.lamps);
    this.lamps.start();
    if (isNew && this.link.isUp) this.traffic.twin.refresh(nowMs);
    this.telemetry.configure(settings.telemetry, nowMs);
    const { session } = this.traffic;
    const { inFlightMax, isRepublished, congestionS, bounds, drain, purgeIntervalS } =
      settings.data;
    session.window = inFlightMax;
    session.isRepublished = isRepublished;
    session.congestionMs = congestionS * 1000;
    this.recovery.spreadMs = settings.data.connectSpreadS * 1000;
    this.outbox.bounds = bounds;
    this.outbox.drain.configure(drain);
    this.outbox.purgeIntervalMs = purgeIntervalS * 1000;
    this.keeper.configure(settings, this.link.isUp, nowMs, wallS);
  }

  /** The next moment at which one of them is due, in monotonic ms; the credential's left aside. */
  get nextMs(): number {
    const { telemetry, validity, identity, link, traffic, outbox, keeper } = this;
    const ownMs = Math.min(telemetry.deadlineMs, validity.deadlineMs, outbox.deadlineMs);
    const next = Math.min(ownMs, identity.provision.deadlineMs, link.deadlineMs, keeper.nextMs);
    return Math.min(next, link.isUp ? traffic.nextMs : NEVER);
  }

  /** Pin `lamp` was driven; `fault` is "" or one line. */
  onDriven(lamp: number, on: boolean, fault: string): void {
    this.lamps.onDriven(lamp, on, fault);
  }

  /** Bytes went to the socket. */
  onSent(bytes: number, nowMs: number): void {
    this.counters.bytesOut += bytes;
    this.traffic.keepAlive.onSent(nowMs);
  }

  /** Bytes came from the socket. */
  onReceived(bytes: number, nowMs: number): void {
    this.counters.bytesIn += bytes;
    this.traffic.keepAlive.onReceived(nowMs);
  }
}

function greetingOf({ hubName, deviceId, moduleId, ...rest }: EndpointSettings): Greeting {
  const { modelId, keepAliveS } = rest;
  const clientId = moduleId === "" ? deviceId : `${deviceId}/${moduleId}`;
  const agent = `azimuth/${VERSION}`;
  return { clientId, username: username(hubName, deviceId, moduleId, agent, modelId), keepAliveS };
}

/** The topic of our telemetry, "" before we know who we are. */
function topicOf({ deviceId, moduleId }: EndpointSettings): string {
  return deviceId === "" ? "" : telemetryTopic(deviceId, moduleId);
}

function resourceOf({ hubName, deviceId, moduleId }: EndpointSettings): string {
  return `${hubName}/devices/${deviceId}${moduleId && `/modules/${moduleId}`}`;
}
