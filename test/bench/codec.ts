// Codec: nanoseconds and bytes of heap for a packet, beside mqtt-packet and beside one `set()`.
// Neighbours: client/codec.ts is the measured process.
// Invariant: each combination runs in a process of its own, in turn inside each round; both codecs
// get the same packet, one for each chunk read; ours writes out of the window, as the agent does.

import { join } from "node:path";
import { measured } from "./child.ts";
import { BARE, BENCH, BUN, type Environment, SHIPPED } from "./place.ts";
import { type Aim, format, type Report } from "./report.ts";
import { median, minimum, pairedRatio } from "./statistics.ts";

/** A packet with the codecs that can do it; ours is the first, the floor the last. */
const PACKETS = [
  {
    packet: "publish-write",
    title: "PUBLISH write, 290 bytes",
    codecs: ["azimuth", "generate", "writeToStream", "floor"],
  },
  { packet: "publish-read", title: "PUBLISH read", codecs: ["azimuth", "parser", "floor"] },
  {
    packet: "puback-write",
    title: "PUBACK write",
    codecs: ["azimuth", "generate", "writeToStream", "floor"],
  },
  { packet: "puback-read", title: "PUBACK read", codecs: ["azimuth", "parser", "floor"] },
  {
    packet: "pingreq-write",
    title: "PINGREQ write",
    codecs: ["azimuth", "generate", "writeToStream", "floor"],
  },
] as const;

const NAMES: Readonly<Record<string, string>> = {
  azimuth: "azimuth",
  generate: "mqtt-packet generate",
  writeToStream: "mqtt-packet writeToStream",
  parser: "mqtt-packet parser",
  floor: "one set() of it",
};

const SPEED_MIN = 10;
/** Half a byte a packet is what a block of 16 KiB makes over all packets measured. */
const HEAP_BYTES_MAX = 0.5;
const WITHOUT_GC: Environment = { ...SHIPPED, BUN_JSC_useGC: "0" };

/** Nanoseconds of each round, with our run settings and with Bun's own. */
interface Series {
  readonly shippedNs: number[];
  readonly minimumNs: number[];
  readonly defaultNs: number[];
  readonly heapBytes: number;
}

interface Reading {
  readonly medianNs: number;
  readonly minimumNs: number;
}

function command(packet: string, codec: string, what: string): readonly string[] {
  return [BUN, join(BENCH, "client", "codec.ts"), packet, codec, what];
}

async function seriesOf(
  packet: string,
  codecs: readonly string[],
  rounds: number,
): Promise<Map<string, Series>> {
  const all = new Map<string, Series>();
  for (const codec of codecs) {
    const heap = command(packet, codec, "heap");
    const { heapBytes } = await measured<{ readonly heapBytes: number }>(heap, WITHOUT_GC);
    all.set(codec, { shippedNs: [], minimumNs: [], defaultNs: [], heapBytes });
  }
  for (let round = 0; round < rounds; round++) {
    for (const [codec, series] of all) {
      const run = command(packet, codec, "ns");
      const shipped = await measured<Reading>(run, SHIPPED);
      series.shippedNs.push(shipped.medianNs);
      series.minimumNs.push(shipped.minimumNs);
      series.defaultNs.push((await measured<Reading>(run, BARE)).medianNs);
    }
  }
  return all;
}

function rowsOf(title: string, all: Map<string, Series>): string[][] {
  const ours = all.get("azimuth")!;
  return [...all].map(([codec, series], index) => [
    `${index === 0 ? title : ""}`.padEnd(26) + NAMES[codec],
    format(median(series.shippedNs)),
    format(minimum(series.minimumNs)),
    format(pairedRatio(series.shippedNs, ours.shippedNs), "x"),
    format(median(series.defaultNs)),
    format(pairedRatio(series.defaultNs, ours.defaultNs), "x"),
    format(series.heapBytes),
  ]);
}

function aimsOf(packet: string, title: string, all: Map<string, Series>): Aim[] {
  const ours = all.get("azimuth")!;
  const aims: Aim[] = [
    {
      figure: `heap for a packet, ${title}`,
      measured: ours.heapBytes,
      ...{ sense: "at most", bound: HEAP_BYTES_MAX, unit: "B" },
    },
  ];
  if (!packet.startsWith("publish")) return aims;
  const peer = packet === "publish-write" ? "generate" : "parser";
  aims.unshift({
    figure: `${NAMES[peer]} / azimuth, ${title}`,
    measured: pairedRatio(all.get(peer)!.shippedNs, ours.shippedNs),
    ...{ sense: "at least", bound: SPEED_MIN, unit: "x" },
  });
  return aims;
}

/** Prints one table of all packets and codecs, then the aims. */
export async function codec(report: Report, rounds: number): Promise<void> {
  report.heading(`codec: one packet, ${rounds} rounds`);
  report.note("ns: with the settings of conf/azimuth.env; all JIT: with Bun's own");
  const rows = [
    ["packet and codec", "ns", "minimum", "/ azimuth", "ns, all JIT", "/ azimuth", "heap B"],
  ];
  const aims: Aim[] = [];
  for (const { packet, title, codecs } of PACKETS) {
    const all = await seriesOf(packet, codecs, rounds);
    rows.push(...rowsOf(title, all));
    aims.push(...aimsOf(packet, title, all));
  }
  report.table(rows);
  report.judge(aims);
}
