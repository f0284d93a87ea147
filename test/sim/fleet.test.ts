// Tests of the simulator itself: it replays, it finds what is planted, and the tree passes it.
// Neighbours: `fleet`, `plant`; the long run is `main.ts`.
// Invariant: a planted bug that is not found fails the test.

import { describe, expect, test } from "bun:test";
import { type Outcome, run } from "./fleet.ts";
import { type Bug, withBug } from "./plant.ts";

/** Generous: the machines that run this are slow now and then. */
const LIMIT_MS = 60_000;

describe("simulator", () => {
  test(
    "the same seed gives the same run, another seed another",
    () => {
      const first = run(7, 3, 3);
      expect(run(7, 3, 3).hash).toBe(first.hash);
      expect(run(8, 3, 3).hash).not.toBe(first.hash);
    },
    LIMIT_MS,
  );

  test(
    "a day of ten gateways keeps every promise",
    () => {
      const outcome = run(11, 10, 24);
      expect(outcome.ledger.violations).toEqual([]);
      expect(outcome.accepted).toBeGreaterThan(10_000);
      expect(outcome.delivered).toBe(outcome.accepted);
      expect(outcome.connections).toBeGreaterThan(100);
      expect(outcome.duplicates).toBeGreaterThan(0);
      for (const fault of ["power-cut", "disk-full", "disk-fails"]) {
        expect(outcome.ledger.faults.get(fault)).toBeGreaterThan(0);
      }
      const told = [...outcome.ledger.diagnoses.keys()].join();
      expect(told).toContain("not registered: DPS ");
    },
    LIMIT_MS,
  );

  test(
    "a token that is renewed in the last moment is no failure",
    () => expect(run(19, 10, 24).ledger.violations).toEqual([]),
    LIMIT_MS,
  );

  test(
    "two days of TPMs that are wiped, and gateways that come back by themselves",
    () => {
      const { ledger } = run(21, 9, 48);
      expect(ledger.violations).toEqual([]);
      const told = [...ledger.diagnoses.keys()].join();
      expect(told).toContain("there is no device key in the TPM: it was cleared or replaced");
      expect(ledger.faults.get("tpm-wipe")).toBeGreaterThan(0);
    },
    LIMIT_MS,
  );

  const planted: readonly (readonly [Bug, (outcome: Outcome) => void])[] = [
    ["no-dup", ({ ledger }) => expect(ledger.violations.join()).toMatch(/without DUP/)],
    ["forget-in-flight", ({ lost }) => expect(lost).toBeGreaterThan(0)],
    ["stuck", ({ ledger }) => expect(ledger.violations.join()).toMatch(/in Infinity ms.*WAITING/)],
    [
      "null-ignored",
      ({ ledger }) => expect(ledger.violations.join()).toMatch(/true, desired is n/),
    ],
    [
      "sent-early",
      ({ ledger }) => expect(ledger.violations.join()).toMatch(/sent before it was durable/),
    ],
    ["deleted-early", ({ lost }) => expect(lost).toBeGreaterThan(0)],
    ["window-off-by-one", ({ ledger }) => expect(ledger.violations.join()).toMatch(/, window/)],
  ];
  for (const [bug, expectFound] of planted) {
    test(
      `finds the planted bug ${bug}`,
      () => {
        expectFound(withBug(bug, () => run(11, 5, 24)));
      },
      LIMIT_MS,
    );
  }
});
