// Cast: the programs that peers run as, on each of the two runtimes.
// Neighbours: `peers` holds their sources, `puppet` runs them; `main` has installed the packages.
// Invariant: the same source runs on both; what Node runs is built anew for each run.

import { join } from "node:path";
import { Puppet } from "./puppet.ts";

const PEERS = join(import.meta.dir, "peers");
/** Beside the packages, so that Node finds them without being told. */
const MADE = join(import.meta.dir, "node_modules", ".cache", "peers");

/** What a peer runs on. */
export enum Runtime {
  NODE,
  BUN,
}

export const RUNTIMES: readonly Runtime[] = [Runtime.NODE, Runtime.BUN];

/** For people. */
export function runtimeName(runtime: Runtime): string {
  return runtime === Runtime.NODE ? "Node" : "Bun";
}

async function built(name: string): Promise<string> {
  const made = await Bun.build({
    entrypoints: [join(PEERS, `${name}.ts`)],
    outdir: MADE,
    target: "node",
    format: "cjs",
    packages: "external",
  });
  if (!made.success) throw new Error(made.logs.join("\n"));
  return join(MADE, `${name}.js`);
}

/** Starts the peer whose source is `peers/{name}.ts`. */
export async function cast(name: string, runtime: Runtime): Promise<Puppet> {
  if (runtime === Runtime.BUN) return new Puppet([process.execPath, join(PEERS, `${name}.ts`)]);
  const node = Bun.which("node");
  if (node === null) throw new Error("node is missing");
  return new Puppet([node, await built(name)]);
}
