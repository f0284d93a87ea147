// Machines: builds the machines under the agent from valid settings.
// Neighbours: `agent` owns and drives them; tests and the simulator look into them.
// Invariant: built once a process; what settings may change while it runs is in `configure`.

import { username } from "../codec/username.ts";
import type { Writer } from "../codec/writer.ts";
import type { Prng } from "../kit/prng.ts";
import { VERSION } from "../kit/version.ts";
import { MESSAGE_BYTES_MAX, OUTBOX_MESSAGES } from "../limits.ts";
import { Backoff } from "./backoff.ts";
import { Counters } from "./counters.ts";
import { Credential } from "./credential.ts";
import type { Effects } from "./effects.ts";
import { Lamps } from "./lamps.ts";
import { Link } from "./link.ts";
import { Outbox } from "./outbox.ts";
import { Recovery } from "./recovery.ts";
import type { Settings } from "./settings.ts";
import { Telemetry } from "./telemetry.ts";
import { Traffic } from "./traffic.ts";
import { Verdict } from "./verdict.ts";

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

  /** @param boot names this run of the process in message ids */
  constructor(effects: Effects, writer: Writer, settings: Settings, prng: Prng, boot: string) {
    const { counters } = this;
    const outbox = new Outbox(writer.shared, OUTBOX_MESSAGES, MESSAGE_BYTES_MAX);
    this.outbox = outbox;
    const { hubName, deviceId, moduleId, modelId, keepAliveS } = settings.endpoint;
    const clientId = moduleId === "" ? deviceId : `${deviceId}/${moduleId}`;
    const resource = `${hubName}/devices/${deviceId}${moduleId && `/modules/${moduleId}`}`;
    const agent = `azimuth/${VERSION}`;
    const user = username(hubName, deviceId, moduleId, agent, modelId);
    this.lamps = new Lamps(effects, settings.lamps);
    this.link = new Link(effects, writer, counters, { clientId, username: user, keepAliveS });
    this.traffic = new Traffic(effects, writer, outbox, counters, this.lamps, settings, prng);
    this.credential = new Credential(effects, counters, prng, resource);
    const intervalMs = settings.telemetry.intervalS * 1000;
    const { lamps } = this;
    this.telemetry = new Telemetry(effects, outbox, lamps, deviceId, moduleId, boot, intervalMs);
    this.verdict = new Verdict(settings.endpoint);
    const { verdict, credential } = this;
    const { endpoint } = settings;
    this.recovery = new Recovery(effects, verdict, new Backoff(prng), credential, endpoint);
  }

  /** Puts the outputs into their initial state and starts the schedules. */
  start(nowMs: number): void {
    this.lamps.start();
    this.telemetry.start(nowMs);
  }

  /** Takes the settings that need no new connection. */
  configure(settings: Settings, nowMs: number): void {
    const isNew = this.lamps.configure(settings.lamps);
    this.lamps.start();
    if (isNew && this.link.isUp) this.traffic.twin.refresh(nowMs);
    this.telemetry.configure(settings.telemetry.intervalS * 1000, nowMs);
    this.traffic.session.window = settings.data.inFlightMax;
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
