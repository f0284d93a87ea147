// Install: brings what the peers need, and names what it cannot bring.
// Neighbours: `main` calls it before anything else is loaded.
// Invariant: packages come from bun.lock alone; nothing outside this folder is changed.

import { existsSync } from "node:fs";
import { join } from "node:path";

/** Debian packages with the programs that are peers. */
const PROGRAMS: readonly (readonly [program: string, name: string])[] = [
  ["node", "nodejs"],
  ["openssl", "openssl"],
  ["swtpm", "swtpm"],
  ["mosquitto_pub", "mosquitto-clients"],
  ["mosquitto_sub", "mosquitto-clients"],
];
/** Debian's own Python, for which Debian's python3-paho-mqtt is made. */
export const PYTHON = "/usr/bin/python3";

/** Installs npm packages if absent; "" or one line that says what is missing. */
export function installed(): string {
  const absent = new Set(
    PROGRAMS.flatMap(([program, name]) => (Bun.which(program) === null ? [name] : [])),
  );
  const hasPaho = Bun.spawnSync([PYTHON, "-c", "import paho.mqtt.client"]).exitCode === 0;
  if (!existsSync(PYTHON) || !hasPaho) absent.add("python3-paho-mqtt");
  if (absent.size > 0) return `missing here; install: ${[...absent].join(" ")}`;
  if (existsSync(join(import.meta.dir, "node_modules", "tss.js"))) return "";
  console.log("installing npm packages from bun.lock");
  const command = [process.execPath, "install", "--frozen-lockfile", "--ignore-scripts"];
  const done = Bun.spawnSync([...command, "--no-progress"], { cwd: import.meta.dir });
  return done.exitCode === 0 ? "" : `bun install failed: ${done.stderr.toString()}`;
}
