// Child: one process of the demonstration, its log file, and its end by process id.
// Neighbours: `world` starts local Azure and the agent with it.
// Invariant: `end` is undefined exactly as long as the process lives; no other process is ever
// signalled; a log file is readable by its owner only.

import { closeSync, openSync, readFileSync } from "node:fs";

/** How long a process may take to end when asked before it is ended by force. */
const STOP_MS = 4_000;

/** What to start. */
export interface Start {
  /** For people: `agent`, `local Azure`. */
  readonly name: string;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly logFile: string;
  readonly onExit: () => void;
}

/** A running process. */
export class Child {
  /** How it ended: `code 1`, `signal SIGKILL`; undefined while it runs. */
  end: string | undefined;
  readonly name: string;
  readonly pid: number;
  /** True from the moment it was asked to end. */
  isStopping = false;
  private readonly process: Bun.Subprocess<"ignore", "pipe", number>;
  private readonly logFile: string;
  private readonly ended = Promise.withResolvers<void>();

  /** Throws when the program cannot be started. */
  constructor(start: Start) {
    this.name = start.name;
    this.logFile = start.logFile;
    const log = openSync(start.logFile, "a", 0o600);
    try {
      this.process = Bun.spawn([...start.command], {
        env: { ...start.environment },
        stdin: "ignore",
        stdout: "pipe",
        stderr: log,
        onExit: ({ signalCode }, code) => {
          this.end = code === null ? `signal ${signalCode}` : `code ${code}`;
          this.ended.resolve();
          start.onExit();
        },
      });
    } finally {
      closeSync(log);
    }
    this.pid = this.process.pid;
  }

  /** The first line that it writes to stdout; "" when it ends without one. */
  async firstLine(): Promise<string> {
    const decoder = new TextDecoder();
    let text = "";
    const reader = this.process.stdout.getReader();
    while (!text.includes("\n")) {
      const { done, value } = await reader.read();
      if (done) break;
      text += decoder.decode(value, { stream: true });
    }
    reader.releaseLock();
    const end = text.indexOf("\n");
    return end < 0 ? "" : text.slice(0, end);
  }

  /** The last `count` lines of its log. */
  tail(count: number): string[] {
    const lines = readFileSync(this.logFile, "utf8").split("\n");
    return lines.filter((line) => line !== "").slice(-count);
  }

  /** Asks it to end, waits for that, and ends it by force when it does not. */
  async stop(patienceMs = STOP_MS): Promise<void> {
    this.isStopping = true;
    if (this.end !== undefined) return;
    this.process.kill("SIGTERM");
    const force = setTimeout(() => this.process.kill("SIGKILL"), patienceMs);
    // `exited` of the process may resolve before its `onExit` was called.
    await this.ended.promise;
    clearTimeout(force);
  }

  /** Ends it by force, without waiting. */
  stopNow(): void {
    this.isStopping = true;
    if (this.end === undefined) this.process.kill("SIGKILL");
  }
}
