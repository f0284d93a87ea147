// Led: from a desired patch on the wire to the pin, the agent beside the least that can do it.
// Neighbours: native/probe.c pushes and watches, native/lamp.c is the floor; `gateway` the agent;
// `latency` does the same while the agent has work.
// Invariant: agent and floor take turns inside each round; one clock, that of the probe, takes
// both ends of every latency.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { measured, Service } from "./child.ts";
import { FROM_SOURCE, Gateway } from "./gateway.ts";
import { certificateIn, type Identity, identityAt, makeKey } from "./hub.ts";
import { withFolder } from "./place.ts";
import { format, type Report } from "./report.ts";
import { median, minimum, pairedRatio, quantile } from "./statistics.ts";
import { program } from "./workshop.ts";

export const SAMPLES = 1000;
const WARM_SHARE = 0.2;
const P50_MAX = 1.3;
const P99_MAX = 1.5;
export const COLUMNS = ["p50 us", "minimum", "p99 us", "minimum", "max us"];

/** Latencies of one run, microseconds. */
export interface Run {
  readonly p50: number;
  readonly p99: number;
  readonly maximum: number;
}

/** What is measured: starts against the probe's port; gives back how to end it. */
export type Start = (identity: Identity, folder: string, lamp: string) => () => Promise<void>;

const startAgent: Start = (identity, folder, lamp) => {
  const gateway = Gateway.start(FROM_SOURCE, identity, folder, lamp);
  return () => gateway.stop();
};

const startFloor: Start = (identity, _folder, lamp) => {
  const { host, port, caFile } = identity;
  const command = [program("lamp"), host, `${port}`, caFile, lamp];
  // It ends with the connection, and prints nothing.
  const ended = measured(command).catch(() => {});
  return async () => {
    await ended;
  };
};

/** Latencies of what `start` starts; `folder` is its alone. */
export async function runOf(start: Start, folder: string): Promise<Run> {
  const lamp = join(folder, "LED1");
  writeFileSync(lamp, "0\n");
  const [certificate, key, caFile] = certificateIn(folder);
  const probe = [program("probe"), certificate, key, lamp, `${SAMPLES}`];
  const service = await Service.start<{ readonly port: number }>(probe);
  const stop = start(identityAt(service.ready.port, 443, caFile, makeKey()), folder, lamp);
  const { us } = await service.next<{ readonly us: readonly number[] }>();
  await stop();
  await service.stop();
  const kept = us.slice(SAMPLES * WARM_SHARE);
  return { p50: quantile(kept, 0.5), p99: quantile(kept, 0.99), maximum: quantile(kept, 1) };
}

/** Name, then p50 and p99, median and least of the runs, and the maximum. */
export function rowOf(name: string, runs: readonly Run[]): string[] {
  const p50 = runs.map((run) => run.p50);
  const p99 = runs.map((run) => run.p99);
  const maximum = runs.map((run) => run.maximum);
  const figures = [median(p50), minimum(p50), median(p99), minimum(p99), median(maximum)];
  return [name, ...figures.map((figure) => format(figure))];
}

/** Prints latencies in microseconds, then the aims. */
export async function led(report: Report, rounds: number): Promise<void> {
  report.heading(
    `led: desired LED1 on the wire -> pin written (file in memory), ${rounds} rounds of ${SAMPLES}`,
  );
  const ours: Run[] = [];
  const floor: Run[] = [];
  await withFolder(async (folder) => {
    for (let round = 0; round < rounds; round++) {
      for (const [start, runs] of [[startAgent, ours] as const, [startFloor, floor] as const]) {
        const own = join(folder, `${round}${runs === ours ? "agent" : "floor"}`);
        mkdirSync(own);
        runs.push(await runOf(start, own));
      }
    }
  });
  report.table([["client", ...COLUMNS], rowOf("azimuth", ours), rowOf("C floor", floor)]);
  const ratio = (pick: (run: Run) => number) => pairedRatio(ours.map(pick), floor.map(pick));
  report.judge([
    {
      figure: "p50, azimuth / C floor",
      measured: ratio((run) => run.p50),
      ...{ sense: "at most", bound: P50_MAX, unit: "x" },
    },
    {
      figure: "p99, azimuth / C floor",
      measured: ratio((run) => run.p99),
      ...{ sense: "at most", bound: P99_MAX, unit: "x" },
    },
  ]);
}
