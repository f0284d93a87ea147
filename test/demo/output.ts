// Output: bytes to stdout and stderr, whole and in order.
// Neighbours: `main` prints lines with it, `terminal` draws.
// Invariant: when a call returns, what it was given has left this process, so that nothing is lost
// at exit and nothing of it comes after the terminal was restored.

import { writeSync } from "node:fs";

const STDOUT = 1;
const STDERR = 2;
/** A reader that takes nothing for so long is given up. */
const STALL_MS = 5_000;
const RETRY_MS = 5;

/** Writes to stdout; a reader that has gone ends the process with 1. */
export function print(text: string): void {
  if (!write(STDOUT, text)) process.exit(1);
}

/** Writes to stderr; a reader that has gone is passed over. */
export function printError(text: string): void {
  write(STDERR, text);
}

/** Writes to stdout; false when it is gone or stalled. */
export function tryPrint(text: string): boolean {
  return write(STDOUT, text);
}

function write(descriptor: number, text: string): boolean {
  const bytes = Buffer.from(text);
  let stalledMs = 0;
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(descriptor, bytes, at);
    } catch (error) {
      // Others may have made the terminal or pipe non-blocking: it takes more a moment later.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN" || stalledMs >= STALL_MS) return false;
      stalledMs += RETRY_MS;
      Bun.sleepSync(RETRY_MS);
    }
  }
  return true;
}
