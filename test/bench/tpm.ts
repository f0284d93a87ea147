// Tpm: what a TPM costs, beside raw command bytes and the tools of tpm2-tools.
//   bun test/bench/tpm.ts [provision|rate|memory|all]
// Neighbours: `provision` has the whole agent's first registration; `test/port/flow.ts` does the
// procedures of the rest.
// Invariant: a floor is measured in the same run as what it judges.

import { randomBytes } from "node:crypto";
import * as request from "../../src/codec/request.ts";
import { SEALED_TEMPLATE } from "../../src/codec/template.ts";
import { Desk } from "../port/desk.ts";
import * as flow from "../port/flow.ts";
import { hmacCommand } from "../tpm/client.ts";
import { makeBlob } from "../tpm/maker.ts";
import { type Place, Swtpm } from "../tpm/swtpm.ts";
import { provision } from "./provision.ts";
import { format, Report } from "./report.ts";
import { fit, median } from "./statistics.ts";

const ROUNDS = 41;
const ROUND_OPERATIONS = 1000;
const RATE_MIN = 0.8;
const MEMORY_OPERATIONS = 100_000;
const MEMORY_CYCLES = 1000;
const SAMPLES = 20;
/** Growth that a flat line may seem to have over a whole run. */
const GROWTH_MB_MAX = 1;
const TEXT = Buffer.from("hub.example%2Fdevices%2F1\n1790000000");

/** An identity in a TPM of its own that listens on TCP, for the tools of tpm2-tools too. */
async function identity(): Promise<{ swtpm: Swtpm; port: number }> {
  const swtpm = await Swtpm.tcp();
  const desk = new Desk(swtpm.place, { isBare: true });
  await desk.open();
  await flow.start(desk);
  await flow.storageKey(desk);
  const { STORAGE_HANDLE, IDENTITY_HANDLE } = request;
  const made = await flow.done(
    desk,
    request.create(STORAGE_HANDLE, randomBytes(32), SEALED_TEMPLATE),
  );
  const size = 2 + made.output[0]! * 256 + made.output[1]!;
  const [privateArea, publicArea] = [made.output.subarray(0, size), made.output.subarray(size)];
  const loaded = await flow.done(desk, request.load(STORAGE_HANDLE, privateArea, publicArea));
  await flow.done(desk, request.persist(loaded.handle, IDENTITY_HANDLE));
  await flow.done(desk, request.flush(loaded.handle));
  desk.close();
  return { swtpm, port: "port" in swtpm.place ? swtpm.place.port : 0 };
}

/** Seconds for so many HMACs by bytes made once and responses counted by their end. */
async function rawSeconds(place: Place, operations: number): Promise<number> {
  const command = hmacCommand(request.IDENTITY_HANDLE, TEXT);
  const { promise, resolve } = Promise.withResolvers<number>();
  let left = operations;
  let startMs = 0;
  const target = place as { readonly host: string; readonly port: number };
  const socket = await Bun.connect({
    hostname: target.host,
    port: target.port,
    socket: {
      open: (opened) => void opened.setNoDelay(true),
      data(opened) {
        left -= 1;
        if (left > 0) opened.write(command);
        else resolve((performance.now() - startMs) / 1000);
      },
    },
  });
  startMs = performance.now();
  socket.write(command);
  const seconds = await promise;
  socket.terminate();
  return seconds;
}

/** Seconds for so many HMACs through the port, each asked for when the one before has come. */
async function portSeconds(place: Place, operations: number): Promise<number> {
  const desk = new Desk(place, { isBare: true });
  await desk.open();
  const asked = request.hmac(request.IDENTITY_HANDLE, TEXT);
  await flow.done(desk, asked);
  const startMs = performance.now();
  for (let left = operations; left > 0; left--) await desk.perform(asked);
  const seconds = (performance.now() - startMs) / 1000;
  desk.close();
  return seconds;
}

function toolSeconds(port: number, runs: number): number {
  const tcti = `swtpm:host=127.0.0.1,port=${port}`;
  const startMs = performance.now();
  for (let left = runs; left > 0; left--) {
    const { exitCode } = Bun.spawnSync(["tpm2_hmac", "-T", tcti, "-c", "0x81000100"], {
      stdin: TEXT,
    });
    if (exitCode !== 0) throw new Error("tpm2_hmac failed");
  }
  return (performance.now() - startMs) / 1000 / runs;
}

async function rate(report: Report): Promise<void> {
  report.heading("HMACs a second with a persistent key, swtpm over TCP");
  const { swtpm, port } = await identity();
  const raw: number[] = [];
  const ours: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    raw.push(ROUND_OPERATIONS / (await rawSeconds(swtpm.place, ROUND_OPERATIONS)));
    ours.push(ROUND_OPERATIONS / (await portSeconds(swtpm.place, ROUND_OPERATIONS)));
  }
  const tool = 1 / toolSeconds(port, 20);
  await swtpm.stop();
  const ratio = median(ours.map((value, round) => value / raw[round]!));
  report.table([
    ["", "operations/s"],
    ["raw command bytes", format(median(raw))],
    ["the port", format(median(ours))],
    ["tpm2_hmac", format(tool)],
  ]);
  report.judge([
    { figure: "port / raw bytes", measured: ratio, sense: "at least", bound: RATE_MIN, unit: "x" },
  ]);
}

function leftovers(port: number): string {
  const tcti = `swtpm:host=127.0.0.1,port=${port}`;
  const lists = ["handles-transient", "handles-loaded-session", "handles-saved-session"];
  return lists
    .map((list) => Bun.spawnSync(["tpm2_getcap", "-T", tcti, list]).stdout.toString())
    .join("")
    .trim();
}

/** Does something `count` times, and says how the process grew meanwhile. */
async function growth(
  report: Report,
  name: string,
  count: number,
  work: () => Promise<void>,
): Promise<void> {
  const every = count / SAMPLES;
  const counts: number[] = [];
  const sizes: number[] = [];
  for (let done = 1; done <= count; done++) {
    await work();
    if (done % every !== 0) continue;
    Bun.gc(true);
    counts.push(done);
    sizes.push(process.memoryUsage.rss() / 1e6);
  }
  // The first samples are of a heap that is still finding its size.
  const settled = SAMPLES / 4;
  const { slope } = fit(counts.slice(settled), sizes.slice(settled));
  const [first, last] = [format(sizes[0]!, "MB"), format(sizes.at(-1)!, "MB")];
  report.note(`${count} ${name}: RSS ${first} after the first ${every}, ${last} at the end`);
  report.judge([
    {
      figure: `growth over ${name}`,
      measured: slope * count,
      sense: "at most",
      bound: GROWTH_MB_MAX,
      unit: "MB",
    },
  ]);
}

async function memory(report: Report): Promise<void> {
  report.heading("Memory and handles");
  const { swtpm, port } = await identity();
  const desk = new Desk(swtpm.place, { isBare: true });
  await desk.open();
  await growth(report, "HMACs", MEMORY_OPERATIONS, async () => {
    await flow.done(desk, request.hmac(request.IDENTITY_HANDLE, TEXT));
  });
  const endorsement = await flow.endorsementKey(desk);
  const storage = await flow.storageKey(desk);
  const keys = { endorsementKey: endorsement.publicArea, storageKey: storage.publicArea };
  await growth(report, "identities brought in and kept", MEMORY_CYCLES, async () => {
    const { blob } = makeBlob({ ...keys, key: randomBytes(32) });
    await flow.keep(desk, await flow.openBlob(desk, blob));
  });
  desk.close();
  const left = leftovers(port);
  await swtpm.stop();
  report.note(`tpm2_getcap finds ${left === "" ? "no handle left" : left}`);
}

const PARTS = { provision, rate, memory };

/** All of it, or the part that is named. */
export async function tpm(report: Report, name = "all"): Promise<void> {
  for (const [part, run] of Object.entries(PARTS)) {
    if (name === "all" || name === part) await run(report);
  }
}

if (import.meta.main) {
  const [name = "all"] = process.argv.slice(2);
  if (name !== "all" && !Object.hasOwn(PARTS, name)) {
    console.error(`usage: bun test/bench/tpm.ts [${Object.keys(PARTS).join("|")}|all]`);
    process.exit(2);
  }
  const report = new Report();
  await tpm(report, name);
  report.summary();
}
