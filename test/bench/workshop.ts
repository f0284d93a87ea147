// Workshop: makes the peers that are not run from source: C programs, and MQTT.js for Node.
// Neighbours: native holds the C sources, peers what Node runs; results lie in build/bench.
// Invariant: what is older than a source of it is made again; what is missing on the machine is
// named with the packages that bring it.

import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { BENCH, BUILD } from "./place.ts";

const PACKAGES = "gcc libssl-dev libmosquitto-dev";
const FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra"];

/** Programs: sources in native, and the libraries they are linked with. */
const PROGRAMS = {
  sink: { sources: ["sink.c", "hub.c"], libraries: ["-lssl", "-lcrypto"] },
  probe: { sources: ["probe.c", "hub.c"], libraries: ["-lssl", "-lcrypto"] },
  lamp: { sources: ["lamp.c"], libraries: ["-lssl", "-lcrypto"] },
  publisher: { sources: ["publisher.c"], libraries: ["-lmosquitto"] },
} as const;

/** Path of a C program, compiled when it must be. Throws one line when it cannot be. */
export function program(name: keyof typeof PROGRAMS): string {
  const folder = join(BENCH, "native");
  const { sources, libraries } = PROGRAMS[name];
  const target = join(BUILD, name);
  const files = sources.map((source) => join(folder, source));
  const headers = readdirSync(folder).filter((file) => file.endsWith(".h"));
  if (isNewer(target, [...files, ...headers.map((file) => join(folder, file))])) return target;
  mkdirSync(BUILD, { recursive: true });
  if (Bun.which("gcc") === null) throw new Error(`gcc is missing; install ${PACKAGES}`);
  const command = ["gcc", ...FLAGS, "-o", target, ...files, ...libraries];
  const { exitCode, stderr } = Bun.spawnSync(command);
  if (exitCode === 0) return target;
  const text = stderr.toString();
  const isMissing = /No such file or directory|cannot find -l/.test(text);
  throw new Error(isMissing ? `${name}.c: install ${PACKAGES}\n${text}` : text);
}

/** Command that runs MQTT.js on Node. Throws one line when Node or MQTT.js is missing. */
export async function nodePublisher(): Promise<readonly string[]> {
  const node = Bun.which("node");
  if (node === null) throw new Error("node is missing; MQTT.js is measured on it");
  if (!existsSync(join(BENCH, "node_modules", "mqtt"))) {
    throw new Error("MQTT.js is missing; run `bun install` in test/bench");
  }
  const source = join(BENCH, "peers", "publisher.ts");
  // Beside the package, so that Node finds it without being told.
  const folder = join(BENCH, "node_modules", ".cache");
  const target = join(folder, "publisher.js");
  if (!isNewer(target, [source, join(BENCH, "client", "meter.ts")])) {
    const made = await Bun.build({
      entrypoints: [source],
      outdir: folder,
      target: "node",
      format: "cjs",
      external: ["mqtt"],
    });
    if (!made.success) throw new Error(made.logs.join("\n"));
  }
  return [node, target];
}

function isNewer(target: string, sources: readonly string[]): boolean {
  if (!existsSync(target)) return false;
  const madeMs = statSync(target).mtimeMs;
  return sources.every((source) => statSync(source).mtimeMs < madeMs);
}
