// Gateway: the agent as a process of its own, started as init would start it.
// Neighbours: `led`, `idle` and `reconnect` measure it; `hub` has the identity it connects with.
// Invariant: the production agent with a settings file and the run settings of the product; its
// log goes to a file, so that nobody wakes up for it while something is measured.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Answer, ask } from "../../src/port/control.ts";
import { adopt, stopped } from "./child.ts";
import type { Identity } from "./hub.ts";
import { BUN, type Environment, SHIPPED, TREE } from "./place.ts";

const CONNECTED_MS = 30_000;
const ASK_MS = 60_000;
const POLL_MS = 20;
const LOG_CHARS = 2_000;

/** The agent as it runs in the tree. */
export const FROM_SOURCE: readonly string[] = [BUN, join(TREE, "src/main.ts")];

function settingsFor(identity: Identity, folder: string, lamp: string): string {
  const { hubName, deviceId, key, caFile, port, httpsPort } = identity;
  return [
    "[endpoint]",
    `connection-string = HostName=${hubName};DeviceId=${deviceId};SharedAccessKey=${key}`,
    `ca-file = ${caFile}`,
    `mqtt-port = ${port}`,
    `https-port = ${httpsPort}`,
    "[data]",
    "connect.auto-on-startup = true",
    "[telemetry]",
    "interval = 0",
    "[led.LED1]",
    "driver = file",
    `target = ${lamp}`,
    "[agent]",
    `control-socket = ${join(folder, "control.sock")}`,
    `state-dir = ${join(folder, "state")}`,
    "",
  ].join("\n");
}

/** A running agent. */
export class Gateway {
  private constructor(
    private readonly child: Bun.Subprocess,
    private readonly folder: string,
  ) {}

  /**
   * Starts an agent with a lamp that is the file `lamp`; `folder` is its alone, and `more` is its
   * environment beside the run settings.
   */
  static start(
    command: readonly string[],
    identity: Identity,
    folder: string,
    lamp: string,
    more: Environment = {},
  ) {
    const settings = join(folder, "azimuth.ini");
    writeFileSync(settings, settingsFor(identity, folder, lamp), { mode: 0o600 });
    const child = Bun.spawn([...command, "run", "-c", settings], {
      cwd: folder,
      env: { ...SHIPPED, ...more },
      stdin: "ignore",
      stdout: "ignore",
      stderr: Bun.file(join(folder, "log")),
    });
    return new Gateway(adopt(child), folder);
  }

  get pid(): number {
    return this.child.pid;
  }

  /** Resolves when the log says that it is connected. */
  async connected(): Promise<void> {
    const endMs = performance.now() + CONNECTED_MS;
    while (!this.log().includes(" connected to ")) {
      if (this.child.exitCode !== null || performance.now() > endMs) {
        throw new Error(`the agent does not connect\n${this.log().slice(-LOG_CHARS)}`);
      }
      await Bun.sleep(POLL_MS);
    }
  }

  /** Has it carry out a command, like `azimuth connect`. */
  ask(...words: readonly string[]): Promise<Answer> {
    return ask(join(this.folder, "control.sock"), words, ASK_MS);
  }

  log(): string {
    try {
      return readFileSync(join(this.folder, "log"), "utf8");
    } catch {
      return "";
    }
  }

  stop(): Promise<void> {
    return stopped(this.child);
  }
}
