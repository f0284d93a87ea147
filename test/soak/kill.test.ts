// Kill, tested: a short campaign; the long one is `make soak ARGS=kill`.
// Neighbours: `kill.ts`, which starts and kills `gunner.ts` at local Azure.
// Invariant: the figures are those of the hub and of the gunner's own log.

import { expect, test } from "bun:test";
import { campaign } from "./kill.ts";

/** Generous: the machines that run this are slow now and then. */
const LIMIT_MS = 120_000;

test(
  "twenty times killed under load, with links cut: all that was accepted arrives, in order",
  async () => {
    const outcome = await campaign(20, 7);
    expect(outcome).toMatchObject({ kills: 20, lost: [], disordered: [], beyondWindow: 0 });
    expect(outcome.accepted).toBeGreaterThan(100);
    expect(outcome.drops).toBeGreaterThan(0);
  },
  LIMIT_MS,
);
