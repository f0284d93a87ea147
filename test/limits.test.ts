// Limits, tested: the relations hold, and the figures that the outside relies on are what they are.
// Neighbours: `src/limits.ts`, `src/README.md`.
// Invariant: relations are computed here from the figures again, not taken from the assertion.

import { expect, test } from "bun:test";
import * as limits from "../src/limits.ts";

test("the assertion at start passes", () => {
  expect(() => limits.assertLimits()).not.toThrow();
});

test("a dead link with something in flight is noticed within 30 s, by whichever deadline", () => {
  expect(limits.SILENCE_MS + limits.PINGRESP_MS).toBeLessThan(30_000);
  expect(limits.PUBACK_MS).toBeLessThanOrEqual(30_000);
  expect(limits.SUBACK_MS).toBeLessThanOrEqual(30_000);
  expect(limits.TWIN_ANSWER_MS).toBeLessThanOrEqual(30_000);
});

test("the latest renewal leaves time to sign, to wait for acknowledgements and to connect", () => {
  const leftMs = (limits.TOKEN_S - limits.RENEW_S * (1 + limits.RENEW_JITTER)) * 1000;
  const quiesceMs = limits.QUIESCE_S_DEFAULT * 1000;
  const connectMs = limits.DIAL_MS + limits.TLS_MS + limits.CONNACK_MS;
  const needMs = limits.SIGN_MS + quiesceMs + limits.CLOSE_MS + connectMs;
  expect(leftMs).toBeGreaterThan(needMs + limits.CLOCK_SKEW_S_MAX * 1000);
});

test("the hub's own bounds are kept", () => {
  // azure-docs: keep-alive at most 29.45 min / 1.5; 256 KB a message; 128 KB a method call.
  expect(limits.KEEP_ALIVE_S_MAX).toBeLessThanOrEqual((29.45 * 60) / 1.5);
  expect(limits.MESSAGE_BYTES_MAX).toBe(262_144 - 4);
  expect(limits.PACKET_BYTES_MAX).toBeGreaterThan(128 * 1024 + 65_535);
});

test("defaults lie within their ranges", () => {
  expect(limits.KEEP_ALIVE_S_DEFAULT).toBeGreaterThanOrEqual(limits.KEEP_ALIVE_S_MIN);
  expect(limits.KEEP_ALIVE_S_DEFAULT).toBeLessThanOrEqual(limits.KEEP_ALIVE_S_MAX);
  expect(limits.IN_FLIGHT_DEFAULT).toBeLessThanOrEqual(limits.IN_FLIGHT_MAX);
  expect(limits.TELEMETRY_S_DEFAULT).toBeLessThanOrEqual(limits.TELEMETRY_S_MAX);
});
