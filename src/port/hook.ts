// Hook: runs a program of the gateway's own, such as one that repairs the network.
// Neighbours: the turn asks for it when the recovery ladder does; `command/caretaker` has it.
// Invariant: no shell; one program at a time, which ends within its time with all of its children;
// what it says is bounded.

import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import {
  HOOK_GRACE_MS,
  HOOK_LINE_CHARACTERS_MAX,
  HOOK_LINES_MAX,
  HOOK_MS,
  HOOK_WORDS_MS,
} from "../limits.ts";

/** One run. */
interface Run {
  readonly child: ChildProcess;
  readonly path: string;
  readonly onEnd: (detail: string) => void;
  timer: Timer | undefined;
  isOverdue: boolean;
  lines: number;
}

/** Runs programs, one after the other. */
export class Hook {
  private run: Run | null = null;

  /**
   * @param onLine told of each line that a program says, without its end
   * @param limitMs time that a program has
   */
  constructor(
    private readonly onLine: (line: string) => void,
    private readonly limitMs = HOOK_MS,
    private readonly graceMs = HOOK_GRACE_MS,
  ) {}

  /**
   * Starts a program.
   * @param words its absolute path, and what is handed to it, word by word
   * @param onEnd told once, never from inside the call: "" or one line that says what went wrong
   */
  start(words: readonly string[], onEnd: (detail: string) => void): void {
    const [path = "", ...rest] = words;
    if (this.run !== null) {
      queueMicrotask(() => onEnd(`${path}: ${this.run?.path ?? "another"} still runs`));
      return;
    }
    // A process group of its own, so that its children end with it.
    const child = spawn(path, rest, { stdio: ["ignore", "pipe", "pipe"], detached: true });
    const run: Run = { child, path, onEnd, timer: undefined, isOverdue: false, lines: 0 };
    this.run = run;
    run.timer = setTimeout(() => this.onOverdue(run), this.limitMs);
    this.listen(run, child.stdout!);
    this.listen(run, child.stderr!);
    child.on("error", (error: NodeJS.ErrnoException) => this.end(run, refusal(path, error)));
    child.on("exit", (code, signal) => {
      clearTimeout(run.timer);
      const detail = this.detailOf(run, code, signal);
      // A child that went on in the background may hold the pipes for ever.
      run.timer = setTimeout(() => this.end(run, detail), HOOK_WORDS_MS);
      child.on("close", () => this.end(run, detail));
    });
  }

  /** Ends the program, if one runs; nobody is told. */
  close(): void {
    const { run } = this;
    if (run === null) return;
    this.run = null;
    clearTimeout(run.timer);
    kill(run, "SIGKILL");
  }

  private detailOf({ path, isOverdue }: Run, code: number | null, signal: string | null): string {
    if (isOverdue) return `${path} took more than ${this.limitMs / 1000} s and was ended`;
    if (signal !== null) return `${path} was ended by ${signal}`;
    return code === 0 ? "" : `${path} ended with ${code}`;
  }

  private onOverdue(run: Run): void {
    run.isOverdue = true;
    kill(run, "SIGTERM");
    run.timer = setTimeout(() => kill(run, "SIGKILL"), this.graceMs);
  }

  private end(run: Run, detail: string): void {
    if (this.run !== run) return;
    this.run = null;
    clearTimeout(run.timer);
    if (run.isOverdue) kill(run, "SIGKILL");
    run.child.stdout?.destroy();
    run.child.stderr?.destroy();
    run.onEnd(detail);
  }

  private listen(run: Run, stream: Readable): void {
    let rest = "";
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!.slice(0, HOOK_LINE_CHARACTERS_MAX);
      for (const line of lines) this.say(run, line);
    });
    stream.on("end", () => {
      if (rest !== "") this.say(run, rest);
    });
  }

  private say(run: Run, line: string): void {
    if (this.run !== run) return;
    run.lines++;
    if (run.lines <= HOOK_LINES_MAX) this.onLine(line.slice(0, HOOK_LINE_CHARACTERS_MAX));
    if (run.lines === HOOK_LINES_MAX + 1) this.onLine("and more, which is not logged");
  }
}

/** Sends a signal to the program and all of its children. */
function kill({ child }: Run, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // They are gone.
  }
}

function refusal(path: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ENOENT":
      return `${path}: no such program`;
    case "EACCES":
      return `${path}: may not be run`;
    default:
      return `${path}: not started: ${error.code ?? error.message}`;
  }
}
