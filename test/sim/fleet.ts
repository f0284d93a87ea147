// Fleet: one run: a hub, its gateways, hours of chaos, then calm, then the reckoning.
// Neighbours: `main` repeats it with other seeds; the tests run it with planted bugs.
// Invariant: everything follows from the seed; after the calm all promises must have come true.

import { AgentState } from "../../src/core/agent.ts";
import { Prng } from "../../src/kit/prng.ts";
import { Hub } from "../azure/model/hub.ts";
import { Chaos } from "./chaos.ts";
import { Clockwork } from "./clockwork.ts";
import { EPOCH_MS, Gateway } from "./gateway.ts";
import { Ledger } from "./ledger.ts";
import { Trace } from "./trace.ts";

const HOUR_MS = 3_600_000;
/** Time after the chaos in which everything must come right. */
const CALM_MS = HOUR_MS / 2;

/** Result of a run. */
export interface Outcome {
  readonly seed: number;
  readonly deviceHours: number;
  /** As the gateways count: taken from producers, sent (again) on the wire, PUBACK seen. */
  readonly accepted: number;
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

/** Runs `devices` gateways for `hours` of simulated time. */
export function run(seed: number, devices: number, hours: number): Outcome {
  const prng = new Prng(seed);
  const clockwork = new Clockwork();
  const ledger = new Ledger();
  const trace = new Trace();
  const hub = makeHub(clockwork, prng, ledger);
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
  clockwork.runUntil(hours * HOUR_MS);
  for (const gateway of gateways) stopTelemetry(gateway);
  chaos.calm(gateways);
  clockwork.runUntil(hours * HOUR_MS + CALM_MS);
  return reckon(seed, hours * devices, gateways, chaos, hub, ledger, trace);
}

function makeHub(clockwork: Clockwork, prng: Prng, ledger: Ledger): Hub {
  const world = {
    nowMs: () => EPOCH_MS + clockwork.nowMs,
    randomBytes: (length: number) => {
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; at++) bytes[at] = prng.below(256);
      return bytes;
    },
  };
  return new Hub(world, { name: "sim.azure-devices.net" }, (event) => ledger.onHubEvent(event));
}

/** Lets the hub's own deadlines happen on time, to the second. */
function keepHub(hub: Hub, clockwork: Clockwork): void {
  hub.tick();
  clockwork.after(1000, () => keepHub(hub, clockwork));
}

function stopTelemetry(gateway: Gateway): void {
  gateway.turn.onSettings({ ...gateway.settings, telemetry: { intervalS: 0 } });
}

function reckon(
  seed: number,
  deviceHours: number,
  gateways: readonly Gateway[],
  chaos: Chaos,
  hub: Hub,
  ledger: Ledger,
  trace: Trace,
): Outcome {
  const sum = { accepted: 0, sent: 0, acknowledged: 0, lost: 0, connections: 0 };
  for (const gateway of gateways) {
    const { agent } = gateway.turn;
    const { outbox } = agent.machines;
    sum.accepted += outbox.accepted;
    sum.sent += outbox.acknowledged + outbox.redelivered;
    sum.acknowledged += outbox.acknowledged;
    sum.connections += gateway.uplink.connections;
    sum.lost += ledger.settle(gateway.name, outbox.accepted);
    if (agent.state !== AgentState.ONLINE) {
      ledger.onViolation(`${gateway.name}: ${AgentState[agent.state]} after the calm`);
    }
    if (!outbox.isEmpty) ledger.onViolation(`${gateway.name}: messages wait after the calm`);
    const bound = gateway.uplink.connections * gateway.settings.data.inFlightMax;
    if (outbox.redelivered > bound) ledger.onViolation(`${gateway.name}: too many redeliveries`);
    checkLamp(gateway, chaos, hub, ledger);
  }
  const { delivered, duplicates } = ledger;
  return { seed, deviceHours, ...sum, delivered, duplicates, ledger, hash: trace.text() };
}

/** The pin shows what is desired, and the hub knows it. */
function checkLamp(gateway: Gateway, chaos: Chaos, hub: Hub, ledger: Ledger): void {
  const wanted = chaos.wanted.get(gateway.name);
  if (typeof wanted === "boolean" && gateway.lit !== wanted) {
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
  const refused = typeof wanted === "string" || typeof wanted === "number";
  if (refused !== (told?.ac === 400)) ledger.onViolation(`${gateway.name}: ac ${told?.ac}`);
  if (told?.av !== twin.properties.desired.$version) {
    ledger.onViolation(`${gateway.name}: av ${told?.av} of ${twin.properties.desired.$version}`);
  }
}
