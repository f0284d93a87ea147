// Vitals: what the kernel says about another process.
// Neighbours: `idle` and `reconnect` look at the agent with it; Linux only (proc(5)).
// Invariant: all threads count; memory by walking the pages, for the quick counters are kept for
// each processor and may be some pages behind.

import { readdirSync, readFileSync } from "node:fs";

const BYTES_PER_KB = 1024;

/** Pages in memory, bytes. */
export interface Memory {
  /** All resident pages; pages of files, the Bun binary above all, included. */
  readonly residentBytes: number;
  /** Those of no file. */
  readonly anonymousBytes: number;
}

/** What one thread did since it began. */
interface Thread {
  readonly cpuNs: number;
  /** Voluntary context switches: how often it went to sleep, so how often it woke up. */
  readonly sleeps: number;
}

/** Threads of a process by their number. */
export type Threads = ReadonlyMap<string, Thread>;

export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return { residentBytes: kilobytes(text, "Rss"), anonymousBytes: kilobytes(text, "Anonymous") };
}

export function threadsOf(pid: number): Threads {
  const threads = new Map<string, Thread>();
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const folder = `/proc/${pid}/task/${task}`;
    // The first of three figures: nanoseconds on a processor.
    const cpuNs = Number(readFileSync(`${folder}/schedstat`, "utf8").split(" ")[0]);
    const status = readFileSync(`${folder}/status`, "utf8");
    const sleeps = Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)![1]);
    threads.set(task, { cpuNs, sleeps });
  }
  return threads;
}

/** What the threads that are there now did since `before`; those that ended took it along. */
export function activitySince(before: Threads, now: Threads): Thread {
  let cpuNs = 0;
  let sleeps = 0;
  for (const [task, thread] of now) {
    cpuNs += thread.cpuNs - (before.get(task)?.cpuNs ?? 0);
    sleeps += thread.sleeps - (before.get(task)?.sleeps ?? 0);
  }
  return { cpuNs, sleeps };
}

function kilobytes(text: string, name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text);
  if (found === null) throw new Error(`no ${name} in smaps_rollup`);
  return Number(found[1]) * BYTES_PER_KB;
}
