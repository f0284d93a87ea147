// Provision: the agent's whole first registration, blank TPM to connected: does the loop wait, and
// how much more time does it take than TPM and network alone?
// Neighbours: `client/provision.ts` is the agent; `tpm/delay.ts` stands before the TPM and takes
// its time; `station` has local Azure. `tpm.ts` prints this beside the other figures of the TPM.
// Invariant: agent, TPM, proxy and local Azure are processes of their own; the idle baseline and
// the floor are measured in the same run as what they judge.

import { join } from "node:path";
import type { Seen } from "../tpm/delay.ts";
import { libraryPath } from "../tpm/library.ts";
import { Swtpm } from "../tpm/swtpm.ts";
import { adopt, measured } from "./child.ts";
import type { Provisioned } from "./client/provision.ts";
import { BENCH, BUN, SHIPPED, TREE, withFolder } from "./place.ts";
import { format, type Report } from "./report.ts";
import { Station } from "./station.ts";
import { median } from "./statistics.ts";

const STALL_DELAY_MS = 800;
const DELAYS_MS = [0, 5, 50];
const ROUNDS = 5;
const IDLE_MS = 5000;
const CALL_MS_MAX = 10;
const LATENESS_MS_MAX = 10;
const RATIO_MAX = 1.2;

/** One registration, with the time that the proxy has seen the TPM work. */
interface Round extends Provisioned, Seen {}

/** The proxy before the TPM at `path`. */
async function startDelay(path: string, delayMs: number) {
  const command = [BUN, join(BENCH, "../tpm/delay.ts"), path, `${delayMs}`];
  const child = adopt(Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" }));
  const reader = child.stdout.getReader();
  const line = async <T>(): Promise<T> => {
    const { value } = await reader.read();
    return JSON.parse(new TextDecoder().decode(value)) as T;
  };
  const ready = await line<{ readonly path: string }>();
  const stop = async (): Promise<Seen> => {
    child.stdin.end();
    const seen = await line<Seen>();
    await child.exited;
    return seen;
  };
  return { path: ready.path, stop };
}

let registrations = 0;

/** A blank TPM, slowed down, and one agent that comes to it. */
async function register(station: Station, delayMs: number, idleMs: number): Promise<Round> {
  const swtpm = await Swtpm.unix();
  try {
    // DPS bounds the polls of each.
    await station.enrol(swtpm.place, `gateway-${++registrations}`);
    station.forget();
    const delay = await startDelay("path" in swtpm.place ? swtpm.place.path : "", delayMs);
    const preload = ["--preload", join(BENCH, "client/provision.ts")];
    const words = [join(TREE, "src/main.ts"), "run", "-c", station.settings(delay.path)];
    const given = { PROVISION_CA: station.caFile, PROVISION_IDLE_MS: `${idleMs}` };
    const environment = { ...SHIPPED, ...given };
    const found = await measured<Provisioned>([BUN, ...preload, ...words], environment);
    return { ...found, ...(await delay.stop()) };
  } finally {
    await swtpm.stop();
  }
}

async function stall(report: Report, station: Station): Promise<void> {
  report.heading(`A first registration, ${STALL_DELAY_MS} ms added to each command of the TPM`);
  const round = await register(station, STALL_DELAY_MS, IDLE_MS);
  const { commands, busyMs, tookMs, late, idleLate, longestCall, longestCallMs } = round;
  const ms = (value: number) => format(value, "ms");
  const [tookS, busyS] = [format(tookMs / 1000, "s"), format(busyMs / 1000, "s")];
  report.note(`${commands} commands, blank TPM -> connected ${tookS}, of it the TPM's ${busyS}`);
  report.note(`longest call into the library: ${longestCall}, ${ms(longestCallMs)}`);
  report.table([
    ["worst lateness of a 1 ms timer", "all", "not waiting for a processor"],
    ["idle, before and after", ms(idleLate.allMs), ms(idleLate.ownMs)],
    ["meanwhile", ms(late.allMs), ms(late.ownMs)],
  ]);
  report.judge([
    {
      figure: "longest call into the library",
      measured: longestCallMs,
      ...{ sense: "at most", bound: CALL_MS_MAX, unit: "ms" },
    },
    {
      figure: "lateness beyond idle, not waiting for a processor",
      measured: late.ownMs - idleLate.ownMs,
      ...{ sense: "at most", bound: LATENESS_MS_MAX, unit: "ms" },
    },
  ]);
}

/** What cannot be done without: commands, requests, and the hub's greeting. */
function floorOf({ busyMs, floorMs }: Round): number {
  return busyMs + floorMs;
}

async function speed(report: Report, station: Station): Promise<void> {
  report.heading(`Blank TPM -> connected, median of ${ROUNDS}, without DPS's own Retry-After`);
  const head = ["ms added", "ours ms", "TPM ms", "network ms", "ratio", "commands"];
  const rows: string[][] = [[...head, "DPS ms", "hub ms", "disk ms", "our CPU ms", "wait for it"]];
  const ratios: number[] = [];
  for (const delayMs of DELAYS_MS) {
    const rounds: Round[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      rounds.push(await register(station, delayMs, 0));
    }
    const middle = (pick: (round: Round) => number) => median(rounds.map(pick));
    const ours = (round: Round) => round.tookMs - round.retryAfterMs;
    const ratio = middle((round) => ours(round) / floorOf(round));
    const network = middle(({ floorMs }) => floorMs);
    const figures = [ours, (round: Round) => round.busyMs].map(middle);
    const parts = [
      (round: Round) => round.commands,
      (round: Round) => round.webMs,
      (round: Round) => round.hubMs,
      (round: Round) => round.diskMs,
      (round: Round) => round.cpuMs,
      (round: Round) => round.delayedMs,
    ].map(middle);
    const cells = [...figures, network, ratio, ...parts].map((value) => format(value));
    rows.push([`${delayMs}`, ...cells]);
    ratios.push(ratio);
  }
  report.table(rows);
  report.note("wait for it: our thread could run, and other processes had the processors");
  report.judge(
    ratios.map((ratio, index) => ({
      figure: `ours / (TPM + network), ${DELAYS_MS[index]} ms added`,
      measured: ratio,
      ...{ sense: "at most", bound: RATIO_MAX, unit: "x" },
    })),
  );
}

/** Prints both, each with its aims. */
export function provision(report: Report): Promise<void> {
  libraryPath();
  return withFolder(async (folder) => {
    const station = await Station.open(folder);
    // The first time it does something local Azure is slow, and not what is measured.
    await register(station, 0, 0);
    await speed(report, station);
    await stall(report, station);
    await station.stop();
  });
}
