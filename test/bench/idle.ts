// Idle: what a connected agent costs while nothing happens, beside a Bun that does nothing.
// Neighbours: `gateway` runs the agent, `vitals` looks at it; local Azure is the other end.
// Invariant: all run at the same time with the run settings of the product, and are looked at
// over the same seconds.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { adopt, stopped } from "./child.ts";
import { FROM_SOURCE, Gateway } from "./gateway.ts";
import { type Hub, startAzure } from "./hub.ts";
import { BUN, EXECUTABLE, SHIPPED, withFolder } from "./place.ts";
import { type Aim, format, type Report } from "./report.ts";
import { activitySince, memoryOf, threadsOf } from "./vitals.ts";

/** Time for what a start leaves behind: ticket, twin, first report, threads that compile. */
const SETTLE_MS = 12_000;
const BYTES_PER_MB = 1024 * 1024;
const NS_PER_MS = 1e6;
const RSS_ABOVE_MB_MAX = 12;
const WAKEUPS_MAX = 5;

/** One process over the time it was looked at. */
interface Figures {
  readonly name: string;
  readonly residentMb: number;
  readonly anonymousMb: number;
  readonly cpuMsPerS: number;
  readonly wakeupsPerS: number;
  readonly threads: number;
}

async function figuresOf(name: string, pid: number, seconds: number): Promise<Figures> {
  const before = threadsOf(pid);
  await Bun.sleep(seconds * 1000);
  const after = threadsOf(pid);
  const { cpuNs, sleeps } = activitySince(before, after);
  const { residentBytes, anonymousBytes } = memoryOf(pid);
  return {
    name,
    residentMb: residentBytes / BYTES_PER_MB,
    anonymousMb: anonymousBytes / BYTES_PER_MB,
    cpuMsPerS: cpuNs / NS_PER_MS / seconds,
    wakeupsPerS: sleeps / seconds,
    threads: after.size,
  };
}

/** The agents to look at: from source, and as shipped when that has been built. */
function commands(): readonly (readonly [string, readonly string[]])[] {
  const all: (readonly [string, readonly string[]])[] = [["azimuth, from source", FROM_SOURCE]];
  if (existsSync(EXECUTABLE)) all.push(["azimuth, build/azimuth", [EXECUTABLE]]);
  return all;
}

/** An agent with a hub of its own, for a device has one connection. */
async function startAgent(
  command: readonly string[],
  folder: string,
): Promise<readonly [Gateway, Hub]> {
  const own = join(folder, "agent");
  mkdirSync(own, { recursive: true });
  const hub = await startAzure(join(folder, "azure"));
  const gateway = Gateway.start(command, hub.identity, own, join(own, "LED1"));
  await gateway.connected();
  return [gateway, hub];
}

/** A Bun that runs `code` and then nothing. */
function startBare(code: string, folder: string): Subprocess {
  return adopt(
    Bun.spawn([BUN, "-e", `${code}setTimeout(()=>{},1e9)`], { cwd: folder, env: SHIPPED }),
  );
}

async function look(folder: string, seconds: number): Promise<readonly Figures[]> {
  const bare = startBare("", folder);
  const withFiles = startBare('require("node:fs");', folder);
  const agents: (readonly [string, Gateway, Hub])[] = [];
  for (const [index, [name, command]] of commands().entries()) {
    agents.push([name, ...(await startAgent(command, join(folder, `${index}`)))]);
  }
  await Bun.sleep(SETTLE_MS);
  const figures = await Promise.all([
    figuresOf("bare Bun", bare.pid, seconds),
    figuresOf("bare Bun with node:fs", withFiles.pid, seconds),
    ...agents.map(([name, gateway]) => figuresOf(name, gateway.pid, seconds)),
  ]);
  for (const [, gateway, hub] of agents) {
    await gateway.stop();
    await hub.stop();
  }
  await stopped(bare);
  await stopped(withFiles);
  return figures;
}

function aimsOf(bare: Figures, { name, residentMb, wakeupsPerS }: Figures): Aim[] {
  return [
    {
      figure: `RSS above bare Bun, ${name}`,
      measured: residentMb - bare.residentMb,
      ...{ sense: "at most", bound: RSS_ABOVE_MB_MAX, unit: "MB" },
    },
    {
      figure: `wake-ups, ${name}`,
      measured: wakeupsPerS,
      ...{ sense: "below", bound: WAKEUPS_MAX, unit: "/s" },
    },
  ];
}

/** Prints a row for each process, then the aims. */
export async function idle(report: Report, seconds: number): Promise<void> {
  report.heading(`idle: connected to local Azure over TLS, nothing to do, ${seconds} s`);
  const figures = await withFolder((folder) => look(folder, seconds));
  const rows = figures.map((one) => [
    one.name,
    format(one.residentMb),
    format(one.anonymousMb),
    format(one.cpuMsPerS),
    format(one.wakeupsPerS),
    `${one.threads}`,
  ]);
  const head = ["process", "RSS MB", "anonymous MB", "CPU ms/s", "wake-ups/s", "threads"];
  report.table([head, ...rows]);
  const [bare, , ...agents] = figures;
  report.judge(agents.flatMap((agent) => aimsOf(bare!, agent)));
}
