// Site: a folder, a local Azure and the production agent as a process, for tests of the whole.
// Neighbours: `main.test.ts` uses it; the demo has its own, which people look at.
// Invariant: after `close` no process, socket or folder of it is left.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { HubEvent } from "./azure/model/events.ts";
import type { JsonObject } from "./azure/model/merge.ts";
import { type Emulator, type EmulatorOptions, startEmulator } from "./azure/server/emulator.ts";

/** The program as source. */
export const MAIN = resolve(import.meta.dir, "../src/main.ts");
const PATIENCE_MS = 30_000;

/** What a finished command said. */
export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Waits until `seen` gives something; an error naming `what` after 30 s. */
export async function until<T>(what: string, seen: () => T | undefined | false): Promise<T> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const value = seen();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`not seen within ${PATIENCE_MS} ms: ${what}`);
    await Bun.sleep(5);
  }
}

/** One agent at one hub. */
export class Site {
  readonly folder = mkdtempSync(join(tmpdir(), "azimuth-site-"));
  readonly events: HubEvent[] = [];
  readonly azure: Emulator;
  readonly key: string;
  /** What the agent's environment has beside this process's. */
  environment: Record<string, string> = {};
  agent: Bun.Subprocess<"ignore", "ignore", "pipe"> | undefined;
  log = "";
  /** Words before the agent's own, of a program that becomes the agent. */
  launcher: readonly string[] = [];
  private constructor(azure: Emulator, events: HubEvent[]) {
    this.azure = azure;
    this.events = events;
    const identity = azure.hub.createDevice("site1") as {
      authentication: { symmetricKey: { primaryKey: string } };
    };
    this.key = identity.authentication.symmetricKey.primaryKey;
    this.settings({});
  }

  static async open(options: EmulatorOptions = {}): Promise<Site> {
    const events: HubEvent[] = [];
    const azure = await startEmulator({ onEvent: (event) => events.push(event), ...options });
    return new Site(azure, events);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Writes the settings file; `more` replaces or adds `section key` pairs, "" leaves one out. */
  settings(more: Record<string, string>): void {
    const { mqttPort, httpsPort, caFile, hubName } = this.azure.ready;
    const identity = `HostName=${hubName}:${mqttPort};DeviceId=site1;SharedAccessKey=${this.key}`;
    const pairs: Record<string, string> = {
      "endpoint connection-string": identity,
      "endpoint ca-file": caFile,
      "endpoint https-port": String(httpsPort),
      "data connect.auto-on-startup": "true",
      "data connect.spread": "0",
      "telemetry interval": "1",
      "led.LED1 driver": "file",
      "led.LED1 target": this.path("LED1"),
      "agent control-socket": this.path("control.sock"),
      "agent state-dir": this.path("state"),
      ...more,
    };
    const sections = new Map<string, string[]>();
    for (const [name, value] of Object.entries(pairs)) {
      const [section = "", key = ""] = name.split(" ");
      if (!sections.has(section)) sections.set(section, []);
      if (value !== "") sections.get(section)!.push(`${key} = ${value}`);
    }
    const text = [...sections].map(([name, lines]) => `[${name}]\n${lines.join("\n")}\n`).join("");
    writeFileSync(this.path("azimuth.ini"), text, { mode: 0o600 });
  }

  /** Starts `azimuth run`; `more` goes to the runtime. */
  start(...more: string[]): void {
    const words = [...more, MAIN, "run", "-c", this.path("azimuth.ini")];
    const agent = Bun.spawn([...this.launcher, process.execPath, ...words], {
      env: { ...process.env, ...this.environment },
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    this.agent = agent;
    this.log = "";
    void (async () => {
      for await (const chunk of agent.stderr) this.log += new TextDecoder().decode(chunk);
    })();
  }

  /** Runs another command of azimuth to its end. */
  async command(...words: string[]): Promise<Said> {
    const child = Bun.spawn([process.execPath, MAIN, ...words, "-c", this.path("azimuth.ini")], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [code, out, err] = await Promise.all([
      child.exited,
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    return { code, out, err };
  }

  /** Waits for a line of the agent's log. */
  logged(text: string, after = 0): Promise<number> {
    return until(`log line "${text}"`, () => {
      const at = this.log.indexOf(text, after);
      const isOver = this.agent?.exitCode !== null || this.agent.signalCode !== null;
      if (at < 0 && isOver) throw new Error(`the agent ended without "${text}":\n${this.log}`);
      return at >= 0 && at + text.length;
    });
  }

  lamp(): string {
    try {
      return readFileSync(this.path("LED1"), "utf8").trim();
    } catch {
      return "";
    }
  }

  desire(properties: JsonObject, deviceId = "site1"): void {
    this.azure.hub.patchTwin(deviceId, { properties: { desired: properties } });
    this.azure.settle();
  }

  /** Message ids that the hub has taken, in order. */
  received(): string[] {
    return this.events.flatMap((event) =>
      event.type === "telemetry" ? [event.properties.system.messageId ?? ""] : [],
    );
  }

  async close(): Promise<void> {
    this.agent?.kill("SIGKILL");
    await this.agent?.exited;
    this.azure.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
