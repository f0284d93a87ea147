// Output of the commands that end: text to a terminal, a pipe or a file, whole before the exit.
// Neighbours: main says answers and refusals with it; the log of the agent has its own way.
// Invariant: nothing is thrown; a reader that has gone away is no failure, all else is one line.

import { writeSync } from "node:fs";

/** File descriptors of standard output and standard error. */
export const STDOUT = 1;
export const STDERR = 2;

const FULL_WAIT_MS = 5;

/** Writes all of `text` as UTF-8, waiting for a slow reader; "" or one line that says why not. */
export function put(descriptor: number, text: string): string {
  const bytes = Buffer.from(text);
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(descriptor, bytes, written, bytes.length - written);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      if (code === "EPIPE") return "";
      if (code !== "EAGAIN") return `cannot write the output: ${meaning(code)}`;
      // Another owner of the pipe has set it not to wait.
      Bun.sleepSync(FULL_WAIT_MS);
    }
  }
  return "";
}

function meaning(code: string): string {
  return code === "ENOSPC" ? "no space left" : code;
}
