// Child: processes that a benchmark starts: measured ones that end, servers that go on.
// Neighbours: all benchmarks; the measured programs are in client, peers and native.
// Invariant: no child outlives the benchmark; a child that fails says so in one error with the
// end of what it wrote.

import type { Subprocess } from "bun";
import { BARE, type Environment, TREE } from "./place.ts";

const READY_MS = 20_000;
const RUN_MS = 300_000;
const STOP_MS = 5_000;
const TAIL_CHARS = 2_000;

const children = new Set<Subprocess>();

/** Sees to it that a child ends with the benchmark, whatever happens. */
export function adopt<T extends Subprocess>(child: T): T {
  children.add(child);
  child.exited.then(() => children.delete(child));
  return child;
}

process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

function spawn(command: readonly string[], environment: Environment) {
  return adopt(
    Bun.spawn([...command], {
      cwd: TREE,
      env: environment,
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    }),
  );
}

function failure(command: readonly string[], why: string, output: string): Error {
  const name = command.slice(0, 2).join(" ");
  return new Error(`${name}: ${why}\n${output.slice(-TAIL_CHARS)}`.trimEnd());
}

/** Runs a process to its end; its last line on stdout is JSON. */
export async function measured<T>(
  command: readonly string[],
  environment: Environment = BARE,
): Promise<T> {
  const child = spawn(command, environment);
  const timer = setTimeout(() => child.kill("SIGKILL"), RUN_MS);
  const [output, errors, code] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  clearTimeout(timer);
  if (code !== 0) throw failure(command, `exit code ${code}`, output + errors);
  const line = output.trim().split("\n").pop() ?? "";
  try {
    return JSON.parse(line) as T;
  } catch {
    throw failure(command, "printed no JSON", output + errors);
  }
}

/** A process that goes on until it is stopped; its first line on stdout is JSON. */
export class Service<T> {
  private constructor(
    private readonly child: ReturnType<typeof spawn>,
    /** What it said when it was ready. */
    readonly ready: T,
    private readonly lines: AsyncIterator<string>,
    private readonly errors: () => string,
  ) {}

  static async start<T>(command: readonly string[], environment = BARE): Promise<Service<T>> {
    const child = spawn(command, environment);
    let tail = "";
    collect(child.stderr, (text) => {
      tail = (tail + text).slice(-TAIL_CHARS);
    });
    const lines = linesOf(child.stdout);
    const timer = setTimeout(() => child.kill("SIGKILL"), READY_MS);
    const first = await lines.next();
    clearTimeout(timer);
    if (first.done) {
      await child.exited;
      throw failure(command, "ended before it was ready", tail);
    }
    return new Service<T>(child, JSON.parse(first.value) as T, lines, () => tail);
  }

  get pid(): number {
    return this.child.pid;
  }

  /** A line for its stdin. */
  tell(line: string): void {
    this.child.stdin.write(`${line}\n`);
    this.child.stdin.flush();
  }

  /** Its next line on stdout, which is JSON too. */
  async next<U>(): Promise<U> {
    const line = await this.lines.next();
    if (!line.done) return JSON.parse(line.value) as U;
    const code = await this.child.exited;
    throw new Error(`a server ended with exit code ${code}\n${this.errors()}`.trimEnd());
  }

  stop(): Promise<void> {
    return stopped(this.child);
  }
}

/** Ends a child, by force when it does not listen. */
export async function stopped(child: Subprocess): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await child.exited;
  clearTimeout(timer);
}

async function collect(stream: ReadableStream<Uint8Array>, take: (text: string) => void) {
  const decoder = new TextDecoder();
  for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
}
