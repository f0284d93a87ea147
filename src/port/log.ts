// Log lines to standard error: one line, one write.
// Neighbours: the turn drains LOG effects here; init, systemd or a terminal reads them.
// Invariant: a log line never stops the agent: when nobody takes it, it is dropped and counted,
// and the next line that gets through is preceded by the count.

import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { Level, type Log } from "../core/effects.ts";

/** A pipe takes up to PIPE_BUF bytes whole or not at all (POSIX write), so no line is torn. */
const LINE_BYTES_MAX = 4096;
const STDERR = 2;

const NAMES = new Map([
  [Level.ERROR, "error"],
  [Level.WARNING, "warning"],
  [Level.NOTICE, "notice"],
  [Level.INFO, "info"],
  [Level.DEBUG, "debug"],
]);

/** How and where to log; all have defaults. */
export interface LogOptions {
  /** The quietest level that is written; default INFO. */
  readonly level?: Level;
  /** `<5>text` for the journal instead of time and name; default: whether stderr is the journal. */
  readonly isJournal?: boolean;
  /** File descriptor; default 2. */
  readonly descriptor?: number;
}

/** Writes log lines to standard error. */
export class StderrLog implements Log {
  private level: Level;
  private readonly isJournal: boolean;
  private readonly descriptor: number;
  private readonly line = Buffer.alloc(LINE_BYTES_MAX);
  /** Lines dropped since the last one that got through. */
  private dropped = 0;

  constructor(options: LogOptions = {}) {
    const given = options.descriptor ?? STDERR;
    this.level = options.level ?? Level.INFO;
    this.isJournal = options.isJournal ?? isJournal(given);
    this.descriptor = unblocked(given);
  }

  /** Lines louder than or as loud as `level` are written from now on. */
  setLevel(level: Level): void {
    this.level = level;
  }

  /** Writes one line; control characters become `?`, what exceeds 4 KB is cut. */
  write(level: Level, text: string): void {
    if (level > this.level) return;
    if (this.dropped > 0 && !this.put(Level.WARNING, `${this.dropped} log lines dropped`)) {
      this.dropped += 1;
      return;
    }
    this.dropped = this.put(level, text) ? 0 : 1;
  }

  private put(level: Level, text: string): boolean {
    const plain = text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, "?");
    const head = this.isJournal
      ? `<${level}>`
      : `${new Date().toISOString()} ${NAMES.get(level) ?? level} `;
    const bytes = this.line.write(head + plain, 0, LINE_BYTES_MAX - 1, "utf8");
    this.line[bytes] = 0x0a;
    try {
      writeSync(this.descriptor, this.line, 0, bytes + 1);
      return true;
    } catch {
      return false;
    }
  }
}

/** systemd.exec(5): JOURNAL_STREAM names device and inode of the stream to the journal. */
function isJournal(descriptor: number): boolean {
  const stream = process.env.JOURNAL_STREAM;
  if (!stream) return false;
  try {
    const { dev, ino } = fstatSync(descriptor);
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/**
 * A descriptor on the same pipe or terminal that does not wait for a reader. Opened anew, because
 * the given one is shared with the shell that started us and its flags are not ours to change.
 */
function unblocked(descriptor: number): number {
  try {
    const status = fstatSync(descriptor);
    if (!status.isFIFO() && !status.isCharacterDevice()) return descriptor;
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK;
    return openSync(`/proc/self/fd/${descriptor}`, flags | constants.O_NOCTTY);
  } catch {
    return descriptor;
  }
}
