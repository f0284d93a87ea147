// Fleet: one run: a hub, its gateways, hours of chaos, then calm, then the reckoning.
// Neighbours: `main` repeats it with other seeds; the tests run it with planted bugs.
// Invariant: everything follows from the seed; after the calm all promises must have come true.

import { AgentState } from "../../src/core/agent.ts";
import { Prng } from "../../src/kit/prng.ts";
import type { HubEvent } from "../azure/model/events.ts";
import { Hub } from "../azure/model/hub.ts";
import { Chaos } from "./chaos.ts";
import { Clockwork } from "./clockwork.ts";
import { EPOCH_MS, Gateway } from "./gateway.ts";
import { Ledger } from "./ledger.ts";
import { Trace } from "./trace.ts";

const HOUR_MS = 3_600_000;
/** Time after the chaos in which everything must come right. */
const CALM_MS = HOUR_MS / 2;
/** Time after the calm for one more wish; a renewal of the token may come between. */
const WISH_MS = HOUR_MS / 12;
/** What a renewal takes at most. */
const RENEWAL_MS = 60_000;
const CHECK_MS = 10_000;

/** Result of a run. */
export interface Outcome {
  readonly seed: number;
  readonly devices: number;
  readonly hours: number;
  readonly deviceHours: number;
  /** As the disks count: messages that were durable. */
  readonly accepted: number;
  /** As the gateways count: sent (again) on the wire, PUBACK seen. */
  readonly sent: number;
  readonly acknowledged: number;
  /** As the hub counts: messages, and copies beyond the first. */
  readonly delivered: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly connections: number;
  readonly ledger: Ledger;
  readonly hash: string;
}

/** Options of the command line that play `outcome` again, and nothing else. */
export function replay({ seed, devices, deviceHours }: Outcome): string {
  return `--seed ${seed} --devices ${devices} --hours ${deviceHours}`;
}

/** Runs `devices` gateways for `hours` of simulated time. */
export function run(seed: number, devices: number, hours: number): Outcome {
  const prng = new Prng(seed);
  const clockwork = new Clockwork();
  const ledger = new Ledger();
  const trace = new Trace();
  const hub = makeHub(clockwork, prng, (event) => ledger.onHubEvent(event));
  const gateways: Gateway[] = [];
  for (let index = 0; index < devices; index++) {
    gateways.push(new Gateway(index, hub, clockwork, prng, trace, ledger));
  }
  const chaos = new Chaos(hub, clockwork, prng, ledger);
  for (const gateway of gateways) {
    clockwork.after(prng.below(60_000), () => gateway.start());
  }
  chaos.start(gateways);
  keepHub(hub, clockwork);
  keepWatch(gateways, clockwork);
  clockwork.runUntil(hours * HOUR_MS);
  chaos.calm(gateways);
  for (const gateway of gateways) stopTelemetry(gateway);
  clockwork.runUntil(hours * HOUR_MS + CALM_MS);
  for (const gateway of gateways) checkLamp(gateway, chaos, hub, ledger);
  for (const wish of [true, null]) {
    chaos.desireAll(gateways, wish);
    clockwork.runUntil(clockwork.nowMs + WISH_MS);
    for (const gateway of gateways) checkLamp(gateway, chaos, hub, ledger);
  }
  // One that renews its token in this very moment (seed 19) is given the time that takes.
  const isUp = ({ turn }: Gateway): boolean => turn.agent.state === AgentState.ONLINE;
  if (!gateways.every(isUp)) clockwork.runUntil(clockwork.nowMs + RENEWAL_MS);
  return reckon(seed, hours, gateways, ledger, trace);
}

/**
 * A hub in simulated time; `on` hears of what happens there.
 * @param overloadPerS messages a second above which it closes with 429002; 0: never
 */
export function makeHub(
  clockwork: Clockwork,
  prng: Prng,
  on: (event: HubEvent) => void,
  overloadPerS = 0,
): Hub {
  const world = {
    nowMs: () => EPOCH_MS + clockwork.nowMs,
    randomBytes: (length: number) => {
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; at++) bytes[at] = prng.below(256);
      return bytes;
    },
  };
  const setup = { name: "sim.azure-devices.net", overloadPerS };
  return new Hub(world, setup, on);
}

/** Lets the hub's own deadlines happen on time, to the second. */
export function keepHub(hub: Hub, clockwork: Clockwork): void {
  hub.tick();
  clockwork.after(1000, () => keepHub(hub, clockwork));
}

/** Looks all the time whether those that wait will ever try again. */
function keepWatch(gateways: readonly Gateway[], clockwork: Clockwork): void {
  for (const gateway of gateways) gateway.checkWait();
  clockwork.after(CHECK_MS, () => keepWatch(gateways, clockwork));
}

function stopTelemetry(gateway: Gateway): void {
  gateway.producer.stop();
  const telemetry = { ...gateway.settings.telemetry, intervalS: 0 };
  gateway.turn.onSettings({ ...gateway.settings, telemetry });
}

function reckon(
  seed: number,
  hours: number,
  gateways: readonly Gateway[],
  ledger: Ledger,
  trace: Trace,
): Outcome {
  const sum = { sent: 0, acknowledged: 0, lost: 0, connections: 0 };
  for (const gateway of gateways) {
    const { agent } = gateway.turn;
    const { outbox } = agent.machines;
    sum.sent += gateway.acknowledged + gateway.redelivered;
    sum.acknowledged += gateway.acknowledged;
    sum.connections += gateway.uplink.connections;
    sum.lost += ledger.settle(gateway.name);
    if (agent.state !== AgentState.ONLINE) {
      ledger.onViolation(`${gateway.name}: ${AgentState[agent.state]} after the calm`);
    }
    if (!outbox.isEmpty) ledger.onViolation(`${gateway.name}: messages wait after the calm`);
    const bound = gateway.uplink.connections * gateway.settings.data.inFlightMax;
    if (gateway.redelivered > bound) ledger.onViolation(`${gateway.name}: too many redeliveries`);
  }
  const { durable: accepted, delivered, duplicates } = ledger;
  const devices = gateways.length;
  const deviceHours = hours * devices;
  return {
    seed,
    devices,
    hours,
    deviceHours,
    ...sum,
    accepted,
    delivered,
    duplicates,
    ledger,
    hash: trace.text(),
  };
}

/** The pin shows what is desired, and the hub knows it. */
function checkLamp(gateway: Gateway, chaos: Chaos, hub: Hub, ledger: Ledger): void {
  if (!gateway.isKnown) return ledger.onViolation(`${gateway.name} has no place at the hub`);
  const wanted = chaos.wanted.get(gateway.name);
  const isRefused = typeof wanted === "string" || typeof wanted === "number";
  // Without a wish the initial state holds: dark. What a refused one leaves is what was before.
  if (!isRefused && gateway.lit !== (wanted ?? false)) {
    ledger.onViolation(`${gateway.name}: LED1 is ${gateway.lit}, desired is ${wanted}`);
  }
  const twin = hub.getTwin(gateway.name) as {
    properties: {
      desired: { $version: number };
      reported: { LED1?: { value: unknown; ac: number; av: number } };
    };
  };
  const told = twin.properties.reported.LED1;
  if (told?.value !== gateway.lit) {
    ledger.onViolation(`${gateway.name}: LED1 is ${gateway.lit}, reported is ${told?.value}`);
  }
  const code = isRefused ? 400 : typeof wanted === "boolean" ? 200 : 203;
  if (told?.ac !== code) ledger.onViolation(`${gateway.name}: ac ${told?.ac}, not ${code}`);
  if (told?.av !== twin.properties.desired.$version) {
    ledger.onViolation(`${gateway.name}: av ${told?.av} of ${twin.properties.desired.$version}`);
  }
}
