// Calm: a world around the keeper's machines in which nothing is ever done.
// Neighbours: `rig` looks at what is asked of it; the simulator and others only need one.
// Invariant: no answer comes from it, and no schedule ever has a next connection.

import type { Upkeep } from "../src/core/effects.ts";

export const CALM: Upkeep = {
  machine: "m1",
  nextS: () => Number.POSITIVE_INFINITY,
  feed: () => {},
  refresh: () => {},
  hook: () => {},
  reboot: () => {},
  expose: () => {},
};
