// Cut: builds the library that records what a program does to its files, and names its settings.
// Neighbours: `cut.c`; the power-cut model of `test/soak`, the tests and the bench of the store.
// Invariant: the library appears whole or not at all.

import { renameSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

const source = join(import.meta.dir, "cut.c");
const library = resolve(import.meta.dir, "../../build/libcut.so");

/** What the library does in a program that is started with it. */
export interface CutSettings {
  /** Absolute path without a slash at its end, of which only the files in it count. */
  readonly folder: string;
  /** Where to write what happens to them. */
  readonly record?: string;
  /** Added to every sync of theirs. */
  readonly delayMs?: number;
  /** This sync of theirs fails with EIO, counted from 1. */
  readonly failAt?: number;
  /** While this file exists, nothing can be written to theirs: ENOSPC. */
  readonly full?: string;
}

/** Compiles the library when it is older than its source; its path. */
export function cutLibrary(): string {
  const madeMs = statSync(library, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (statSync(source).mtimeMs < madeMs) return library;
  const output = `${library}.${process.pid}`;
  const warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"];
  const command = ["cc", "-std=gnu11", "-O2", "-fPIC", "-shared", ...warnings, source];
  const built = Bun.spawnSync(
    [
      "sh",
      "-c",
      'mkdir -p "$0" && "$@"',
      resolve(library, ".."),
      ...command,
      "-o",
      output,
      "-ldl",
      "-lpthread",
    ],
    { stderr: "pipe" },
  );
  if (built.exitCode !== 0) throw new Error(`cc: ${built.stderr.toString()}`);
  renameSync(output, library);
  return library;
}

/** The environment of a program under the library. */
export function cutEnvironment(settings: CutSettings): Record<string, string> {
  const environment: Record<string, string> = { ...process.env } as Record<string, string>;
  environment.LD_PRELOAD = cutLibrary();
  environment.AZIMUTH_CUT_FOLDER = settings.folder;
  if (settings.record !== undefined) environment.AZIMUTH_CUT_RECORD = settings.record;
  if (settings.delayMs !== undefined) environment.AZIMUTH_CUT_DELAY_MS = `${settings.delayMs}`;
  if (settings.failAt !== undefined) environment.AZIMUTH_CUT_FAIL_AT = `${settings.failAt}`;
  if (settings.full !== undefined) environment.AZIMUTH_CUT_FULL = settings.full;
  return environment;
}
