// Tpm: what a TPM costs the loop, beside raw command bytes and the tools of tpm2-tools.
//   bun test/bench/tpm.ts [stall|rate|memory|all]
// Neighbours: `test/port/flow.ts` does the procedures; `test/tpm/delay.ts` makes the TPM slow.
// Invariant: the idle baseline and the floor are measured in the same run as what they judge.

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import * as request from "../../src/codec/request.ts";
import { SEALED_TEMPLATE } from "../../src/codec/template.ts";
import type { Chip, ChipEvents } from "../../src/core/effects.ts";
import type { Native } from "../../src/port/courier.ts";
import { SocketChip } from "../../src/port/swtpm.ts";
import { Desk, library } from "../port/desk.ts";
import * as flow from "../port/flow.ts";
import { hmacCommand } from "../tpm/client.ts";
import { makeBlob } from "../tpm/maker.ts";
import { type Place, Swtpm } from "../tpm/swtpm.ts";
import { format, Report } from "./report.ts";
import { fit, median } from "./statistics.ts";

const DELAY_MS = 800;
const IDLE_MS = 5000;
const CALL_MS_MAX = 10;
const LATENESS_MS_MAX = 10;
const FLOW_RATIO_MAX = 1.2;
const ROUNDS = 5;
const ROUND_OPERATIONS = 5000;
const RATE_MIN = 0.8;
const MEMORY_OPERATIONS = 100_000;
const MEMORY_CYCLES = 1000;
const SAMPLES = 20;
/** Growth that a flat line may seem to have over a whole run. */
const GROWTH_MB_MAX = 1;
const TEXT = Buffer.from("hub.example%2Fdevices%2F1\n1790000000");

/** Worst lateness of a timer of 1 ms until `end` is called. */
function watchLoop(): { end: () => number } {
  let worstMs = 0;
  let dueMs = performance.now() + 1;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    worstMs = Math.max(worstMs, nowMs - dueMs);
    dueMs = nowMs + 1;
  }, 1);
  return {
    end: () => {
      clearInterval(timer);
      return worstMs;
    },
  };
}

/** The library, with its longest call. */
class TimedNative implements Native {
  longestMs = 0;
  longest = "";
  private readonly inner = library();
  private operation = "";

  get hasCommand(): boolean {
    return this.inner.hasCommand;
  }

  get handle(): number {
    return this.inner.handle;
  }

  get output(): Uint8Array {
    return this.inner.output;
  }

  init(): number {
    return this.time("init", () => this.inner.init());
  }

  fini(): void {
    this.time("fini", () => this.inner.fini());
  }

  start(asked: request.TpmRequest): number {
    this.operation = request.TpmOperation[asked.operation];
    return this.time(`start of ${this.operation}`, () => this.inner.start(asked));
  }

  finish(response: Uint8Array): number {
    return this.time(`finish of ${this.operation}`, () => this.inner.finish(response));
  }

  setPassword(hierarchy: number, password: Uint8Array): number {
    return this.inner.setPassword(hierarchy, password);
  }

  takeCommand(): Uint8Array {
    return this.inner.takeCommand();
  }

  private time<T>(name: string, work: () => T): T {
    const startMs = performance.now();
    const value = work();
    const ms = performance.now() - startMs;
    if (ms > this.longestMs) {
      this.longestMs = ms;
      this.longest = name;
    }
    return value;
  }
}

/** A chip that adds up how long its TPM takes. */
class TimedChip implements Chip {
  readonly isManaged = false;
  commands = 0;
  busyMs = 0;
  private sentMs = 0;
  private readonly inner: SocketChip;

  constructor(events: ChipEvents, place: Place) {
    const answered = (response: Uint8Array) => {
      this.busyMs += performance.now() - this.sentMs;
      events.onChipAnswer(response);
    };
    this.inner = new SocketChip(
      {
        onChipOpened: () => events.onChipOpened(),
        onChipAnswer: answered,
        onChipClosed: (detail) => events.onChipClosed(detail),
      },
      place,
    );
  }

  open(): void {
    this.inner.open();
  }

  send(command: Uint8Array): void {
    this.commands += 1;
    this.sentMs = performance.now();
    this.inner.send(command);
  }

  abandon(): void {
    this.inner.abandon();
  }
}

/** A first registration as far as the TPM has to do with it. */
async function provision(desk: Desk): Promise<void> {
  await flow.start(desk);
  const endorsement = await flow.endorsementKey(desk);
  const storage = await flow.storageKey(desk);
  const keys = { endorsementKey: endorsement.publicArea, storageKey: storage.publicArea };
  const challenge = await flow.openBlob(desk, makeBlob({ ...keys, key: randomBytes(32) }).blob);
  await flow.sign(desk, challenge, `${TEXT}`);
  await flow.done(desk, request.flush(challenge));
  await flow.keep(
    desk,
    await flow.openBlob(desk, makeBlob({ ...keys, key: randomBytes(32) }).blob),
  );
  await flow.sign(desk, request.IDENTITY_HANDLE, `${TEXT}`);
}

async function stall(report: Report): Promise<void> {
  report.heading(`A first registration, ${DELAY_MS} ms added to each command`);
  const swtpm = await Swtpm.unix();
  const path = "path" in swtpm.place ? swtpm.place.path : "";
  const words = [process.execPath, join(import.meta.dir, "../tpm/delay.ts"), path, `${DELAY_MS}`];
  const delay = Bun.spawn(words, { stdin: "pipe", stdout: "pipe" });
  const { value } = await delay.stdout.getReader().read();
  const place = { path: new TextDecoder().decode(value).trim() };

  const idleBefore = watchLoop();
  await Bun.sleep(IDLE_MS);
  const beforeMs = idleBefore.end();
  const native = new TimedNative();
  let chip: TimedChip | undefined;
  const makeChip = (events: ChipEvents) => {
    chip = new TimedChip(events, place);
    return chip;
  };
  const desk = new Desk(place, { native, makeChip, isBare: true });
  await desk.open();
  const loop = watchLoop();
  const startMs = performance.now();
  await provision(desk);
  const flowMs = performance.now() - startMs;
  const worstMs = loop.end();
  desk.close();
  const idleAfter = watchLoop();
  await Bun.sleep(IDLE_MS);
  const idleMs = Math.max(beforeMs, idleAfter.end());
  delay.stdin.end();
  await delay.exited;
  await swtpm.stop();

  const { commands, busyMs } = chip!;
  const [flowS, busyS] = [format(flowMs / 1000, "s"), format(busyMs / 1000, "s")];
  report.note(`${commands} commands, ${flowS}; with the TPM for ${busyS}`);
  report.note(
    `longest call into the library: ${native.longest}, ${format(native.longestMs, "ms")}`,
  );
  report.note(
    `worst lateness of a 1 ms timer: idle ${format(idleMs, "ms")}, flow ${format(worstMs, "ms")}`,
  );
  const aim = (figure: string, measured: number, bound: number, unit: string) =>
    ({ figure, measured, sense: "at most", bound, unit }) as const;
  report.judge([
    aim("longest call", native.longestMs, CALL_MS_MAX, "ms"),
    aim("lateness beyond idle", worstMs - idleMs, LATENESS_MS_MAX, "ms"),
    aim("flow / time of its commands", flowMs / busyMs, FLOW_RATIO_MAX, "x"),
  ]);
}

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

const PARTS = { stall, rate, memory };

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
