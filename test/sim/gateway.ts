// Gateway: one simulated device: the production turn with simulated ports.
// Neighbours: `fleet` makes them, `chaos` troubles them, `ledger` checks what they did.
// Invariant: nothing of `src/port` is here; time, chance and the network come from the run's seed.

import { createHmac } from "node:crypto";
import { AgentState } from "../../src/core/agent.ts";
import type { Ports, Probed } from "../../src/core/effects.ts";
import type { Settings } from "../../src/core/settings.ts";
import { Prng } from "../../src/kit/prng.ts";
import { REFUSED_MS_MIN } from "../../src/limits.ts";
import { Turn } from "../../src/turn.ts";
import type { Hub } from "../azure/model/hub.ts";
import { settings } from "../rig.ts";
import type { Clockwork } from "./clockwork.ts";
import type { Ledger } from "./ledger.ts";
import { Tap } from "./tap.ts";
import type { Trace } from "./trace.ts";
import { SimUplink } from "./uplink.ts";

/** Unix ms at which simulated time starts: 2026-01-01T00:00:00Z. */
export const EPOCH_MS = 1_767_225_600_000;
const LATENCIES_MS = [1, 5, 20, 60, 150, 600];
const INTERVALS_S = [5, 10, 15, 30, 60];

/** A device of the fleet. */
export class Gateway {
  readonly name: string;
  readonly turn: Turn;
  readonly uplink: SimUplink;
  readonly tap: Tap;
  readonly settings: Settings;
  /** Seconds that this gateway's calendar is ahead of the true one. */
  skewS = 0;
  /** What the pin shows. */
  lit = false;
  private alarmMs = Number.POSITIVE_INFINITY;
  private ringsMs = Number.POSITIVE_INFINITY;
  private isLate = false;

  constructor(
    readonly index: number,
    private readonly hub: Hub,
    private readonly clockwork: Clockwork,
    private readonly prng: Prng,
    private readonly trace: Trace,
    private readonly ledger: Ledger,
  ) {
    this.name = `gw${index}`;
    const key = hub.createDevice(this.name) as {
      authentication: { symmetricKey: { primaryKey: string } };
    };
    const { primaryKey } = key.authentication.symmetricKey;
    this.settings = settings({
      endpoint: {
        deviceId: this.name,
        hubName: hub.options.name,
        key: primaryKey,
        keepAliveS: prng.chance(0.5) ? 240 : 60,
      },
      telemetry: { intervalS: INTERVALS_S[prng.below(INTERVALS_S.length)]! },
      data: { inFlightMax: prng.chance(0.7) ? 8 : 1 + prng.below(20) },
    });
    const { inFlightMax } = this.settings.data;
    this.tap = new Tap(inFlightMax, {
      onViolation: (text) => ledger.onViolation(`${this.name}: ${text}`),
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
      latencyMs,
    );
    const own = new Prng(prng.next32());
    this.turn = new Turn(this.ports(), this.settings, "", own, `g${index}`);
  }

  /** While it waits for its next attempt, that must come soon, and the alarm must be set for it. */
  checkWait(): void {
    const { agent } = this.turn;
    if (agent.state !== AgentState.WAITING || this.isLate) return;
    const capMs = Math.max(this.settings.data.retryIntervalS * 1000, 2 * REFUSED_MS_MIN);
    const leftMs = Math.max(agent.deadlineMs, this.ringsMs) - this.clockwork.nowMs;
    if (leftMs <= capMs) return;
    this.isLate = true;
    this.ledger.onViolation(`${this.name}: next attempt in ${leftMs} ms, longest wait ${capMs}`);
  }

  private ports(): Ports {
    const { clockwork, ledger } = this;
    return {
      clock: {
        nowMs: () => clockwork.nowMs,
        wallS: () => (EPOCH_MS + clockwork.nowMs) / 1000 + this.skewS,
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
      reload: () => {},
      exit: () => ledger.onViolation(`${this.name} exited`),
    };
  }

  private sign(text: string): void {
    const key = Buffer.from(this.settings.endpoint.key, "base64");
    const signature = createHmac("sha256", key).update(text).digest("base64");
    this.clockwork.after(1 + this.prng.below(100), () => {
      if (this.prng.chance(0.01)) this.turn.onSignFailed("the simulated key is busy");
      else this.turn.onSigned(signature);
    });
  }

  private probe(token: string): void {
    this.clockwork.after(6 * this.uplink.latencyMs + 1, () => {
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
    this.clockwork.at(atMs, () => {
      if (this.ringsMs > this.clockwork.nowMs) return;
      this.ringsMs = Number.POSITIVE_INFINITY;
      if (this.alarmMs > this.clockwork.nowMs) this.arm(this.alarmMs);
      else this.turn.onAlarm();
    });
  }
}
