// World: local Azure, the cable, the TPM, the agent and their folder: what the story is played on.
// Neighbours: `child` and `cable` are its parts; `teller` and `show` drive it and read its facts.
// Invariant: the agent and local Azure are processes of their own, reached only by what they offer
// to everybody; after `end` or `endNow` neither they nor the folder are left.

import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Status } from "../../src/core/status.ts";
import { type Answer, ask } from "../../src/port/control.ts";
import { findPlace, Remote } from "../azure/remote.ts";
import type { Ready } from "../azure/server/ready.ts";
import { Cable } from "./cable.ts";
import { Child } from "./child.ts";
import type { Endpoint, Facts } from "./facts.ts";
import { Hub } from "./hub.ts";
import { fileLamp, type Lamp, light } from "./lamp.ts";
import { Ledger } from "./ledger.ts";
import type { Theatre } from "./teller.ts";
import { fill, variables } from "./template.ts";
import { Tpm } from "./tpm.ts";

const ROOT = resolve(import.meta.dir, "../..");
const AZIMUTH = [process.execPath, join(ROOT, "src/main.ts")];
const AZURE = [process.execPath, join(ROOT, "test/azure/main.ts")];
const DEVICE = "gateway-1";
const SETTINGS = "azimuth.ini";
const TEMPLATES: Readonly<Record<Endpoint, string>> = {
  tpm: "conf/demo.ini",
  sas: "conf/demo-sas.ini",
};
/** What the hub has seen before there is one. */
const NOTHING = new Ledger(DEVICE);
/** How often the agent is asked for its status, and the lamp looked at. */
const STATUS_MS = 100;
const LOOK_MS = 2;
const STATUS_ANSWER_MS = 2_000;
/** A signal to the whole process group reaches the children first: that is no failure. */
const GRACE_MS = 100;
/** A connect is answered when the first attempt has succeeded or failed. */
const COMMAND_ANSWER_MS = 60_000;
/** A socket's path has at most 107 bytes, and settings take no odd characters unquoted. */
const PLAIN_FOLDER = /^[\w./-]{1,60}$/;

/** What may be chosen. */
export interface WorldOptions {
  readonly endpoint: Endpoint;
  /** Default: a file in the world's folder. */
  readonly lamp?: Lamp | undefined;
  /** True leaves the folder behind. */
  readonly isKept?: boolean;
}

/** The stage of the story. */
export class World implements Theatre {
  readonly folder: string;
  readonly lamp: Lamp;
  private azure: Child | undefined;
  private agent: Child | undefined;
  private hub: Hub | undefined;
  private cable: Cable | undefined;
  private idScope = "";
  private readonly environment: Readonly<Record<string, string | undefined>>;
  private readonly tpm: Tpm;
  private status: Status | undefined;
  private death = "";
  private isOver = false;
  private timer: Timer | undefined;
  private waiters: (() => void)[] = [];

  constructor(private readonly options: WorldOptions) {
    const base = PLAIN_FOLDER.test(tmpdir()) ? tmpdir() : "/tmp";
    this.folder = mkdtempSync(join(base, "azimuth-demo-"));
    this.lamp = options.lamp ?? fileLamp(join(this.folder, "LED1"));
    // The run settings that every gateway uses.
    const settings = variables(readFileSync(join(ROOT, "conf/azimuth.env"), "utf8"));
    this.environment = { ...process.env, ...settings };
    const start = (command: readonly string[]) => this.start("the TPM", command, "tpm.log");
    const { folder, environment } = this;
    this.tpm = new Tpm({ folder, environment, azimuth: AZIMUTH, azure: AZURE, start }, DEVICE);
  }

  get endpoint(): Endpoint {
    return this.options.endpoint;
  }

  /** All that can be seen now. */
  get facts(): Facts {
    const { hub, cable } = this;
    return {
      endpoint: this.endpoint,
      deviceId: DEVICE,
      idScope: this.idScope,
      chip: this.tpm.chip,
      enrollment: hub?.enrollment,
      hubPort: hub?.mqttPort ?? 0,
      isEnabled: hub?.isEnabled ?? false,
      ledger: hub?.ledger ?? NOTHING,
      twin: hub?.twin,
      agent: this.status,
      lamp: light(this.lamp),
      isPlugged: cable?.isPlugged ?? false,
      tlsCount: cable?.hub.tlsCount ?? 0,
      otherCount: cable?.otherCount ?? 0,
      death: this.death,
    };
  }

  /** Starts local Azure, makes the device unless DPS is to do that, and lays the cable. */
  async startAzure(): Promise<void> {
    const data = join(this.folder, "azure");
    // Whoever waits for an assignment asks again a second later.
    const words = ["serve", "--data", data, "--retry-after", "1"];
    this.azure = this.start("local Azure", [...AZURE, ...words], "azure.log");
    const line = await this.azure.firstLine();
    if (line === "") throw new Error("local Azure ended without a word on its ports");
    const { mqttPort, httpsPort, caFile, idScope } = JSON.parse(line) as Ready;
    this.hub = new Hub(new Remote(findPlace({ data })), mqttPort, DEVICE, () => this.changed());
    void this.hub.follow();
    if (this.endpoint === "sas") {
      this.write("connection-string", `${await this.hub.createDevice()}\n`);
    }
    copyFileSync(caFile, join(this.folder, "ca.pem"));
    this.cable = new Cable(mqttPort, httpsPort);
    await this.cable.plug();
    const values = {
      FOLDER: this.folder,
      MQTT_PORT: String(this.cable.hub.port),
      HTTPS_PORT: String(this.cable.web.port),
      ID_SCOPE: idScope,
    };
    const template = readFileSync(join(ROOT, TEMPLATES[this.endpoint]), "utf8");
    this.write(SETTINGS, fill(template, values, this.lamp));
    this.idScope = idScope;
  }

  async startTpm(): Promise<void> {
    await this.tpm.start();
    this.changed();
  }

  get enrolling(): readonly string[] {
    return this.tpm.enrolling;
  }

  async enroll(): Promise<void> {
    await this.hub?.readEnrollment(await this.tpm.enroll());
  }

  /** Starts the agent, with the run settings that every gateway uses. */
  startAgent(): void {
    const words = ["run", "-c", join(this.folder, SETTINGS)];
    this.agent = this.start("the agent", [...AZIMUTH, ...words], "agent.log");
    clearInterval(this.timer);
    this.timer = setInterval(() => void this.refresh(), STATUS_MS);
  }

  async restartAgent(): Promise<void> {
    await this.agent?.stop();
    this.hub?.ledger.onStart();
    this.startAgent();
  }

  /** Sets desired LED1 at the hub's service side. */
  async desire(value: unknown): Promise<void> {
    if (this.hub === undefined) throw new Error("local Azure is not there");
    await this.hub.desire(value);
  }

  pull(): void {
    this.cable?.pull();
    this.changed();
  }

  async plug(): Promise<void> {
    await this.cable?.plug();
    this.changed();
  }

  /** Asks the agent at its control socket. */
  ask(words: readonly string[], timeoutMs = COMMAND_ANSWER_MS): Promise<Answer> {
    return ask(join(this.folder, "control.sock"), words, timeoutMs);
  }

  async refresh(): Promise<void> {
    if (this.agent === undefined) return;
    const answer = await this.ask(["status", "--json"], STATUS_ANSWER_MS);
    this.status = answer.ok ? (JSON.parse(answer.text) as Status) : undefined;
    this.changed();
  }

  change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LOOK_MS);
    this.waiters.push(() => {
      clearTimeout(timer);
      resolve();
    });
    return promise;
  }

  /** The last `count` lines of the agent's log. */
  log(count: number): string[] {
    return this.agent?.tail(count) ?? [];
  }

  /** The last lines of all logs, under their names. */
  tails(count: number): string[] {
    return [this.agent, this.azure, this.tpm.child].flatMap((child) => {
      if (child === undefined) return [];
      const lines = child.tail(count).map((line) => `       ${line}`);
      return [`     log of ${child.name}:`, ...(lines.length > 0 ? lines : ["       (empty)"])];
    });
  }

  /** Ends all processes, the agent first so that it can take its leave; removes the folder. */
  async end(): Promise<void> {
    this.isOver = true;
    clearInterval(this.timer);
    await this.agent?.stop();
    this.cable?.pull();
    await this.azure?.stop();
    await this.tpm.stop();
    this.remove();
  }

  /** The same by force and at once; for the last moment of the process. */
  endNow(): void {
    this.isOver = true;
    this.agent?.stopNow();
    this.azure?.stopNow();
    this.tpm.stopNow();
    this.remove();
  }

  private start(name: string, command: readonly string[], log: string): Child {
    if (this.isOver) throw new Error("the demonstration is over");
    const child: Child = new Child({
      name,
      command,
      environment: this.environment,
      logFile: join(this.folder, log),
      onExit: () => {
        setTimeout(() => this.onExit(child), GRACE_MS);
      },
    });
    return child;
  }

  private onExit(child: Child): void {
    if (this.isOver || child.isStopping || this.death !== "") return;
    this.death = `${child.name} ended by itself with ${child.end}`;
    this.changed();
  }

  private changed(): void {
    for (const wake of this.waiters.splice(0)) wake();
  }

  private write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text, { mode: 0o600 });
  }

  private remove(): void {
    if (this.options.isKept === true) return;
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}
