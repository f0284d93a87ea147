// Gateway: one simulated device: the production turn with simulated ports.
// Neighbours: `fleet` makes them, `chaos` troubles them, `ledger` checks what they did.
// Invariant: nothing of `src/port` is here; time, chance and the network come from the run's seed.

import { createHash, createHmac } from "node:crypto";
import { AgentState } from "../../src/core/agent.ts";
import {
  type Calendar,
  Cause,
  type Ports,
  type Probed,
  type WebRequest,
} from "../../src/core/effects.ts";
import type { Settings } from "../../src/core/settings.ts";
import { Fate } from "../../src/core/tally.ts";
import { Prng } from "../../src/kit/prng.ts";
import { REFUSED_MS_MIN, SPREAD_S_DEFAULT, TPM_REFUSED_MS_MIN } from "../../src/limits.ts";
import { Turn } from "../../src/turn.ts";
import { Chip } from "../azure/chip.ts";
import type { Hub } from "../azure/model/hub.ts";
import type { JsonObject } from "../azure/model/merge.ts";
import { CALM } from "../calm.ts";
import { KEY, type Parts, settings } from "../given.ts";
import { TpmModel } from "../tpm/model.ts";
import { SimTpm } from "./chip.ts";
import type { Clockwork } from "./clockwork.ts";
import { Disk } from "./disk.ts";
import type { Ledger } from "./ledger.ts";
import { Producer } from "./producer.ts";
import { askDps, SILENT } from "./service.ts";
import { Tap } from "./tap.ts";
import type { Trace } from "./trace.ts";
import { SimUplink } from "./uplink.ts";

/** Unix ms at which simulated time starts: 2026-01-01T00:00:00Z. */
export const EPOCH_MS = 1_767_225_600_000;
const LATENCIES_MS = [1, 5, 20, 60, 150, 600];
const SCOPE = "0ne00000000";
/** All simulated TPMs hold the same keys: making a pair takes longer than a day of a gateway. */
let shared: Chip | undefined;
const INTERVALS_S = [5, 10, 15, 30, 60];

/** What is not left to chance: the rest is drawn from the seed. */
export interface Choice {
  readonly parts?: Pick<Parts, "data" | "telemetry" | "schedule">;
  /** Of the way to the hub, in one direction. */
  readonly latencyMs?: number;
  /** Of a sync that takes seconds. */
  readonly slowChance?: number;
  readonly calendar?: Calendar;
}

/** A device of the fleet. */
export class Gateway {
  readonly name: string;
  turn: Turn;
  readonly disk: Disk;
  readonly producer: Producer;
  readonly uplink: SimUplink;
  readonly tap: Tap;
  readonly settings: Settings;
  /** Seconds that this gateway's calendar is ahead of the true one. */
  skewS = 0;
  /** What the pin shows. */
  lit = false;
  /** The TPM that the device key is in; undefined for a gateway with a key of its own. */
  readonly chip: SimTpm | undefined;
  /** The assignment on disk. */
  private kept = "";
  private alarmMs = Number.POSITIVE_INFINITY;
  private ringsMs = Number.POSITIVE_INFINITY;
  private isLate = false;
  /** Without power. */
  isOff = true;
  private life = 0;
  /** Of earlier lives. */
  private redeliveredBefore = 0;
  private acknowledgedBefore = 0;

  constructor(
    readonly index: number,
    private readonly hub: Hub,
    private readonly clockwork: Clockwork,
    private readonly prng: Prng,
    private readonly trace: Trace,
    private readonly ledger: Ledger,
    private readonly choice: Choice = {},
  ) {
    this.name = `gw${index}`;
    // In turns: a connection string, a TPM, the key of an enrollment.
    const isTpm = index % 3 === 1;
    const isKey = index % 3 === 2;
    const identity = isTpm ? this.enrolTpm() : isKey ? this.enrolKey() : this.create();
    if (isTpm) this.chip = new SimTpm(new TpmModel(shared!), clockwork, prng, () => this.turn);
    const { parts = {} } = choice;
    const keepAliveS = prng.chance(0.5) ? 240 : 60;
    const intervalS = INTERVALS_S[prng.below(INTERVALS_S.length)]!;
    this.settings = settings({
      endpoint: { ...identity, keepAliveS },
      telemetry: { intervalS, ...parts.telemetry },
      data: {
        inFlightMax: prng.chance(0.7) ? 8 : 1 + prng.below(20),
        connectSpreadS: SPREAD_S_DEFAULT,
        ...parts.data,
      },
      schedule: { ...parts.schedule },
    });
    const { inFlightMax } = this.settings.data;
    this.tap = new Tap(inFlightMax, {
      onViolation: (text) => ledger.onViolation(`${this.name}: ${text}`),
      onAcknowledged: (id) => ledger.onAcknowledged(this.name, id),
      onDisconnect: () => ledger.onDisconnect(this.name),
    });
    const latencyMs = LATENCIES_MS[prng.below(LATENCIES_MS.length)]!;
    this.uplink = new SimUplink(
      hub,
      clockwork,
      prng,
      () => this.turn,
      this.tap,
      trace,
      index,
      choice.latencyMs ?? latencyMs,
    );
    this.disk = new Disk(
      clockwork,
      prng,
      ({ bag }) => ledger.onDurable(this.name, bag),
      (detail) => this.turn.onStoreSynced(detail),
      choice.slowChance,
    );
    this.turn = this.make();
    const on = () => (this.isOff ? undefined : this.turn);
    this.producer = new Producer(this.name, clockwork, prng, on, () => this.wallS);
  }

  private make(): Turn {
    const own = new Prng(this.prng.next32());
    return new Turn(this.ports(), this.settings, "", own, `g${this.index}-${this.life}`);
  }

  private get wallS(): number {
    return (EPOCH_MS + this.clockwork.nowMs) / 1000 + this.skewS;
  }

  /** The power goes: what is not durable is gone, and nothing that was asked for is answered. */
  cut(): void {
    if (this.isOff) return;
    // What is acknowledged while the store takes nothing is not removed there.
    const { inFlightMax } = this.settings.data;
    this.ledger.onCut(this.name, this.disk.isUnwell ? Number.POSITIVE_INFINITY : inFlightMax);
    const { tally, window } = this.turn.agent.machines.outbox;
    this.redeliveredBefore += window.redelivered;
    this.acknowledgedBefore += tally.sum(Fate.ACKNOWLEDGED);
    this.isOff = true;
    this.life++;
    this.uplink.abort();
    this.tap.onCut();
    this.chip?.cut();
    this.disk.cut();
    this.lit = false;
    this.ringsMs = Number.POSITIVE_INFINITY;
    this.alarmMs = Number.POSITIVE_INFINITY;
  }

  /** The power is there again. */
  restore(): void {
    if (!this.isOff) return;
    this.turn = this.make();
    this.start();
  }

  get redelivered(): number {
    return this.redeliveredBefore + this.turn.agent.machines.outbox.window.redelivered;
  }

  get acknowledged(): number {
    const { tally } = this.turn.agent.machines.outbox;
    return this.acknowledgedBefore + tally.sum(Fate.ACKNOWLEDGED);
  }

  /** Runs `act` after a while, unless the power goes before. */
  private after(delayMs: number, act: () => void): void {
    const { life } = this;
    this.clockwork.after(delayMs, () => {
      if (life === this.life) act();
    });
  }

  /** While it waits for its next attempt, that must come soon, and the alarm must be set for it. */
  checkWait(): void {
    const { agent } = this.turn;
    if (this.isOff || agent.state !== AgentState.WAITING || this.isLate) return;
    const isLocked = agent.machines.identity.provision.cause === Cause.TPM_REFUSED;
    const floorMs = isLocked ? TPM_REFUSED_MS_MIN : REFUSED_MS_MIN;
    const capMs = Math.max(this.settings.data.retryIntervalS * 1000, 2 * floorMs);
    const leftMs = Math.max(agent.deadlineMs, this.ringsMs) - this.clockwork.nowMs;
    if (leftMs <= capMs) return;
    this.isLate = true;
    this.ledger.onViolation(`${this.name}: next attempt in ${leftMs} ms, longest wait ${capMs}`);
  }

  /** Turns it on. */
  start(): void {
    this.isOff = false;
    this.turn.start();
    this.chip?.open();
  }

  /** False before DPS has made this device at the hub. */
  get isKnown(): boolean {
    return this.turn.agent.settings.endpoint.deviceId !== "";
  }

  /** True when it registers at DPS. */
  get isRegistered(): boolean {
    return this.settings.endpoint.idScope !== "";
  }

  private create(): Partial<Settings["endpoint"]> {
    const { hub, name } = this;
    const made = hub.createDevice(name) as {
      authentication: { symmetricKey: { primaryKey: string } };
    };
    const { primaryKey } = made.authentication.symmetricKey;
    return { deviceId: name, hubName: hub.options.name, key: primaryKey };
  }

  private enrolTpm(): Partial<Settings["endpoint"]> {
    shared ??= Chip.make();
    const { endorsementKey } = shared;
    return { ...this.enrol({ type: "tpm", tpm: { endorsementKey } }), type: "tpm", key: "" };
  }

  private enrolKey(): Partial<Settings["endpoint"]> {
    const symmetricKey = { primaryKey: KEY };
    const place = this.enrol({ type: "symmetricKey", symmetricKey });
    return { ...place, type: "symmetric-key", key: KEY };
  }

  /** An enrollment whose registration id and device id are the gateway's name. */
  private enrol(attestation: JsonObject): Partial<Settings["endpoint"]> {
    const { hub, name } = this;
    const registration = { registrationId: name, deviceId: name };
    hub.dps.putEnrollment("device", name, { ...registration, attestation });
    const nowhere = { deviceId: "", hubName: "", host: "" };
    return { ...nowhere, idScope: SCOPE, registrationId: name };
  }

  private ports(): Ports {
    const { clockwork, ledger } = this;
    const { calendar } = this.choice;
    return {
      clock: {
        nowMs: () => clockwork.nowMs,
        wallS: () => this.wallS,
      },
      uplink: this.uplink,
      signer: { sign: (text) => this.sign(text) },
      probe: { probe: (_host, _port, _path, token) => this.probe(token) },
      pins: {
        drive: (_lamp, on) => {
          this.lit = on;
          this.trace.word(on ? 3 : 4);
          return "";
        },
      },
      alarm: { arm: (atMs) => this.arm(atMs) },
      control: { reply: () => {} },
      log: { write: (_level, text) => ledger.onLog(this.name, text) },
      tpm: this.chip ?? { perform: () => this.stray(), flushAll: () => this.stray() },
      web: { ask: (ticket, request) => this.ask(ticket, request) },
      store: this.disk.shelf,
      memo: { text: this.kept, save: (text) => this.save(text) },
      upkeep: calendar === undefined ? CALM : { ...CALM, nextS: (at) => calendar.nextS(at) },
      sha256: (bytes) => createHash("sha256").update(bytes).digest(),
      reload: () => {},
      exit: () => ledger.onViolation(`${this.name} exited`),
    };
  }

  private stray(): void {
    this.ledger.onViolation(`${this.name} asked for a TPM or a DPS that it has not`);
  }

  private ask(ticket: number, request: WebRequest): void {
    if (!this.isRegistered) return this.stray();
    const { latencyMs } = this.uplink;
    this.after(6 * latencyMs + 1, () => {
      if (this.uplink.network !== 0) return this.turn.onFetched(ticket, SILENT);
      const dateS = (): number => Math.floor((EPOCH_MS + this.clockwork.nowMs) / 1000);
      askDps(this.hub, request, dateS, (answer) => {
        this.after(latencyMs, () => this.turn.onFetched(ticket, answer));
      });
    });
  }

  private save(text: string): void {
    if (!this.isRegistered) return this.stray();
    this.kept = text;
    this.after(1 + this.prng.below(200), () => this.turn.onSaved(""));
  }

  private sign(text: string): void {
    const key = Buffer.from(this.settings.endpoint.key, "base64");
    const signature = createHmac("sha256", key).update(text).digest("base64");
    this.after(1 + this.prng.below(100), () => {
      if (this.prng.chance(0.01)) this.turn.onSignFailed("the simulated key is busy");
      else this.turn.onSigned(signature);
    });
  }

  private probe(token: string): void {
    this.after(6 * this.uplink.latencyMs + 1, () => {
      const isReachable = this.uplink.network === 0 && !this.prng.chance(0.1);
      const check = this.hub.checkToken(this.name, token);
      const probed: Probed = {
        dateS: isReachable ? Math.floor((EPOCH_MS + this.clockwork.nowMs) / 1000) : Number.NaN,
        status: isReachable ? (check.isEnabled ? 401 : 403) : 0,
        errorCode: "",
      };
      this.turn.onProbed(probed);
    });
  }

  private arm(atMs: number): void {
    this.alarmMs = atMs;
    if (atMs >= this.ringsMs) return;
    this.ringsMs = atMs;
    this.after(atMs - this.clockwork.nowMs, () => {
      if (this.ringsMs > this.clockwork.nowMs) return;
      this.ringsMs = Number.POSITIVE_INFINITY;
      if (this.alarmMs > this.clockwork.nowMs) this.arm(this.alarmMs);
      else this.turn.onAlarm();
    });
  }
}
