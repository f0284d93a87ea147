// Memo: a short text that outlives the process, in a file of its own.
// Neighbours: `main` reads it before the machines are made; `identity` has it written.
// Invariant: after a cut at any moment the file holds the old text or the new one, whole; the loop
// never waits for the disk once it runs; the file is for its owner alone.

import fs from "node:fs";
import { dirname } from "node:path";
import type { Memo, MemoEvents } from "../core/effects.ts";

const BYTES_MAX = 16 * 1024;

/** One text in one file. */
export class FileMemo implements Memo {
  readonly text: string;
  /** Why the file could not be read, in one line; "" when it could, or when there is none. */
  readonly problem: string;
  private isBusy = false;
  private waiting: string | undefined;

  /** Reads the file at `path`, if there is one, at once. */
  constructor(
    private readonly events: MemoEvents,
    private readonly path: string,
  ) {
    const read = readText(path);
    this.text = "text" in read ? read.text : "";
    this.problem = "text" in read ? "" : `${path}: ${read.problem}`;
  }

  /** Replaces the text; of several in a row the last one counts, and each is answered. */
  save(text: string): void {
    if (this.isBusy) {
      if (this.waiting !== undefined) queueMicrotask(() => this.events.onSaved(""));
      this.waiting = text;
      return;
    }
    this.isBusy = true;
    void this.write(text);
  }

  private async write(text: string): Promise<void> {
    const problem = await replace(this.path, text);
    this.isBusy = false;
    const { waiting } = this;
    this.waiting = undefined;
    if (waiting !== undefined) this.save(waiting);
    this.events.onSaved(problem);
  }
}

function readText(path: string): { text: string } | { problem: string } {
  try {
    const { size } = fs.statSync(path);
    if (size > BYTES_MAX) return { problem: `longer than ${BYTES_MAX / 1024} KB; not used` };
    return { text: fs.readFileSync(path, "utf8") };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT" ? { text: "" } : { problem: `cannot be read: ${reason(error)}` };
  }
}

/** Writes beside, syncs, renames over, and syncs the folder; "" or one line. */
async function replace(path: string, text: string): Promise<string> {
  const folder = dirname(path);
  const beside = `${path}.new`;
  try {
    await fs.promises.mkdir(folder, { recursive: true, mode: 0o700 });
    const file = await fs.promises.open(beside, "w", 0o600);
    try {
      await file.chmod(0o600);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await fs.promises.rename(beside, path);
    const entry = await fs.promises.open(folder, "r");
    try {
      await entry.sync();
    } finally {
      await entry.close();
    }
    return "";
  } catch (error) {
    return `${path}: ${reason(error)}`;
  }
}

function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case "EACCES":
    case "EPERM":
      return `${code}: not allowed; the agent must be able to read and write there`;
    case "ENOTDIR":
    case "EEXIST":
      return `${code}: state-dir names a file; allowed: a folder`;
    case "EISDIR":
      return `${code}: a folder is in its place; remove it`;
    case "ENOSPC":
    case "EDQUOT":
      return `${code}: the disk is full`;
    case "EROFS":
      return `${code}: the file system is read-only; set state-dir to one that is not`;
    default:
      return code ?? message;
  }
}
