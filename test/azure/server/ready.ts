/**
 * The ready line, and the same facts in a file for clients on this machine. Neighbours:
 * `emulator.ts` claims a folder, `client.ts` reads the file. Invariant: one emulator a folder; the
 * file exists while it runs, mode 0600.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "./persistence.ts";

/** What a script must know to use an emulator; the names are a contract. */
export interface Ready {
  ready: true;
  host: string;
  httpsPort: number;
  mqttPort: number;
  hubName: string;
  idScope: string;
  caFile: string;
  servicePolicy: string;
  /** base64 */
  serviceKey: string;
  dpsPolicy: string;
  /** base64 */
  dpsKey: string;
}

const FILE = "server.json";

function isAlive(pid: unknown): boolean {
  if (typeof pid !== "number" || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The facts of the emulator that runs in a folder, or undefined when none does. */
export function readReady(folder: string): (Ready & { pid: number }) | undefined {
  let found: Ready & { pid: number };
  try {
    found = JSON.parse(readFileSync(join(folder, FILE), "utf8"));
  } catch {
    return undefined;
  }
  return found.pid === process.pid || isAlive(found.pid) ? found : undefined;
}

/** Takes a folder for this process, and notes the facts once they are known. Throws when taken. */
export function claim(folder: string, ready?: Ready): void {
  const other = readReady(folder);
  if (other !== undefined && other.pid !== process.pid) {
    throw new Error(`${folder}: another emulator (pid ${other.pid}) uses this folder`);
  }
  if (ready === undefined) return;
  writeWhole(join(folder, FILE), `${JSON.stringify({ ...ready, pid: process.pid })}\n`);
}

/** Gives a folder back. */
export function release(folder: string): void {
  rmSync(join(folder, FILE), { force: true });
}
