// Power: agent and TPM lose their power together at every command of a registration that puts
// another device key in place of the old one: does the gateway come back?
// Neighbours: the agent is a process as init starts it; `tpm/gate.ts` tells of each command;
// `test/port/swap.test.ts` does the like with the machines alone.
// Invariant: a cut is SIGKILL to both in one go; what they had on disk is all that is left.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { adopt, stopped } from "../bench/child.ts";
import { BUN, SHIPPED, TREE, withFolder } from "../bench/place.ts";
import { format, missed, Report } from "../bench/report.ts";
import { Station } from "../bench/station.ts";
import { Client } from "../tpm/client.ts";
import { type Moment, startGate } from "../tpm/gate.ts";
import { libraryPath } from "../tpm/library.ts";
import { Swtpm } from "../tpm/swtpm.ts";

const DEVICE = "gateway-1";
/** The device key is at one of these: the second until a swap is through. */
const PLACES = [0x81000100, 0x81000101];
const PATIENCE_MS = 60_000;
const LOOK_MS = 5;
/** When the power goes: the command has come, is being carried out, has been carried out. */
const MOMENTS: readonly Moment[] = ["asked", "sent", "answered"];

/** Where the power goes. */
interface Cut {
  readonly moment: Moment;
  /** Commands before it. */
  readonly command: number;
}

/** What became of the cuts at one moment. */
interface Tally {
  cuts: number;
  recovered: number;
  /** Came back without asking DPS once more. */
  kept: number;
}

/** A gateway whose power can be cut. */
class Gateway {
  private agent: Bun.Subprocess | undefined;
  private cut: Cut | undefined;
  private seen = 0;
  isCut = false;

  constructor(
    private readonly settings: string,
    private readonly folder: string,
    private readonly tpm: Swtpm,
  ) {}

  /** Hears of each moment of each command, before it goes on. */
  onMoment(moment: Moment): void {
    const { cut } = this;
    if (cut === undefined || this.isCut) return;
    if (moment === cut.moment && this.seen === cut.command) {
      this.isCut = true;
      this.agent!.kill("SIGKILL");
      void this.tpm.kill();
    }
    if (moment === "answered") this.seen += 1;
  }

  start(cut?: Cut): void {
    this.cut = cut;
    this.seen = 0;
    this.isCut = false;
    writeFileSync(this.path("log"), "");
    const command = [BUN, join(TREE, "src/main.ts"), "run", "-c", this.settings];
    this.agent = adopt(
      Bun.spawn(command, {
        env: SHIPPED,
        stdin: "ignore",
        stdout: "ignore",
        stderr: Bun.file(this.path("log")),
      }),
    );
  }

  /** True when it is connected, false when it was cut or does not come. */
  async connected(): Promise<boolean> {
    const endMs = performance.now() + PATIENCE_MS;
    while (!this.log.includes(" connected to ")) {
      if (this.isCut || this.agent!.exitCode !== null || performance.now() > endMs) return false;
      await Bun.sleep(LOOK_MS);
    }
    return true;
  }

  async stop(): Promise<void> {
    await stopped(this.agent!);
  }

  /** A registration was begun, as far as the disk knows: the next start asks DPS. */
  beginAnew(): void {
    const path = this.path("state/assignment.json");
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replace('"isPending":false', '"isPending":true'));
  }

  get log(): string {
    return readFileSync(this.path("log"), "utf8");
  }

  private path(name: string): string {
    return join(this.folder, name);
  }
}

/** Whether there is a device key and nothing that nobody needs. */
function isSound(tpm: Swtpm): Promise<boolean> {
  return Client.with(tpm.place, async (client) => {
    const left = await client.leftovers();
    const keys = [];
    for (const place of PLACES) keys.push(await client.readPublic(place));
    return left.length === 0 && keys.some((key) => key !== undefined);
  });
}

/** Cuts at every command in turn, until the agent is connected before it is cut. */
async function cutAll(gateway: Gateway, tpm: Swtpm, moment: Moment): Promise<Tally> {
  const tally: Tally = { cuts: 0, recovered: 0, kept: 0 };
  for (let command = 0; ; command++) {
    gateway.beginAnew();
    gateway.start({ moment, command });
    if (await gateway.connected()) {
      await gateway.stop();
      return tally;
    }
    if (!gateway.isCut) throw new Error(`neither cut nor connected:\n${gateway.log}`);
    await gateway.stop();
    tally.cuts += 1;
    await tpm.kill();
    await tpm.restart();
    gateway.start();
    const isBack = await gateway.connected();
    const { log } = gateway;
    await gateway.stop();
    if (isBack && (await isSound(tpm))) tally.recovered += 1;
    else console.error(`not back after command ${command}, ${moment}:\n${log}`);
    if (isBack && !log.includes(" registered: ")) tally.kept += 1;
  }
}

async function soak(folder: string): Promise<Report> {
  libraryPath();
  const report = new Report();
  const station = await Station.open(folder);
  const tpm = await Swtpm.unix();
  const target = "path" in tpm.place ? tpm.place.path : "";
  await station.enrol(tpm.place, DEVICE);
  const gateway = new Gateway(station.settings(`${target}.gate`), folder, tpm);
  const gate = await startGate(
    `${target}.gate`,
    target,
    () => {},
    (moment) => gateway.onMoment(moment),
  );
  try {
    report.heading("power: agent and TPM cut at every command of a registration that follows one");
    const startMs = performance.now();
    gateway.start();
    if (!(await gateway.connected())) throw new Error(`not provisioned:\n${gateway.log}`);
    await gateway.stop();
    const rows = [["the command was", "cuts", "recovered", "of them without DPS"]];
    let cuts = 0;
    let recovered = 0;
    for (const moment of MOMENTS) {
      const tally = await cutAll(gateway, tpm, moment);
      rows.push([moment, `${tally.cuts}`, `${tally.recovered}`, `${tally.kept}`]);
      cuts += tally.cuts;
      recovered += tally.recovered;
    }
    report.table(rows);
    report.note(`${cuts} cuts, ${recovered} recovered, in ${took(startMs)}`);
    const measured = recovered / cuts;
    const figure = "recovered / cuts";
    report.judge([{ figure, measured, sense: "at least", bound: 1, unit: "x" }]);
  } finally {
    gate.close();
    await tpm.stop();
    await station.stop();
  }
  return report;
}

function took(startMs: number): string {
  return format((performance.now() - startMs) / 1000, "s");
}

/** One line for each aim that was missed. */
export async function power(): Promise<readonly string[]> {
  return missed(await withFolder(soak));
}
