// Leftovers: processes and temporary files that a step has left behind.
// Neighbours: `runner` marks the processes of a step, gives it a folder, and asks here.
// Invariant: a process is known by a mark in its environment, so that one that has left its
// parent and its group is found as well, and nobody else's is touched.

import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

/** A process that is still there. */
export interface Process {
  readonly pid: number;
  /** Its command line. */
  readonly command: string;
}

/** Processes that have `mark` (`NAME=value`) in their environment, but for this one. */
export function markedProcesses(mark: string): Process[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && +name !== process.pid);
  return pids.flatMap((name) => {
    if (!read(name, "environ").split("\0").includes(mark)) return [];
    const command = read(name, "cmdline").replaceAll("\0", " ").trim();
    return [{ pid: Number(name), command }];
  });
}

/** Ends processes at once; one that has ended by itself meanwhile is no error. */
export function endProcesses(processes: readonly Process[]): void {
  for (const { pid } of processes) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It is gone, which is what was wanted.
    }
  }
}

/** Empties a folder and tells what was in it. */
export function emptyFolder(folder: string): string[] {
  const names = readdirSync(folder).sort();
  for (const name of names) rmSync(join(folder, name), { recursive: true, force: true });
  return names;
}

/** A file of another process; "" when it has ended or is not ours to read. */
function read(pid: string, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch {
    return "";
  }
}
