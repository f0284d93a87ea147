// Store: what it costs to make messages durable, beside SQLite's own syncs and a bare file; and
// how late the loop is while every sync takes long.
// Neighbours: `client/keeper` and `client/lateness` are what is measured; `test/native/cut.c`.
// Invariant: all ways take turns within each round, on the same file system.

import { join } from "node:path";
import { cutEnvironment } from "../native/cut.ts";
import { measured } from "./child.ts";
import type { Kept } from "./client/keeper.ts";
import type { Late } from "./client/lateness.ts";
import { BENCH, BUN, SHIPPED, withDisk } from "./place.ts";
import { format, type Report } from "./report.ts";
import { median, pairedRatio, quantile } from "./statistics.ts";

const FULL = "SQLite FULL";
const WAYS = ["ours", "ours, not waiting", FULL, "floor", "floor, asynchronous"] as const;
/** Bytes given to the kernel, against a commit that syncs itself. */
const BYTES_MAX = 1.25;
const GROUPS = [1, 10, 100];
const TURNS = 1500;
const SYNC_MS = 50;
const SECONDS = 6;
const LATENESS_MS_MAX = 20;

function keep(way: string, group: number): Promise<Kept> {
  const script = join(BENCH, "client", "keeper.ts");
  const turns = group === 100 ? TURNS / 3 : TURNS;
  return withDisk((folder) => {
    return measured<Kept>([BUN, script, way, folder, `${group}`, `${turns}`], SHIPPED);
  });
}

type Figure = "messagesPerS" | "cpuUs" | "givenBytes" | "diskBytes";

async function cost(report: Report, rounds: number): Promise<void> {
  const longest: Record<string, number> = {};
  for (const group of GROUPS) {
    report.heading(`Durable messages of 235 bytes, ${group} a turn, the turn before removed`);
    const runs = new Map<string, Kept[]>(WAYS.map((way) => [way, []]));
    for (let round = 0; round < rounds; round++) {
      for (const way of WAYS) runs.get(way)!.push(await keep(way, group));
    }
    const values = (way: string, figure: Figure) => runs.get(way)!.map((kept) => kept[figure]);
    const ratio = (way: string, figure: Figure, other: string) =>
      format(pairedRatio(values(way, figure), values(other, figure)), "x");
    report.table([
      ["", "messages/s", "/ FULL", "/ floor", "CPU us", "/ FULL", "B given", "B on disk"],
      ...WAYS.map((way) => [
        way,
        format(median(values(way, "messagesPerS"))),
        ratio(way, "messagesPerS", FULL),
        ratio(way, "messagesPerS", "floor"),
        format(median(values(way, "cpuUs"))),
        ratio(way, "cpuUs", FULL),
        format(median(values(way, "givenBytes"))),
        format(median(values(way, "diskBytes"))),
      ]),
    ]);
    const measured = pairedRatio(values("ours", "givenBytes"), values(FULL, "givenBytes"));
    const figure = `bytes given, ours / FULL, ${group} a turn`;
    report.judge([{ figure, measured, sense: "at most", bound: BYTES_MAX, unit: "x" }]);
    for (const { longestMs } of WAYS.slice(0, 2).flatMap((way) => runs.get(way)!)) {
      for (const [name, ms] of Object.entries(longestMs)) {
        longest[name] = Math.max(longest[name] ?? 0, ms);
      }
    }
  }
  const steps = Object.entries(longest).map(([name, ms]) => `${name} ${format(ms, "ms")}`);
  report.note(`longest single steps on the loop: ${steps.join(", ")}`);
}

function late(way: string): Promise<Late> {
  const script = join(BENCH, "client", "lateness.ts");
  return withDisk((folder) => {
    const environment = cutEnvironment({ folder, delayMs: SYNC_MS });
    const settings = { ...SHIPPED, ...environment };
    return measured<Late>([BUN, script, way, folder, `${SECONDS}`], settings);
  });
}

async function lateness(report: Report): Promise<void> {
  report.heading(`Lateness of a 1 ms timer, ${SYNC_MS} ms added to every sync, 4,000 messages/s`);
  const runs = { idle: await late("idle"), ours: await late("ours"), full: await late("full") };
  report.table([
    ["", "p50 ms", "p99 ms", "max ms", "accepted", "emptied"],
    ...Object.entries(runs).map(([way, { latenessMs, accepted, emptied }]) => [
      way,
      ...[0.5, 0.99, 1].map((share) => format(quantile(latenessMs, share))),
      `${accepted}`,
      `${emptied}`,
    ]),
  ]);
  const beyond = (share: number) =>
    quantile(runs.ours.latenessMs, share) - quantile(runs.idle.latenessMs, share);
  const aim = (figure: string, measured: number, bound: number) =>
    ({ figure, measured, sense: "at most", bound, unit: "ms" }) as const;
  report.judge([
    aim("lateness beyond idle, p99", beyond(0.99), LATENESS_MS_MAX),
    aim("lateness beyond idle, max", beyond(1), LATENESS_MS_MAX),
  ]);
}

/** Cost in all ways, then lateness. */
export async function store(report: Report, rounds: number): Promise<void> {
  await cost(report, rounds);
  await lateness(report);
}
