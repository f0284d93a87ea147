// Messages: the real agent at local Azure over real TLS, for hours, with faults by seed.
// Neighbours: `site.ts` runs both; the simulator does the same in simulated time, without sockets.
// Invariant: ends with what was sent, lost and duplicated and how memory went; a message lost, a
// wrong lamp, an agent that died and memory beyond the bound are problems.

import { readFileSync } from "node:fs";
import { Prng } from "../../src/kit/prng.ts";
import { Site, until } from "../site.ts";

const DEVICE = "site1";
const STEP_MS = 20_000;
/** Growth of resident memory, from the first tenth of the time to the last, that is no leak. */
const GROWTH_KB_MAX = 8 * 1024;

function residentKb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

/** One trouble, over before the next step but one. */
function trouble(site: Site, prng: Prng): string {
  const kinds = [
    { kind: "drop" },
    { kind: "drop", durationS: 5 },
    { kind: "blackhole" },
    { kind: "no-puback", count: 3 },
    { kind: "delay-puback", ms: 2000, count: 5 },
    { kind: "refuse", code: 3, durationS: 5 },
    { kind: "slow-connack", ms: 3000, count: 1 },
    { kind: "lose-twin-answer", count: 1 },
    { kind: "no-pingresp", count: 1 },
    { kind: "throttle", count: 2 },
    { kind: "upgrade" },
  ];
  const fault = kinds[prng.below(kinds.length)]!;
  site.azure.hub.faults.add({ ...fault, device: DEVICE });
  site.azure.settle();
  return fault.kind;
}

/** Messages of the agent's one run that never came, and copies beyond the first. */
function tally(received: readonly string[]): { lost: number; duplicates: number } {
  const sequences = new Set(received.map((id) => Number(id.split(".")[1])));
  const last = Math.max(0, ...sequences);
  return { lost: last - sequences.size, duplicates: received.length - sequences.size };
}

async function soak(site: Site, seed: number, hours: number): Promise<string[]> {
  const prng = new Prng(seed);
  const faults = new Map<string, number>();
  const memory: number[] = [];
  let lit = false;
  site.start();
  const end = performance.now() + hours * 3_600_000;
  while (performance.now() < end) {
    await Bun.sleep(Math.min(STEP_MS, Math.max(0, end - performance.now())));
    if (site.agent!.exitCode !== null) return [`the agent ended:\n${site.log.slice(-2000)}`];
    memory.push(residentKb(site.agent!.pid));
    const kind = trouble(site, prng);
    faults.set(kind, (faults.get(kind) ?? 0) + 1);
    lit = prng.chance(0.5);
    site.desire({ LED1: lit });
    // The log is read by the pipe; what was looked at is not kept.
    site.log = site.log.slice(-10_000);
  }
  site.azure.hub.faults.clear();
  site.azure.settle();
  site.settings({ "telemetry interval": "0" });
  await site.command("reload");
  await until("the queue empty", () => site.log.includes("settings applied"));
  for (let quiet = false; !quiet; ) {
    const status = JSON.parse((await site.command("status", "--json")).out);
    quiet = status.connected && status.queue.waiting === 0 && status.queue.inFlight === 0;
    if (!quiet) await Bun.sleep(1000);
  }
  await until("the lamp as desired", () => site.lamp() === (lit ? "1" : "0"));
  return report(site, memory, faults);
}

function report(site: Site, memory: readonly number[], faults: Map<string, number>): string[] {
  const received = site.received();
  const { lost, duplicates } = tally(received);
  const tenth = Math.max(1, Math.floor(memory.length / 10));
  const early = median(memory.slice(0, tenth));
  const late = median(memory.slice(-tenth));
  console.log(`faults: ${[...faults].map(([kind, count]) => `${kind} ${count}`).join(", ")}`);
  console.log(`messages: ${received.length} at the hub, ${lost} lost, ${duplicates} duplicates`);
  console.log(`memory: ${early} kB early, ${late} kB late, ${Math.max(...memory)} kB at most`);
  const problems: string[] = [];
  if (lost > 0) problems.push(`${lost} messages lost`);
  if (late - early > GROWTH_KB_MAX) problems.push(`memory grew by ${late - early} kB`);
  return problems;
}

/** One line for each problem; none when all is well. */
export async function messages(seed: number, hours: number): Promise<readonly string[]> {
  console.log(`soak: ${hours} h, seed ${seed}`);
  const site = await Site.open();
  try {
    return await soak(site, seed, hours);
  } finally {
    await site.close();
  }
}
