/**
 * What a restarted emulator must know again: keys of policies, registry, twins. Neighbours:
 * `runner.ts` says when something changed. Invariant: the file is whole or the one before it
 * (written beside, synced, renamed), mode 0600.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import type { Snapshot } from "../model/hub.ts";

/** Content of the file. */
export interface Kept {
  hubName: string;
  /** Policy name to key, base64. */
  keys: Record<string, string>;
  dpsKey: string;
  hub: Snapshot;
}

/** Writes text to a file of mode 0600 so that a crash leaves the old or the new content. */
export function writeWhole(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const beside = `${path}.new`;
  const descriptor = openSync(beside, "w", 0o600);
  try {
    writeSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  chmodSync(beside, 0o600);
  renameSync(beside, path);
}

/** What was kept, or undefined at a first start. Throws on a file that is none of ours. */
export function readKept(path: string): Kept | undefined {
  if (!existsSync(path)) return undefined;
  let kept: Kept;
  try {
    kept = JSON.parse(readFileSync(path, "utf8")) as Kept;
  } catch {
    throw new Error(`${path}: not JSON; move the file away to begin anew`);
  }
  if (kept?.hub?.format !== 1 || typeof kept.keys !== "object") {
    throw new Error(`${path}: not the state of an emulator; move the file away to begin anew`);
  }
  return kept;
}
