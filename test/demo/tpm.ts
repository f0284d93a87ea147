// Tpm: the gateway's TPM, which is swtpm here, and what an operator does with it by `azimuth tpm`.
// Neighbours: `world` starts it and hands its place to the agent; `errand` runs the commands.
// Invariant: between two commands nobody is connected: swtpm serves one program at a time. What is
// shown as typed is what was run, but for the names of the two programs.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { isListening } from "../tpm/swtpm.ts";
import type { Child } from "./child.ts";
import { type Command, Errand } from "./errand.ts";
import type { Chip } from "./facts.ts";

/** Its socket in the folder of the demonstration; conf/demo.ini names it, too. */
const SOCKET = "tpm";
const READY_MS = 10_000;
const LOOK_MS = 2;

/** What it needs of the world. */
export interface Surroundings {
  readonly folder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The beginning of command lines: `azimuth`, and `azure` for the client of local Azure. */
  readonly azimuth: readonly string[];
  readonly azure: readonly string[];
  start(command: readonly string[]): Child;
}

/** One software TPM, blank at first. */
export class Tpm {
  child: Child | undefined;
  chip: Chip | undefined;
  private readonly errand: Errand;

  /** @param deviceId for whom it is enrolled */
  constructor(
    private readonly around: Surroundings,
    private readonly deviceId: string,
  ) {
    this.errand = new Errand(around.environment);
  }

  /** Starts it, and has `azimuth tpm` look into it. Throws one line. */
  async start(): Promise<void> {
    if (Bun.which("swtpm") === null) throw new Error("no swtpm here (Debian package swtpm)");
    const state = join(this.around.folder, "chip");
    mkdirSync(state, { mode: 0o700 });
    const socket = join(this.around.folder, SOCKET);
    const words = ["swtpm", "socket", "--tpm2", "--tpmstate", `dir=${state},mode=0600`];
    const ways = ["--server", `type=unixio,path=${socket}`];
    const control = ["--ctrl", `type=unixio,path=${socket}.ctrl`, "--flags", "not-need-init"];
    const child = this.around.start([...words, ...ways, ...control]);
    this.child = child;
    const endMs = performance.now() + READY_MS;
    while (!(await isListening({ path: socket }))) {
      if (child.end !== undefined) throw new Error(`swtpm ended with ${child.end}`);
      if (performance.now() > endMs) throw new Error("swtpm does not listen");
      await Bun.sleep(LOOK_MS);
    }
    const look = this.azimuth("tpm", "--json", "--tpm", this.place);
    this.chip = chipOf(JSON.parse(await this.errand.run([look])));
  }

  /** What is typed to enroll it, in the parts that should stay together in a line. */
  get enrolling(): readonly string[] {
    const [first, second] = [this.asking.slice(0, -2), this.asking.slice(-2)];
    const parts = [["azimuth", ...first], second, ["| azure", ...this.enrollment]];
    return parts.map((words) => words.join(" "));
  }

  /** Enrolls it with those commands; its registration id. Throws one line. */
  async enroll(): Promise<string> {
    const words = [...this.around.azure, ...this.enrollment];
    const pipe = [this.azimuth(...this.asking), { name: "azure enroll", words }];
    return (JSON.parse(await this.errand.run(pipe)) as { registrationId: string }).registrationId;
  }

  /** Lets go of it by force, without waiting. */
  stopNow(): void {
    this.errand.stopNow();
    this.child?.stopNow();
  }

  /** Ends it. */
  async stop(): Promise<void> {
    this.errand.stopNow();
    await this.child?.stop();
  }

  /** Where it is, as settings and command lines say it. */
  private get place(): string {
    return `swtpm:${join(this.around.folder, SOCKET)}`;
  }

  private get asking(): readonly string[] {
    return ["tpm", "--enrollment", "--device-id", this.deviceId, "--tpm", this.place];
  }

  private get enrollment(): readonly string[] {
    return ["enroll", "--tpm", "-", "--data", join(this.around.folder, "azure")];
  }

  private azimuth(...words: readonly string[]): Command {
    return { name: "azimuth tpm", words: [...this.around.azimuth, ...words] };
  }
}

/** What `azimuth tpm --json` prints, as facts. */
function chipOf(info: {
  readonly manufacturer: string;
  readonly model: string;
  readonly specificationFamily: string;
  readonly specificationRevision: string;
  readonly persistentHandles: readonly unknown[];
  readonly endorsementKey: string;
}): Chip {
  const { manufacturer, model, specificationFamily, specificationRevision } = info;
  return {
    maker: `${manufacturer} ${model}`,
    specification: `${specificationFamily} revision ${specificationRevision}`,
    keyCount: info.persistentHandles.length,
    endorsementKey: info.endorsementKey,
  };
}
