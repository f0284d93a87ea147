// Reconnect: does memory grow with connections? Local Azure drops the agent again and again.
// Neighbours: `gateway` runs the agent; `azimuth connect` over the control socket spares the wait
// between attempts; `vitals` reads its memory.
// Invariant: each round is a whole connection: TLS, CONNECT, subscriptions, twin; a connection
// counts when the agent itself says that it is connected again.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { FROM_SOURCE, Gateway } from "./gateway.ts";
import { type Identity, startAzure } from "./hub.ts";
import { withFolder } from "./place.ts";
import { format, type Report } from "./report.ts";
import { fit, median, quantile } from "./statistics.ts";
import { memoryOf } from "./vitals.ts";

const SAMPLES = 300;
const CONNECTED_MS = 30_000;
const NOTICE_MS = 1;
const BYTES_PER_MB = 1024 * 1024;
/** Growth over the second half of the run that still counts as flat. */
const GROWTH_MB_MAX = 1;

/** Memory after so many connections. */
interface Sample {
  readonly connections: number;
  readonly residentBytes: number;
  readonly anonymousBytes: number;
}

/** Has local Azure cut the device's connection, once, now. */
async function drop({ host, httpsPort, deviceId }: Identity, ca: string): Promise<void> {
  const response = await fetch(`https://${host}:${httpsPort}/control/fault`, {
    method: "POST",
    body: JSON.stringify({ kind: "drop", device: deviceId }),
    tls: { ca },
  });
  if (!response.ok) throw new Error(`local Azure refuses the fault: ${await response.text()}`);
  await response.text();
}

/** Asks the agent again and again until its answer will do. */
async function until(gateway: Gateway, words: readonly string[], will: (text: string) => boolean) {
  const endMs = performance.now() + CONNECTED_MS;
  for (;;) {
    const { ok, text } = await gateway.ask(...words);
    if (!ok) throw new Error(`the agent does not connect again: ${text}`);
    if (will(text)) return;
    if (performance.now() > endMs) throw new Error(`the agent stays as it is: ${text}`);
    await Bun.sleep(NOTICE_MS);
  }
}

/** Waits until the agent is connected anew and has its twin. */
async function reconnected(gateway: Gateway): Promise<void> {
  // For a moment it may still take the old connection for alive.
  await until(gateway, ["connect"], (text) => text !== "already connected");
  await until(gateway, ["status", "--json"], (text) => JSON.parse(text).twin.state === "synced");
}

async function run(folder: string, reconnects: number): Promise<readonly Sample[]> {
  const hub = await startAzure(join(folder, "azure"));
  const ca = readFileSync(hub.identity.caFile, "utf8");
  const gateway = Gateway.start(FROM_SOURCE, hub.identity, folder, join(folder, "LED1"));
  await gateway.connected();
  const step = Math.max(1, Math.floor(reconnects / SAMPLES));
  const samples: Sample[] = [];
  for (let connections = 1; connections <= reconnects; connections++) {
    await drop(hub.identity, ca);
    await reconnected(gateway);
    if (connections % step === 0) samples.push({ connections, ...memoryOf(gateway.pid) });
  }
  await gateway.stop();
  await hub.stop();
  return samples;
}

function rowOf(name: string, all: readonly Sample[], pick: (sample: Sample) => number): string[] {
  const half = all.slice(Math.floor(all.length / 2));
  const bytes = all.map(pick);
  const { slope, error } = fit(
    half.map(({ connections }) => connections),
    half.map(pick),
  );
  const quarter = Math.ceil(all.length / 4);
  return [
    name,
    format(bytes[0]! / BYTES_PER_MB),
    format(median(bytes.slice(0, quarter)) / BYTES_PER_MB),
    format(median(bytes.slice(-quarter)) / BYTES_PER_MB),
    format(quantile(bytes, 1) / BYTES_PER_MB),
    `${format(slope)} +- ${format(error)}`,
  ];
}

/** Prints memory over the run and its slope over the second half, then the aim. */
export async function reconnect(report: Report, reconnects: number): Promise<void> {
  report.heading(`reconnect: ${reconnects} forced TLS reconnects against local Azure`);
  const startMs = performance.now();
  const samples = await withFolder((folder) => run(folder, reconnects));
  const tookS = (performance.now() - startMs) / 1000;
  report.note(`took ${format(tookS, "s")}, ${samples.length} samples; slope over the second half`);
  const head = ["MB", "first", "1st quarter", "last quarter", "max", "bytes/reconnect"];
  report.table([
    head,
    rowOf("RSS", samples, (sample) => sample.residentBytes),
    rowOf("anonymous", samples, (sample) => sample.anonymousBytes),
  ]);
  const half = samples.slice(Math.floor(samples.length / 2));
  const { slope } = fit(
    half.map(({ connections }) => connections),
    half.map(({ residentBytes }) => residentBytes),
  );
  report.judge([
    {
      figure: "RSS growth over the second half (slope x reconnects)",
      measured: (slope * reconnects) / 2 / BYTES_PER_MB,
      ...{ sense: "at most", bound: GROWTH_MB_MAX, unit: "MB" },
    },
  ]);
}
