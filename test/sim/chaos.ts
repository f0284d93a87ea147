// Chaos: what goes wrong, when, and for how long; drawn from the run's seed.
// Neighbours: `fleet` starts one for each gateway and one for the hub.
// Invariant: every trouble ends by itself, and none begins after `calm`.

import { AgentState } from "../../src/core/agent.ts";
import type { Prng } from "../../src/kit/prng.ts";
import type { Hub } from "../azure/model/hub.ts";
import type { Json } from "../azure/model/merge.ts";
import type { Clockwork } from "./clockwork.ts";
import type { Gateway } from "./gateway.ts";
import type { Ledger } from "./ledger.ts";
import { Network } from "./uplink.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Mean time between two troubles of a kind, in ms, for one gateway. */
const TROUBLES: readonly (readonly [kind: string, meanMs: number])[] = [
  ["cut", HOUR],
  ["half-open", 3 * HOUR],
  ["network-down", 4 * HOUR],
  ["network-silent", 5 * HOUR],
  ["desired", 20 * MINUTE],
  ["clock-jump", 12 * HOUR],
  ["operator", 10 * HOUR],
  ["refuse", 10 * HOUR],
  ["no-puback", 3 * HOUR],
  ["delay-puback", 2 * HOUR],
  ["slow-connack", 6 * HOUR],
  ["no-suback", 8 * HOUR],
  ["lose-twin-answer", 4 * HOUR],
  ["throttle", 6 * HOUR],
  ["no-pingresp", 6 * HOUR],
  ["drop", 4 * HOUR],
  ["disable", 24 * HOUR],
  ["power-cut", 5 * HOUR],
  ["disk-full", 6 * HOUR],
  ["disk-fails", 12 * HOUR],
  ["tpm-lost", 6 * HOUR],
  ["tpm-cut", 12 * HOUR],
  ["tpm-wipe", 8 * HOUR],
  ["dps-throttle", 6 * HOUR],
  ["dps-fail", 6 * HOUR],
  ["wrong-blob", 6 * HOUR],
  ["short-blob", 6 * HOUR],
  ["never-assigned", 12 * HOUR],
];
const TPM_TROUBLES = /^tpm-|-blob$/;
const DPS_TROUBLES = new Set([
  "dps-throttle",
  "dps-fail",
  "wrong-blob",
  "short-blob",
  "never-assigned",
]);

/** What the twin may desire of LED1; null removes. */
const WISHES: readonly Json[] = [true, false, true, false, "on", 1, null];

/** Troubles of one run. */
export class Chaos {
  private isCalm = false;
  /** What each device's desired LED1 was last set to; null: removed. */
  readonly wanted = new Map<string, unknown>();

  constructor(
    private readonly hub: Hub,
    private readonly clockwork: Clockwork,
    private readonly prng: Prng,
    private readonly ledger: Ledger,
  ) {}

  start(gateways: readonly Gateway[]): void {
    for (const gateway of gateways) {
      for (const [kind, meanMs] of TROUBLES) this.plan(kind, meanMs, gateway);
    }
    this.planRestart(gateways);
  }

  /**
   * From now on nothing new goes wrong and what is wrong ends. Only a gateway that an operator
   * holds is told to connect: all others must come back by themselves.
   */
  calm(gateways: readonly Gateway[]): void {
    this.isCalm = true;
    this.hub.faults.clear();
    for (const gateway of gateways) {
      gateway.uplink.network = Network.UP;
      gateway.restore();
      gateway.disk.fill(false);
      if (gateway.chip !== undefined) gateway.chip.isFlaky = false;
      if (gateway.isKnown) this.hub.updateDevice(gateway.name, { status: "enabled" });
      release(gateway);
    }
  }

  /** Desires LED1 = `value` of every gateway; null: removes the wish. */
  desireAll(gateways: readonly Gateway[], value: boolean | null): void {
    for (const gateway of gateways) if (gateway.isKnown) this.desire(gateway, value);
  }

  private plan(kind: string, meanMs: number, gateway: Gateway): void {
    const waitMs = -Math.log(1 - this.prng.unit()) * meanMs;
    this.clockwork.after(waitMs, () => {
      if (this.isCalm) return;
      const isFit = TPM_TROUBLES.test(kind)
        ? gateway.chip !== undefined
        : gateway.isRegistered || !DPS_TROUBLES.has(kind);
      if (gateway.isKnown && !gateway.isOff && isFit) {
        this.ledger.onFault(kind);
        this.strike(kind, gateway);
      }
      this.plan(kind, meanMs, gateway);
    });
  }

  /** Every half a day or so the hub drops everybody, as an upgrade does. */
  private planRestart(gateways: readonly Gateway[]): void {
    this.clockwork.after(this.prng.between(6, 18) * HOUR, () => {
      if (this.isCalm) return;
      this.ledger.onFault("hub-restart");
      this.hub.faults.add({ kind: "upgrade", durationS: this.prng.between(1, 60) });
      this.planRestart(gateways);
    });
  }

  private strike(kind: string, gateway: Gateway): void {
    switch (kind) {
      case "cut":
        return gateway.uplink.cut();
      case "half-open":
        return gateway.uplink.deaden();
      case "network-down":
      case "network-silent":
        return this.breakNetwork(kind === "network-down", gateway);
      case "desired":
        return this.desire(gateway, WISHES[this.prng.below(WISHES.length)]!);
      case "clock-jump":
        return this.jump(gateway);
      case "operator":
        gateway.turn.onCommand(0, ["disconnect"]);
        return this.later(30, () => release(gateway));
      case "power-cut":
        return this.cutPower(gateway);
      case "disk-full":
        gateway.disk.fill(true);
        return this.later(20, () => gateway.disk.fill(false));
      case "disk-fails":
        return gateway.disk.fail();
      case "tpm-lost":
      case "tpm-cut":
        return gateway.chip!.lose(kind === "tpm-cut");
      case "tpm-wipe":
        return gateway.chip!.wipe();
      case "disable":
        this.hub.updateDevice(gateway.name, { status: "disabled" });
        return this.later(20, () => this.hub.updateDevice(gateway.name, { status: "enabled" }));
      default:
        return this.sabotage(kind, gateway);
    }
  }

  private breakNetwork(isLoud: boolean, gateway: Gateway): void {
    const { uplink } = gateway;
    if (isLoud) uplink.cut();
    else uplink.deaden();
    uplink.network = isLoud ? Network.DOWN : Network.SILENT;
    this.later(isLoud ? 30 : 15, () => {
      uplink.network = Network.UP;
    });
  }

  /** Often the link goes first, with messages on their way. */
  private cutPower(gateway: Gateway): void {
    if (this.prng.chance(0.7)) gateway.uplink.deaden();
    this.clockwork.after(this.prng.between(0, 12_000), () => {
      if (this.isCalm) return;
      gateway.cut();
      this.later(20, () => gateway.restore());
    });
  }

  private desire(gateway: Gateway, value: Json): void {
    this.wanted.set(gateway.name, value);
    this.hub.patchTwin(gateway.name, { properties: { desired: { LED1: value } } });
  }

  private jump(gateway: Gateway): void {
    gateway.skewS = this.prng.chance(0.5) ? 0 : this.prng.between(-400_000, 400_000);
  }

  private sabotage(kind: string, gateway: Gateway): void {
    const { prng } = this;
    const fault: Record<string, unknown> = { kind, device: gateway.name };
    if (kind === "refuse") {
      fault.code = prng.chance(0.7) ? 5 : 3;
      fault.durationS = prng.between(1, 300);
      gateway.uplink.cut();
    } else if (kind === "delay-puback" || kind === "slow-connack") {
      fault.ms = prng.between(100, 40_000);
      fault.count = prng.between(1, 20);
    } else if (DPS_TROUBLES.has(kind)) {
      this.trouble(fault);
    } else if (kind === "drop") {
      fault.after = prng.between(1, 20);
      fault.count = prng.between(1, 3);
    } else {
      fault.count = prng.between(1, 6);
    }
    // A fault that nothing triggers any more would wait for the calm; let it end.
    fault.durationS ??= 1800;
    this.hub.faults.add(fault);
  }

  /** The next registration goes wrong, if there is one within two hours. */
  private trouble(fault: Record<string, unknown>): void {
    const { prng } = this;
    if (fault.kind === "dps-fail") fault.code = prng.chance(0.5) ? 503 : 400208;
    if (String(fault.kind).endsWith("-blob")) fault.phase = prng.between(0, 2);
    fault.count = prng.between(1, 3);
    fault.durationS = 7200;
  }

  /** Within `minutes`, soon being likelier than late. */
  private later(minutes: number, run: () => void): void {
    const share = this.prng.unit() * this.prng.unit();
    this.clockwork.after(1000 + share * minutes * MINUTE, () => {
      if (!this.isCalm) run();
    });
  }
}

/** The operator gives back what the operator took, and nothing else. */
function release(gateway: Gateway): void {
  if (gateway.isOff) return;
  const { state } = gateway.turn.agent;
  const isHeld = state === AgentState.HELD || state === AgentState.HOLDING;
  if (isHeld) gateway.turn.onCommand(0, ["connect"]);
}
