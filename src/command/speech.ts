// Speech: what a command says to whoever gave it, and how it ends.
// Neighbours: the commands beside; `port/output` writes.
// Invariant: a failure ends the process with its reason on standard error and a code other than 0.

import { put, STDERR, STDOUT } from "../port/output.ts";

/** Ends the process with these lines on standard error; code 1: refused or failed, 2: usage. */
export function fail(lines: readonly string[], code: number): never {
  put(STDERR, `${lines.join("\n")}\n`);
  process.exit(code);
}

/** One answer on standard output; one that nobody can read is a failure. */
export function say(text: string): void {
  const problem = put(STDOUT, `${text}\n`);
  if (problem !== "") fail([`azimuth: ${problem}`], 1);
}

/** A word beside the answer, on standard error. */
export function warn(text: string): void {
  put(STDERR, `${text}\n`);
}
