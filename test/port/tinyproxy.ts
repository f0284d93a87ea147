// A real HTTP proxy for tests: Debian's tinyproxy, in front of servers on the loopback.
// Neighbours: dial.test.ts and https.test.ts; `uplink` has a relay of our own.
// Invariant: it listens on the loopback alone, and is gone with its folder after `stop`.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeServers, listening } from "./uplink.ts";

/** A running proxy. */
export interface Tinyproxy {
  readonly port: number;
  /** What it has logged so far. */
  readonly log: () => string;
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const port = await listening(createServer());
  closeServers();
  return port;
}

/** Starts one with these lines in its configuration beside the usual ones. */
export async function tinyproxy(...lines: readonly string[]): Promise<Tinyproxy> {
  const folder = mkdtempSync(join(tmpdir(), "azimuth-proxy-"));
  const file = join(folder, "tinyproxy.conf");
  const port = await freePort();
  const usual = [`Port ${port}`, "Listen 127.0.0.1", "Timeout 60", "MaxClients 50"];
  const all = [...usual, "LogLevel Info", ...lines].map((line) => line.replace("@", folder));
  writeFileSync(file, `${all.join("\n")}\n`);
  writeFileSync(join(folder, "filter"), "^blocked\\.\n");
  const child = Bun.spawn(["tinyproxy", "-d", "-c", file], { stdout: "pipe", stderr: "inherit" });
  let text = "";
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) {
      text += decoder.decode(chunk, { stream: true });
      if (text.includes("listening on fd")) resolve();
    }
    reject(new Error(`tinyproxy ended: ${text}`));
  })();
  const stop = async (): Promise<void> => {
    child.kill();
    await child.exited;
    await reading;
    rmSync(folder, { recursive: true });
  };
  await ready;
  return { port, log: () => text, stop };
}
