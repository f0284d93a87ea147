// Queue: the outbox as `azimuth status` shows it, by priority and by what became of messages.
// Neighbours: `status` makes this part of its own; `tally` counts, `outbox` holds.
// Invariant: camelCase keys; a priority that never had a message is not shown.

import { PRIORITIES } from "../kit/key.ts";
import type { Outbox } from "./outbox.ts";
import { DROPPED, Fate, REFUSED } from "./tally.ts";

/** Counters of one priority; `queued`: taken over and not acknowledged. */
export type PriorityStatus = { readonly priority: number; readonly queued: number } & {
  readonly [fate in (typeof NAMES)[Fate]]: number;
};

/** The queue of `status --json`. */
export interface QueueStatus {
  /** Not sent on this connection. */
  readonly waiting: number;
  readonly inFlight: number;
  readonly bytes: number;
  readonly accepted: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly dropped: number;
  readonly redelivered: number;
  /** Why the store does not take messages, null while it does. */
  readonly trouble: string | null;
  readonly priorities: readonly PriorityStatus[];
}

const NAMES = {
  [Fate.ACCEPTED]: "accepted",
  [Fate.ACKNOWLEDGED]: "acknowledged",
  [Fate.REFUSED_FULL]: "refusedFull",
  [Fate.DROPPED_NEW]: "droppedNew",
  [Fate.REFUSED_LONG]: "refusedLong",
  [Fate.REFUSED_STORE]: "refusedStore",
  [Fate.EVICTED]: "evicted",
  [Fate.EXPIRED]: "expired",
  [Fate.DAMAGED]: "damaged",
  [Fate.UNCONFIRMED]: "unconfirmed",
  [Fate.OUTGROWN]: "outgrown",
} as const;
const WORDS: Readonly<Record<number, string>> = {
  [Fate.REFUSED_FULL]: "refused as the queue was full",
  [Fate.DROPPED_NEW]: "dropped at once as the queue was full",
  [Fate.REFUSED_LONG]: "refused as too long",
  [Fate.REFUSED_STORE]: "refused by the store",
  [Fate.EVICTED]: "dropped to make room",
  [Fate.EXPIRED]: "expired",
  [Fate.DAMAGED]: "damaged in the store",
  [Fate.UNCONFIRMED]: "given up in a new session",
  [Fate.OUTGROWN]: "too long under the new device id",
};

/** The queue as it is now. */
export function queueOf(outbox: Outbox): QueueStatus {
  const { waiting, bytes, tally, window, journal } = outbox;
  const { inFlight, redelivered } = window;
  return {
    waiting,
    inFlight,
    bytes,
    accepted: tally.sum(Fate.ACCEPTED),
    acknowledged: tally.sum(Fate.ACKNOWLEDGED),
    refused: tally.sum(...REFUSED),
    dropped: tally.sum(...DROPPED),
    redelivered,
    trouble: journal.trouble || null,
    priorities: prioritiesOf(outbox),
  };
}

/** The same for a person: one line, and more where something is not as it should be. */
export function queueRows(outbox: Outbox): string[] {
  const { waiting, inFlight, acknowledged, refused, dropped, trouble } = queueOf(outbox);
  const numbers = `${waiting} waiting, ${inFlight} in flight, ${acknowledged} acknowledged`;
  const rows = [`queue      ${numbers}, ${refused} refused, ${dropped} dropped`];
  const queued = prioritiesOf(outbox).filter((each) => each.queued > 0);
  if (queued.length > 1) {
    const words = queued.map(({ priority, queued: count }) => `${count} of priority ${priority}`);
    rows.push(`           ${words.join(", ")}`);
  }
  for (const fate of [...REFUSED, ...DROPPED]) {
    const count = outbox.tally.sum(fate);
    if (count > 0) rows.push(`           ${count} ${WORDS[fate]}`);
  }
  if (trouble !== null) rows.push(`store      ${trouble}`);
  return rows;
}

function prioritiesOf(outbox: Outbox): PriorityStatus[] {
  const found: PriorityStatus[] = [];
  for (let priority = 0; priority < PRIORITIES; priority++) {
    const counts = Object.entries(NAMES).map(([fate, name]) => {
      return [name, outbox.tally.of(priority, Number(fate))] as const;
    });
    const queued = outbox.countOf(priority);
    if (queued === 0 && counts.every(([, count]) => count === 0)) continue;
    const fates = Object.fromEntries(counts) as { [fate in (typeof NAMES)[Fate]]: number };
    found.push({ priority, queued, ...fates });
  }
  return found;
}
