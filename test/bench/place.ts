// Place: where things are and with which settings measured processes run.
// Neighbours: all benchmarks; `conf/azimuth.env` holds the run settings of the product.
// Invariant: a measured process gets the settings named here and none that happen to be around.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** Top of the tree. */
export const TREE = resolve(import.meta.dir, "../..");
export const BENCH = import.meta.dir;
/** Where what is compiled for the benchmarks lies. */
export const BUILD = join(TREE, "build", "bench");
export const BUN = process.execPath;
/** The agent as it is shipped; there only after `make build`. */
export const EXECUTABLE = join(TREE, "build", "azimuth");

export type Environment = Readonly<Record<string, string>>;

/** The environment around, without what would change how Bun or Node run. */
export const BARE: Environment = Object.fromEntries(
  Object.entries(process.env as Record<string, string>).filter(([name]) => {
    return !/^(BUN_|NODE_|UV_|MIMALLOC_|npm_)/.test(name);
  }),
);

/** As {@link BARE}, with the run settings of the product. */
export const SHIPPED: Environment = { ...BARE, ...runSettings() };

function runSettings(): Environment {
  const lines = readFileSync(join(TREE, "conf", "azimuth.env"), "utf8").split("\n");
  const pairs = lines.filter((line) => /^[A-Za-z_]+=/.test(line));
  return Object.fromEntries(pairs.map((line) => line.split("=", 2) as [string, string]));
}

/** Runs `work` with a folder of its own, in memory where there is such a place. */
export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const parent = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const folder = mkdtempSync(join(parent, "azimuth-bench-"));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  process.on("exit", remove);
  try {
    return await work(folder);
  } finally {
    process.off("exit", remove);
    remove();
  }
}

/** As {@link withFolder}, on a real disk: memory has no syncs. */
export async function withDisk<T>(work: (folder: string) => Promise<T>): Promise<T> {
  mkdirSync(BUILD, { recursive: true });
  const folder = mkdtempSync(join(BUILD, "disk."));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  process.on("exit", remove);
  try {
    return await work(folder);
  } finally {
    process.off("exit", remove);
    remove();
  }
}
