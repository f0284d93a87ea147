// Tests of what a reload says: what applies at once and what waits.
// Neighbours: `rig.ts` makes valid settings; `main.test.ts` sees the same at the control socket.
// Invariant: a change that waits is always named.

import { expect, test } from "bun:test";
import { joined, outcomeOf } from "../../src/core/settings.ts";
import { lamp, settings } from "../rig.ts";

test("what changes at once is just applied", () => {
  const after = settings({ telemetry: { intervalS: 7 }, lamps: [lamp("LED2")] });
  expect(outcomeOf(settings({}), after)).toBe("settings applied");
});

test("what waits is named", () => {
  const key = settings({ endpoint: { key: "AAAA" } });
  expect(outcomeOf(settings({}), key)).toBe(
    "settings applied, but [endpoint] must wait for a restart",
  );
  const both = settings({ endpoint: { mqttPort: 1 }, agent: { controlSocket: "/x" } });
  expect(outcomeOf(settings({}), both)).toBe(
    "settings applied, but [endpoint] and [agent] control-socket must wait for a restart; " +
      "until then reach the agent with --socket /nowhere/control.sock",
  );
  const memory = settings({ data: { isDurable: false } });
  expect(outcomeOf(settings({}), memory)).toBe(
    "settings applied, but [data] store.place must wait for a restart",
  );
  expect(joined(settings({}), memory).data.isDurable).toBe(true);
  const { bounds } = settings({}).data;
  const larger = settings({ data: { bounds: { ...bounds, bytesMax: 1e9, countMax: 5 } } });
  expect(outcomeOf(settings({}), larger)).toBe(
    "settings applied, but [data] store.size must wait for a restart",
  );
  expect(joined(settings({}), larger).data.bounds).toEqual({ ...bounds, countMax: 5 });
  const metrics = settings({ metrics: { file: "/m", port: 9, intervalS: 1 } });
  expect(outcomeOf(settings({}), metrics)).toBe(
    "settings applied, but [metrics] file and [metrics] port must wait for a restart",
  );
  expect(joined(settings({}), metrics).metrics).toEqual({ file: "", port: 0, intervalS: 1 });
  const watchdog = { ...settings({}), watchdog: { device: "/dev/watchdog", timeoutS: 9 } };
  expect(outcomeOf(settings({}), watchdog)).toBe(
    "settings applied, but [watchdog] must wait for a restart",
  );
  expect(joined(settings({}), watchdog).watchdog.device).toBe("");
});
