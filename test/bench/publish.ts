// Publish: what one QoS 1 message over TLS costs the client, at several windows.
// Neighbours: client/agent.ts is the production turn, client/floor.ts raw `Bun.connect`; peers
// and native have MQTT.js and libmosquitto; `hub` has the two servers.
// Invariant: messages of "azimuth" wait in memory, as those of its peers do, in a store of the same
// kind as on disk; the candidates take turns inside each round, each in a process of its own, with
// the same topic, payload and window; ratios compare figures of the same round.

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { measured } from "./child.ts";
import { PAYLOAD, TOPIC } from "./client/message.ts";
import type { Reading } from "./client/meter.ts";
import type { Order } from "./client/order.ts";
import { type Hub, startAzure, startSink } from "./hub.ts";
import { BARE, BENCH, BUILD, BUN, type Environment, SHIPPED, withFolder } from "./place.ts";
import { type Aim, format, type Report } from "./report.ts";
import { median, minimum, pairedRatio } from "./statistics.ts";
import { nodePublisher, program } from "./workshop.ts";

const WARM_SHARE = 0.2;

/** Windows, and the aim for our CPU beside the floor's. */
const WINDOWS = [
  { window: 1, ratioMax: 1.25 },
  { window: 8, ratioMax: 1.5 },
  { window: 100, ratioMax: 1.5 },
] as const;

/** Servers; local Azure is the aim's, the sink shows what is left when it costs nothing. */
const SERVERS = [
  { name: "local Azure", start: startAzure, messages: [20_000, 100_000, 400_000] },
  { name: "C server", start: startSink, messages: [40_000, 200_000, 500_000] },
] as const;

interface Candidate {
  readonly name: string;
  /** Of the messages; the slow ones cost as much a message when they send fewer. */
  readonly share: number;
  readonly environment: Environment;
  command(order: Order): readonly string[];
  /** Whether its messages are on disk before they are sent. */
  readonly isDurable?: boolean;
}

interface Sample {
  readonly cpuUs: number;
  readonly perS: number;
}

async function candidates(): Promise<readonly Candidate[]> {
  const node = await nodePublisher();
  const publisher = program("publisher");
  const bun = (file: string) => (order: Order) => {
    return [BUN, join(BENCH, "client", file), JSON.stringify(order)];
  };
  return [
    { name: "azimuth", share: 1, environment: SHIPPED, command: bun("agent.ts") },
    {
      name: "azimuth, on disk",
      share: 0.25,
      environment: SHIPPED,
      command: bun("agent.ts"),
      isDurable: true,
    },
    { name: "Bun.connect floor", share: 1, environment: SHIPPED, command: bun("floor.ts") },
    {
      name: "libmosquitto",
      share: 0.25,
      environment: BARE,
      command: (order) => [publisher, ...words(order)],
    },
    {
      name: "MQTT.js on Node",
      share: 0.25,
      environment: BARE,
      command: (order) => [...node, JSON.stringify(order)],
    },
  ];
}

/** The order as native/publisher.c takes it. */
function words(order: Order): readonly string[] {
  const { host, port, caFile, deviceId, username, token, window, warm, messages } = order;
  const head = [host, `${port}`, caFile, deviceId, username, token];
  return [...head, `${window}`, `${warm}`, `${messages}`, order.topic, order.payload];
}

async function sample(candidate: Candidate, whole: Order): Promise<Sample> {
  const count = Math.ceil(whole.messages * candidate.share);
  const order = { ...whole, messages: count, warm: Math.ceil(count * WARM_SHARE) };
  const store = candidate.isDurable ? mkdtempSync(join(BUILD, "store-")) : "";
  const command = candidate.command({ ...order, store });
  const reading = await measured<Reading>(command, candidate.environment);
  if (store !== "") rmSync(store, { recursive: true });
  const { messages, cpuUs, wallUs } = reading;
  return { cpuUs: cpuUs / messages, perS: (messages / wallUs) * 1e6 };
}

/** Runs all candidates at one window; samples by candidate, in the order of the rounds. */
async function atWindow(
  all: readonly Candidate[],
  hub: Hub,
  window: number,
  messages: number,
  rounds: number,
): Promise<ReadonlyMap<string, readonly Sample[]>> {
  const bytes = { topic: TOPIC, payload: PAYLOAD };
  const order: Order = { ...hub.identity, ...bytes, window, messages, warm: 0, store: "" };
  const samples = new Map<string, Sample[]>(all.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const candidate of all) samples.get(candidate.name)!.push(await sample(candidate, order));
  }
  return samples;
}

function rowsOf(samples: ReadonlyMap<string, readonly Sample[]>): string[][] {
  const floor = samples.get("Bun.connect floor")!.map(({ cpuUs }) => cpuUs);
  return [...samples].map(([name, all]) => {
    const cpuUs = all.map((one) => one.cpuUs);
    return [
      name,
      format(median(cpuUs)),
      format(minimum(cpuUs)),
      format(pairedRatio(cpuUs, floor), "x"),
      median(all.map(({ perS }) => perS)).toFixed(0),
    ];
  });
}

function aimsOf(
  server: string,
  window: number,
  ratioMax: number,
  samples: ReadonlyMap<string, readonly Sample[]>,
): Aim[] {
  const cpuUs = (name: string) => samples.get(name)!.map((one) => one.cpuUs);
  const ours = cpuUs("azimuth");
  const at = `in flight ${window}, ${server}`;
  return [
    {
      figure: `CPU, azimuth / Bun.connect floor, ${at}`,
      measured: pairedRatio(ours, cpuUs("Bun.connect floor")),
      ...{ sense: "at most", bound: ratioMax, unit: "x" },
    },
    {
      figure: `CPU, azimuth / libmosquitto, ${at}`,
      measured: pairedRatio(ours, cpuUs("libmosquitto")),
      ...{ sense: "below", bound: 1, unit: "x" },
    },
  ];
}

/** Prints a table for each server and window, then the aims. */
export async function publish(report: Report, rounds: number): Promise<void> {
  const all = await candidates();
  const bytes = `topic ${TOPIC.length} bytes, payload ${PAYLOAD.length} bytes`;
  report.heading(`publish: QoS 1 telemetry over TLS, ${bytes}, ${rounds} rounds`);
  const aims: Aim[] = [];
  for (const { name, start, messages } of SERVERS) {
    await withFolder(async (folder) => {
      const hub = await start(folder);
      for (const [index, { window, ratioMax }] of WINDOWS.entries()) {
        const samples = await atWindow(all, hub, window, messages[index]!, rounds);
        report.note(`${name}, in flight ${window}, ${messages[index]} messages a run`);
        const head = ["client", "CPU us/message", "minimum", "/ floor", "messages/s"];
        report.table([head, ...rowsOf(samples)]);
        aims.push(...aimsOf(name, window, ratioMax, samples));
      }
      await hub.stop();
    });
  }
  report.judge(aims);
}
