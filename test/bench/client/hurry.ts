// Hurry: telemetry ten times a second, which the settings count in whole seconds:
//   bun --preload test/bench/client/hurry.ts src/main.ts run …
// Neighbours: `../latency` starts the agent with it; `src/core/telemetry` is what hurries.
// Invariant: nothing else of the agent is changed.

import { Telemetry } from "../../../src/core/telemetry.ts";

const INTERVAL_MS = 100;

Object.defineProperty(Telemetry.prototype, "intervalMs", { get: () => INTERVAL_MS });
