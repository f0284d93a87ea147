// Tests that the codec allocates nothing: test/codec/cost.ts in a process without a collector.
// Neighbours: cost.ts measures.
// Invariant: only bytes are held to a bound; times depend on the machine.

import { expect, test } from "bun:test";
import type { Cost } from "./cost.ts";

/**
 * Bytes a packet: heapUsed moves in blocks of 16 KiB, compiling costs some once, and the front
 * of a larger array needs a view (65 bytes) when it comes last into a full buffer.
 */
const HEAP_BYTES_MAX = 1;

test("writing and reading PUBLISH, PUBACK, pings and frames takes no heap", () => {
  const { stdout, stderr, exitCode } = Bun.spawnSync({
    cmd: [process.execPath, `${import.meta.dir}/cost.ts`, "--json"],
    env: { ...process.env, BUN_JSC_useGC: "0" },
  });
  expect(stderr.toString()).toBe("");
  expect(exitCode).toBe(0);
  const costs = JSON.parse(stdout.toString()) as Cost[];
  expect(costs).toHaveLength(13);
  const dear = costs.filter(({ heapBytes }) => !(heapBytes < HEAP_BYTES_MAX));
  expect(dear.map(({ name, heapBytes }) => `${name}: ${heapBytes}`)).toEqual([]);
}, 60_000);
