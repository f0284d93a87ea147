// Latency: from a desired patch on the wire to the pin while telemetry is made durable, with syncs
// as they are and with slow ones, beside an agent that has nothing else to do.
// Neighbours: `led` takes the figures; `client/hurry` makes the telemetry, test/native/cut.c slows
// the syncs down.
// Invariant: the queue is on a real disk, the lamp in memory, so that only the agent can be late;
// all ways take turns inside each round.

import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { cutEnvironment } from "../native/cut.ts";
import { FROM_SOURCE, Gateway } from "./gateway.ts";
import { COLUMNS, type Run, rowOf, runOf, SAMPLES, type Start } from "./led.ts";
import { BENCH, BUN, type Environment, withDisk, withFolder } from "./place.ts";
import type { Report } from "./report.ts";
import { median } from "./statistics.ts";

const SYNC_MS = 50;
const P99_MS_MAX = 20;
const US_PER_MS = 1000;
const HURRIED: readonly string[] = [
  BUN,
  "--preload",
  join(BENCH, "client", "hurry.ts"),
  ...FROM_SOURCE.slice(1),
];

/** One agent, and what its runs came to. */
interface Way {
  readonly name: string;
  readonly command: readonly string[];
  readonly delayMs: number;
  readonly runs: Run[];
  /** Messages that became durable, a run each. */
  readonly accepted: number[];
}

function way(name: string, command: readonly string[], delayMs: number): Way {
  return { name, command, delayMs, runs: [], accepted: [] };
}

/** The preloaded library alone: the rest of the environment is that of the gateway. */
function slowed(folder: string, delayMs: number): Environment {
  const { LD_PRELOAD, AZIMUTH_CUT_FOLDER, AZIMUTH_CUT_DELAY_MS } = cutEnvironment({
    folder,
    delayMs,
  });
  return {
    LD_PRELOAD: LD_PRELOAD!,
    AZIMUTH_CUT_FOLDER: AZIMUTH_CUT_FOLDER!,
    AZIMUTH_CUT_DELAY_MS: AZIMUTH_CUT_DELAY_MS!,
  };
}

/** @param disk a folder for the queue */
function startOf({ command, delayMs, accepted }: Way, disk: string): Start {
  return (identity, folder, lamp) => {
    symlinkSync(disk, join(folder, "state"));
    const gateway = Gateway.start(command, identity, folder, lamp, slowed(disk, delayMs));
    return async () => {
      const { text } = await gateway.ask("status", "--json");
      accepted.push(JSON.parse(text).queue.accepted);
      await gateway.stop();
    };
  };
}

/** Prints latencies in microseconds, then the aim. */
export async function latency(report: Report, rounds: number): Promise<void> {
  report.heading(
    `latency: desired LED1 on the wire -> pin written, telemetry 10 times a second, ` +
      `queue on a disk, ${rounds} rounds of ${SAMPLES}`,
  );
  const slow = way(`telemetry, ${SYNC_MS} ms added to every sync`, HURRIED, SYNC_MS);
  const ways = [way("no telemetry", FROM_SOURCE, 0), way("telemetry", HURRIED, 0), slow];
  await withFolder((folder) =>
    withDisk(async (disk) => {
      for (let round = 0; round < rounds; round++) {
        for (const [index, each] of ways.entries()) {
          const name = `${round}.${index}`;
          mkdirSync(join(folder, name));
          mkdirSync(join(disk, name));
          each.runs.push(await runOf(startOf(each, join(disk, name)), join(folder, name)));
        }
      }
    }),
  );
  const rows = ways.map(({ name, runs, accepted }) => [
    ...rowOf(name, runs),
    `${median(accepted)}`,
  ]);
  report.table([["agent", ...COLUMNS, "accepted"], ...rows]);
  report.judge([
    {
      figure: `p99, ${slow.name}`,
      measured: median(slow.runs.map((run) => run.p99)) / US_PER_MS,
      ...{ sense: "at most", bound: P99_MS_MAX, unit: "ms" },
    },
  ]);
}
