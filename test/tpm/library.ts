// Library: libazimuth.so for tests, built when it is older than its sources.
// Neighbours: native/build.sh does the work; tests of the TPM port load what it makes.
// Invariant: tests that run at the same moment never see half a file.

import { readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dir, "../..");

/** Path of build/libazimuth.so, up to date. Throws with the compiler's words when it cannot be. */
export function libraryPath(): string {
  const path = join(root, "build/libazimuth.so");
  if (!isFresh(path)) build(path, "");
  return path;
}

/** Builds with more flags for the compiler. */
export function build(output: string, flags: string): void {
  const command = ["sh", join(root, "native/build.sh"), output];
  const { exitCode, stderr } = Bun.spawnSync(command, {
    env: { PATH: process.env.PATH, CFLAGS: flags },
    stdin: "ignore",
    stderr: "pipe",
  });
  if (exitCode !== 0) throw new Error(`native/build.sh: ${stderr.toString()}`);
}

function isFresh(path: string): boolean {
  const made = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const folder = join(root, "native");
  return readdirSync(folder).every((name) => statSync(join(folder, name)).mtimeMs < made);
}
