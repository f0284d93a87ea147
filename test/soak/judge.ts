// Judge: opens what a power cut left with the production store, and holds it to its promises.
// Neighbours: `disk` makes what is left; `letter` knows every message; `cut` walks the record.
// Invariant: one line for the first broken promise, "" when all are kept.

import { Database } from "bun:sqlite";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Message } from "../../src/core/effects.ts";
import { Depot } from "../port/depot.ts";
import { letterOf, MARK_ACCEPTED, MARK_BOOT, MARK_RELEASED, MARK_TEXT } from "./letter.ts";

const WALL_S = 1_790_010_000;

/** What was promised up to here. */
export class Promises {
  /** Accepted and not released. */
  readonly owed = new Set<number>();
  accepted = 0;
  boot = 0;
  text = 0;
  private readonly early = new Set<number>();

  take(kind: number, value: number): void {
    if (kind === MARK_BOOT) this.boot = value;
    if (kind === MARK_TEXT) this.text = value;
    if (kind === MARK_RELEASED) {
      this.owed.delete(value);
      this.early.add(value);
    }
    if (kind !== MARK_ACCEPTED) return;
    // Numbers begin afresh far up at each opening.
    const isNewBoot = value - this.accepted > 1_000_000;
    const first = isNewBoot ? value - (value % 2 ** 24) + 1 : this.accepted + 1;
    for (let each = first; each <= value; each++) if (!this.early.has(each)) this.owed.add(each);
    this.accepted = value;
  }
}

/** Writes the files to a folder, opens the store there, compares. */
export function judge(
  folder: string,
  files: ReadonlyMap<string, Uint8Array>,
  promises: Promises,
  seed: number,
): string {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of files) writeFileSync(join(folder, name), content);
  const path = join(folder, "queue.db");
  const depot = new Depot(path, { wallS: WALL_S });
  const problem = compare(depot, promises, seed);
  depot.journal.close();
  return problem || checkIntegrity(path);
}

function compare(depot: Depot, { owed, accepted, boot, text }: Promises, seed: number): string {
  if (depot.lines.length > 0) return `said: ${depot.lines.join("; ")}`;
  if (depot.store.boot <= boot) return `boot ${depot.store.boot} again, after ${boot}`;
  if (Number(depot.store.get("rung")) < text) return `text ${text} lost`;
  const { ledger } = depot.journal;
  if (ledger.last < accepted) return `numbers begin at ${ledger.last}, accepted ${accepted}`;
  const found = new Set<number>();
  for (const message of depot.all()) {
    const difference = differenceOf(message, letterOf(seed, message.sequence));
    if (difference !== "") return `message ${message.sequence} has another ${difference}`;
    found.add(message.sequence);
  }
  const total = ledger.counts.reduce((sum, count) => sum + count, 0);
  if (ledger.damaged > 0) return `${ledger.damaged} damaged`;
  if (total !== found.size) return `counted ${total}, found ${found.size}`;
  const lost = [...owed].filter((sequence) => !found.has(sequence));
  return lost.length === 0 ? "" : `${lost.length} of ${owed.size} lost, first ${lost[0]}`;
}

function differenceOf(one: Message, other: Message): string {
  if (Buffer.compare(one.body, other.body) !== 0) return "body";
  const names = ["priority", "bag", "acceptedS", "expiresS"] as const;
  return names.find((name) => one[name] !== other[name]) ?? "";
}

function checkIntegrity(path: string): string {
  const database = new Database(path, { readonly: true });
  const rows = database.query("PRAGMA integrity_check").values();
  database.close();
  const words = rows.flat().join("; ");
  return words === "ok" ? "" : `integrity: ${words}`;
}
