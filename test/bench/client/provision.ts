// Provision: takes the time of what the agent does; loaded before src/main.ts by
//   PROVISION_CA=FILE PROVISION_IDLE_MS=N bun --preload THIS src/main.ts run -c SETTINGS
// Neighbours: `test/bench/provision.ts` starts it and has the TPM; `replay` says the same over
// bare sockets.
// Invariant: ports and turn are those of the product; a look at the clock before and after is all
// that is added to them.

import { openSync, readFileSync, readSync } from "node:fs";
import type { WebRequest } from "../../../src/core/effects.ts";
import { TpmOperation, type TpmRequest, type WebAnswer } from "../../../src/core/effects.ts";
import { HttpsWeb } from "../../../src/port/https.ts";
import { StderrLog } from "../../../src/port/log.ts";
import { FileMemo } from "../../../src/port/memo.ts";
import { Tls } from "../../../src/port/tls.ts";
import { Library } from "../../../src/port/tpm.ts";
import { Turn } from "../../../src/turn.ts";
import { floor, webFloor } from "./replay.ts";

/** How often the floor of the network is measured; DPS allows five polls in ten seconds. */
const REPLAYS = 3;
const NS_PER_MS = 1e6;
/** Length of each baseline, before and after; 0: nobody looks at the loop, which costs time. */
const IDLE_MS = Number(process.env.PROVISION_IDLE_MS);

/** One first registration, ms. */
export interface Provisioned {
  /** From the line that says that it starts to the one that says that it is connected. */
  readonly tookMs: number;
  /** From the first look at src/main.ts to the former. */
  readonly loadMs: number;
  readonly longestCall: string;
  readonly longestCallMs: number;
  /** Worst lateness meanwhile, and the worse of before and after. */
  readonly late: Late;
  readonly idleLate: Late;
  /** As the agent sees it: requests to DPS, waits between polls, the disk, the hub. */
  readonly webMs: number;
  readonly waitMs: number;
  readonly diskMs: number;
  readonly hubMs: number;
  /** Our thread on a processor, and waiting for one. */
  readonly cpuMs: number;
  readonly delayedMs: number;
  /** What the service has asked to wait. */
  readonly retryAfterMs: number;
  /** The same bytes over bare sockets. */
  readonly floorMs: number;
}

type Around = (call: () => unknown, words: readonly unknown[]) => unknown;

/** Puts `around` in the place of a method. */
function wrap(owner: object, name: string, around: Around): void {
  const inner = Reflect.get(owner, name) as (...words: unknown[]) => unknown;
  Reflect.set(owner, name, function method(this: unknown, ...words: unknown[]) {
    return around(() => inner.apply(this, words), words);
  });
}

/** Lateness of a timer of 1 ms, ms: all of it, and without the wait for a processor. */
export interface Late {
  readonly allMs: number;
  readonly ownMs: number;
}

/** Of a thread's life, ms (proc(5), schedstat). */
interface Shares {
  readonly busyMs: number;
  readonly delayedMs: number;
}

/** Watches the loop by a timer of 1 ms. */
class Loop {
  private allMs = 0;
  private ownMs = 0;
  private dueMs = performance.now() + 1;
  private readonly descriptor = openSync(`/proc/self/task/${process.pid}/schedstat`, "r");
  private readonly text = Buffer.alloc(64);
  private delayedMs = this.delay();

  constructor(isWatched: boolean) {
    if (!isWatched) return;
    setInterval(() => {
      const nowMs = performance.now();
      const delayedMs = this.delay();
      const lateMs = nowMs - this.dueMs;
      this.allMs = Math.max(this.allMs, lateMs);
      this.ownMs = Math.max(this.ownMs, lateMs - (delayedMs - this.delayedMs));
      this.delayedMs = delayedMs;
      this.dueMs = performance.now() + 1;
    }, 1);
  }

  /** The worst since the last look. */
  look(): Late {
    const { allMs, ownMs } = this;
    this.allMs = 0;
    this.ownMs = 0;
    this.delayedMs = this.delay();
    this.dueMs = performance.now() + 1;
    return { allMs, ownMs };
  }

  async idle(ms: number): Promise<Late> {
    this.look();
    await Bun.sleep(ms);
    return this.look();
  }

  private delay(): number {
    return this.shares().delayedMs;
  }

  /** What this thread has had of a processor, and how long it was ready while others had it. */
  shares(): Shares {
    const bytes = readSync(this.descriptor, this.text, 0, this.text.length, 0);
    const [busyNs, delayedNs] = this.text.toString("latin1", 0, bytes).split(" ");
    return { busyMs: Number(busyNs) / NS_PER_MS, delayedMs: Number(delayedNs) / NS_PER_MS };
  }
}

/** Time between two events that follow each other, added up. */
class Span {
  sumMs = 0;
  private startMs = Number.NaN;

  begin(): void {
    this.startMs = performance.now();
  }

  end(): void {
    if (!Number.isNaN(this.startMs)) this.sumMs += performance.now() - this.startMs;
    this.startMs = Number.NaN;
  }
}

const dps = new Span();
const wait = new Span();
const disk = new Span();
const hub = new Span();
const requests: WebRequest[] = [];
let retryAfterMs = 0;
let longestCall = "";
let longestCallMs = 0;
let greeting: Uint8Array | undefined;
let target: { readonly host: string; readonly port: number } | undefined;
const connected = Promise.withResolvers<void>();
let startMs = 0;
let endMs = 0;
let before: Shares = { busyMs: 0, delayedMs: 0 };
let after: Shares = before;

function watchLibrary(): void {
  let operation = "";
  for (const name of ["init", "fini", "start", "finish", "setPassword"]) {
    wrap(Library.prototype, name, (call, [request]) => {
      if (name === "start") operation = TpmOperation[(request as TpmRequest).operation]!;
      const beforeMs = performance.now();
      const result = call();
      const ms = performance.now() - beforeMs;
      if (ms > longestCallMs) {
        longestCallMs = ms;
        longestCall = name === "start" || name === "finish" ? `${name} of ${operation}` : name;
      }
      return result;
    });
  }
}

function watchNetwork(): void {
  wrap(HttpsWeb.prototype, "ask", (call, [, request]) => {
    requests.push(request as WebRequest);
    wait.end();
    dps.begin();
    return call();
  });
  wrap(Turn.prototype, "onFetched", (call, [, answer]) => {
    dps.end();
    const { status, retryAfterS } = answer as WebAnswer;
    if (status === 202) {
      retryAfterMs += retryAfterS * 1000;
      wait.begin();
    }
    return call();
  });
  wrap(Tls.prototype, "open", (call, [opened]) => {
    const { host, port } = opened as { host: string; port: number };
    target = { host, port };
    hub.begin();
    return call();
  });
  wrap(Tls.prototype, "write", (call, [bytes, start, end]) => {
    greeting ??= (bytes as Uint8Array).slice(start as number, end as number);
    return call();
  });
}

function watchRest(loop: Loop): void {
  wrap(FileMemo.prototype, "save", (call) => {
    disk.begin();
    return call();
  });
  wrap(Turn.prototype, "onSaved", (call) => {
    disk.end();
    return call();
  });
  wrap(StderrLog.prototype, "write", (call, [, text]) => {
    const line = text as string;
    if (line.startsWith("azimuth ") && line.includes(" starts with ")) {
      loop.look();
      before = loop.shares();
      startMs = performance.now();
    }
    if (line.startsWith("connected to ")) {
      endMs = performance.now();
      after = loop.shares();
      hub.end();
      connected.resolve();
    }
    return call();
  });
}

/** What comes after the connection: the second baseline, and the floor. */
async function conclude(loop: Loop, idleBefore: Late): Promise<Provisioned> {
  const late = loop.look();
  const idleAfter = await loop.idle(IDLE_MS);
  const idleLate = {
    allMs: Math.max(idleBefore.allMs, idleAfter.allMs),
    ownMs: Math.max(idleBefore.ownMs, idleAfter.ownMs),
  };
  const ca = readFileSync(process.env.PROVISION_CA ?? "", "utf8");
  const web = await webFloor(REPLAYS, requests, ca);
  const greeted = await floor(REPLAYS, { ...target!, ca }, greeting!, (text) => text.length >= 4);
  return {
    tookMs: endMs - startMs,
    cpuMs: after.busyMs - before.busyMs,
    delayedMs: after.delayedMs - before.delayedMs,
    loadMs: startMs - loadedMs,
    ...{ longestCall, longestCallMs, late, idleLate, retryAfterMs },
    floorMs: web + greeted.ms,
    ...{ webMs: dps.sumMs, waitMs: wait.sumMs, diskMs: disk.sumMs, hubMs: hub.sumMs },
  };
}

const loop = new Loop(IDLE_MS > 0);
watchLibrary();
watchNetwork();
watchRest(loop);
const idleBefore = await loop.idle(IDLE_MS);
const loadedMs = performance.now();
connected.promise
  .then(() => conclude(loop, idleBefore))
  .then((found) => {
    console.log(JSON.stringify(found));
    process.exit(0);
  });
