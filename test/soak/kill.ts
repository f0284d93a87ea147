// Kill: the agent is killed at random moments under load, over and over, with links cut as well.
// Neighbours: `gunner` is what is killed; local Azure is the hub; `kill.test.ts` plays a short one.
// Invariant: what was accepted is known from the gunner's own log, what arrived from the hub; the
// queue lies on the file system of the tree, not in memory.

import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { Prng } from "../../src/kit/prng.ts";
import type { HubEvent } from "../azure/model/events.ts";
import { type Emulator, startEmulator } from "../azure/server/emulator.ts";
import { ACCEPTED_LOG, type Mission } from "./gunner.ts";

const DEVICE = "gunner";
const WINDOW = 8;
const LIFE_MS_MIN = 20;
const LIFE_MS_MAX = 600;
/** Share of the lives in which the hub drops the link, once or twice. */
const DROP_CHANCE = 0.4;
const PUBACK_MS = 10;
const LAST_MS_MAX = 300_000;
const BUILD = resolve(import.meta.dir, "../../build");
const REPORT_KILLS = 100;

/** What came of a campaign. */
export interface Outcome {
  readonly kills: number;
  readonly drops: number;
  readonly connections: number;
  readonly accepted: number;
  /** Different messages at the hub. */
  readonly arrived: number;
  readonly lost: readonly string[];
  readonly duplicates: number;
  /** Most messages that one cut, of the power or of the link, made come again. */
  readonly duplicatesMost: number;
  /** Cuts that made more than a window's worth come again. */
  readonly beyondWindow: number;
  readonly disordered: readonly string[];
}

/** All that the hub has seen. */
class Witness {
  /** By message id: the connection on which it came last. */
  readonly arrived = new Map<string, number>();
  readonly disordered: string[] = [];
  connections = 0;
  /** By connection: messages that came there, and again after its end. */
  readonly copies: number[] = [];
  /** By source, the number of the message that came last for the first time. */
  private readonly highest = new Map<string, number>();

  onEvent(event: HubEvent): void {
    if (event.type === "connect") this.connections++;
    else if (event.type === "telemetry") this.onMessage(event.properties.system.messageId ?? "");
  }

  private onMessage(id: string): void {
    const before = this.arrived.get(id);
    this.arrived.set(id, this.connections);
    if (before === undefined) this.onFirst(id);
    else this.copies[before] = (this.copies[before] ?? 0) + 1;
  }

  private onFirst(id: string): void {
    const [source = "", number] = id.split(".");
    const highest = this.highest.get(source) ?? 0;
    if (Number(number) < highest) this.disordered.push(`${id} after ${highest}`);
    this.highest.set(source, Math.max(highest, Number(number)));
  }
}

/** Kills a gunner `kills` times and lets a last one deliver the rest. */
export async function campaign(
  kills: number,
  seed: number,
  onProgress: (text: string) => void = () => {},
): Promise<Outcome> {
  mkdirSync(BUILD, { recursive: true });
  const folder = mkdtempSync(join(BUILD, "kill-"));
  const witness = new Witness();
  const azure = await startEmulator({ onEvent: (event) => witness.onEvent(event) });
  try {
    const program = await bundled(folder);
    const prng = new Prng(seed);
    const mission = missionOf(azure, folder);
    // Far away, so that the window has something in it when the end comes.
    azure.hub.faults.add({ kind: "delay-puback", device: DEVICE, ms: PUBACK_MS, count: 1e9 });
    let drops = 0;
    for (let life = 1; life <= kills; life++) {
      drops += await live(program, { ...mission, life }, azure, prng);
      if (life % REPORT_KILLS === 0)
        onProgress(`${life} kills, ${witness.arrived.size} messages arrived`);
    }
    await finish(program, { ...mission, life: kills + 1, isLast: true });
    const accepted = readFileSync(join(folder, ACCEPTED_LOG), "utf8").split("\n").slice(0, -1);
    const { arrived } = witness;
    const copies = Object.values(witness.copies);
    const lost = accepted.filter((id) => !arrived.has(id));
    return {
      kills,
      drops,
      connections: witness.connections,
      accepted: accepted.length,
      arrived: arrived.size,
      lost,
      duplicates: copies.reduce((sum, count) => sum + count, 0),
      duplicatesMost: Math.max(0, ...copies),
      beyondWindow: copies.filter((count) => count > WINDOW).length,
      disordered: witness.disordered,
    };
  } finally {
    azure.stop();
    rmSync(folder, { recursive: true });
  }
}

/** One file, which starts sooner than many. */
async function bundled(folder: string): Promise<string> {
  const entrypoints = [join(import.meta.dir, "gunner.ts")];
  const built = await Bun.build({ entrypoints, outdir: folder, target: "bun" });
  return built.outputs[0]!.path;
}

function missionOf(azure: Emulator, folder: string): Mission {
  const { mqttPort, httpsPort, hubName, caFile } = azure.ready;
  const identity = azure.hub.createDevice(DEVICE) as {
    authentication: { symmetricKey: { primaryKey: string } };
  };
  const { primaryKey: key } = identity.authentication.symmetricKey;
  const site = { host: "localhost", mqttPort, httpsPort, hubName, caFile, folder };
  return { ...site, deviceId: DEVICE, key, life: 0, window: WINDOW, isLast: false };
}

function start(program: string, mission: Mission): Bun.Subprocess<"ignore", "ignore", "inherit"> {
  const words = [process.execPath, program, JSON.stringify(mission)];
  return Bun.spawn(words, { stdin: "ignore", stdout: "ignore", stderr: "ignore" }) as never;
}

/** One life and its violent end; how often its link was dropped. */
async function live(program: string, mission: Mission, azure: Emulator, prng: Prng) {
  const gunner = start(program, mission);
  let leftMs = LIFE_MS_MIN + prng.below(LIFE_MS_MAX - LIFE_MS_MIN);
  let drops = 0;
  while (prng.chance(DROP_CHANCE) && drops < 2) {
    const waitMs = prng.below(leftMs);
    await Bun.sleep(waitMs);
    leftMs -= waitMs;
    azure.hub.faults.add({ kind: "drop", device: DEVICE });
    azure.settle();
    drops++;
  }
  await Bun.sleep(leftMs);
  if (gunner.exitCode !== null) throw new Error(`the gunner ended by itself: ${gunner.exitCode}`);
  gunner.kill("SIGKILL");
  await gunner.exited;
  return drops;
}

async function finish(program: string, mission: Mission): Promise<void> {
  const gunner = start(program, mission);
  const timer = setTimeout(() => gunner.kill("SIGKILL"), LAST_MS_MAX);
  const code = await gunner.exited;
  clearTimeout(timer);
  if (code !== 0) throw new Error(`the last gunner did not deliver all: ${code}`);
}

async function main(): Promise<number> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ options: { kills: text, seed: text } });
  const [kills, seed] = [Number(values.kills ?? 2000), Number(values.seed ?? 1)];
  const outcome = await campaign(kills, seed, (line) => console.log(line));
  const { lost, disordered, ...figures } = outcome;
  console.log(JSON.stringify(figures));
  console.log(`${lost.length} lost, ${disordered.length} out of order`);
  for (const each of [...lost, ...disordered].slice(0, 20)) console.error(`kill: ${each}`);
  return lost.length + disordered.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main());
