// Depot: a journal over the real store in a folder of its own, for the tests and the bench.
// Neighbours: the tests of store, vault and salvage; `test/soak/cut.ts`; `test/bench/store.ts`.
// Invariant: what was accepted and refused is written down in order; nothing is left behind.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Message, Store, StoreEvents, StoreOutcome } from "../../src/core/effects.ts";
import { Journal, JournalState } from "../../src/core/journal.ts";
import { Salvage } from "../../src/port/salvage.ts";
import { SqliteStore } from "../../src/port/store.ts";
import { Vault } from "../../src/port/vault.ts";

const BYTES_MAX = 64 * 1024 * 1024;
const WALL_S = 1_790_000_000;

/** What may differ from the usual. */
export interface DepotOptions {
  readonly bytesMax?: number;
  readonly wallS?: number;
  /** Stands between the journal and the store. */
  readonly wrap?: (store: Store, events: StoreEvents) => Store;
  readonly journalBytesFill?: number;
  readonly onAccepted?: (sequence: number) => void;
}

/** A refusal as the outbox hears it. */
export interface Refusal {
  readonly first: number;
  readonly last: number;
  readonly why: StoreOutcome;
  readonly detail: string;
}

/** A folder that is removed in the end. */
export function temporary(): { readonly folder: string; readonly path: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), "azimuth-store-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  return { folder, path: join(folder, "queue.db"), remove };
}

/** The running store. */
export class Depot implements StoreEvents {
  readonly store: Store;
  readonly journal: Journal;
  readonly lines: string[] = [];
  readonly refused: Refusal[] = [];
  accepted = 0;
  wallS: number;
  private wake: () => void = () => {};

  constructor(
    readonly path: string,
    options: DepotOptions = {},
  ) {
    this.wallS = options.wallS ?? WALL_S;
    const vault = new Vault(path, options.bytesMax ?? BYTES_MAX, new Salvage());
    const store = new SqliteStore(vault, this);
    this.store = options.wrap?.(store, this) ?? store;
    const onAccepted = (sequence: number) => {
      this.accepted = sequence;
      options.onAccepted?.(sequence);
    };
    const onRefused = (first: number, last: number, why: StoreOutcome, detail: string) => {
      this.refused.push({ first, last, why, detail });
    };
    const events = { onAccepted, onRefused, onLine: (line: string) => this.lines.push(line) };
    this.journal = new Journal(this.store, events, options.journalBytesFill);
    this.journal.open(this.nowMs, this.wallS);
  }

  get nowMs(): number {
    return performance.now();
  }

  onStoreSynced(detail: string): void {
    this.journal.onSynced(this.nowMs, detail);
    this.wake();
  }

  append(text: string | Uint8Array, priority = 7, bag = "", expiresS = 0): number {
    const body = typeof text === "string" ? Buffer.from(text) : text;
    return this.journal.append(priority, this.wallS, expiresS, bag, body);
  }

  /** Commits, and waits until nothing is in the air; deadlines come at once. */
  async settle(): Promise<void> {
    const { RESTING, CLOSED, LOST } = JournalState;
    this.journal.commit(this.nowMs);
    while (![RESTING, CLOSED, LOST].includes(this.journal.state)) {
      const { deadlineMs } = this.journal;
      if (deadlineMs === Number.POSITIVE_INFINITY) {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
        this.wake = () => {};
      } else {
        await Bun.sleep(1);
        this.journal.onDeadline(Math.max(deadlineMs, this.nowMs), this.wallS);
        if (this.journal.state === JournalState.BLOCKED) return;
      }
    }
  }

  /** Everything accepted, in order. */
  all(): Message[] {
    return Array.from({ length: 10 }, (_, priority) => {
      return this.journal.ledger.load(priority, 0, 1_000_000);
    }).flat();
  }

  texts(): string[] {
    return this.all().map(({ body }) => Buffer.from(body).toString());
  }
}
