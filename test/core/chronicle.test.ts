// Chronicle, tested on a rig: what a script and a person read of schedule and recovery.
// Neighbours: `src/core/chronicle.ts`; `climb.test` has the climbs themselves.
// Invariant: key names and rows are written out here, for scripts and people rely on them.

import { describe, expect, test } from "bun:test";
import { Cause } from "../../src/core/effects.ts";
import { statusOf, statusText } from "../../src/core/status.ts";
import { connack, Rig, SIGNATURE, settings } from "../rig.ts";

const rowsOf = (rig: Rig, word: string) =>
  statusText(rig.turn.agent)
    .split("\n")
    .filter((row) => row.startsWith(word));

describe("the schedule", () => {
  test("is nothing where there is none", () => {
    const rig = new Rig();
    rig.turn.start();
    expect(statusOf(rig.turn.agent).schedule).toBeNull();
    expect(rowsOf(rig, "schedule")).toEqual([]);
  });

  test("before, in and after its time", () => {
    const rig = new Rig(settings({ schedule: { isEnabled: true } }));
    rig.nextS = (wallS) => wallS + 100;
    rig.turn.start();
    expect(statusOf(rig.turn.agent).schedule).toEqual({
      state: "await_connect_time",
      nextConnection: "2023-11-14T22:15:00Z",
    });
    expect(rowsOf(rig, "schedule")).toEqual([
      "schedule   await_connect_time, next connection 2023-11-14T22:15:00Z",
    ]);
    rig.pass(100_000);
    rig.turn.onSigned(SIGNATURE);
    rig.secure();
    rig.turn.onData(connack());
    expect(statusOf(rig.turn.agent).schedule).toEqual({
      state: "await_quiet",
      nextConnection: null,
    });
    expect(rowsOf(rig, "schedule")).toEqual(["schedule   await_quiet"]);
  });

  test("that never comes again", () => {
    const rig = new Rig(settings({ schedule: { isEnabled: true } }));
    rig.turn.start();
    expect(statusOf(rig.turn.agent).schedule!.nextConnection).toBeNull();
  });
});

describe("the recovery", () => {
  const PER_DAY = [9, 0, 0, 0, 0];

  /** After so many rungs, with a last attempt that failed. */
  function climbed(count: number): Rig {
    const rig = new Rig(settings({ recovery: { failuresMax: 1, perDay: PER_DAY } }));
    rig.turn.start();
    rig.turn.onSigned(SIGNATURE);
    rig.close(Cause.REFUSED);
    for (let attempt = 0; statusOf(rig.turn.agent).recovery.steps.length < count; attempt++) {
      if (attempt > 500) throw new Error("no climb");
      rig.redial();
      rig.close(Cause.REFUSED);
    }
    return rig;
  }

  test("one step, with its cause", () => {
    const { recovery } = statusOf(climbed(1).turn.agent);
    expect(recovery.failures).toBe(0);
    expect(recovery.steps).toEqual([
      {
        step: "refresh",
        at: expect.stringMatching(/^2023-11-14T22:\d\d:\d\dZ$/),
        cause: "REFUSED",
        text: expect.stringContaining("nothing listens at hub.example:8883"),
        outcome: "done",
      },
    ]);
  });

  test("of many a person is shown the last three, a script all", () => {
    const rig = climbed(5);
    expect(statusOf(rig.turn.agent).recovery.steps).toHaveLength(5);
    const rows = rowsOf(rig, "recovery");
    expect(rows).toHaveLength(3);
    const { at, text } = statusOf(rig.turn.agent).recovery.steps[4]!;
    expect(rows[2]).toBe(`recovery   ${at} refresh, because: ${text} (done)`);
  });
});
