// Climb, tested on a rig: each rung of the recovery ladder carried out by the turn, over restarts
// of the process and of the machine.
// Neighbours: `src/core/keeper.ts`, `src/turn.ts`; `ladder.test` has the machine by itself.
// Invariant: what one run leaves to the next is on the rig's disk alone.

import { describe, expect, test } from "bun:test";
import { AgentState } from "../../src/core/agent.ts";
import { Cause } from "../../src/core/effects.ts";
import { LOGBOOK } from "../../src/core/keeper.ts";
import type { Settings } from "../../src/core/settings.ts";
import { statusOf, statusText } from "../../src/core/status.ts";
import { connack, Rig, SIGNATURE, settings } from "../rig.ts";
import { Shelf } from "../shelf.ts";
import { assigned, challenged, Enclave, hardware } from "./enclave.ts";

const RECOVERY: Settings["recovery"] = {
  isEnabled: true,
  failuresMax: 3,
  perDay: [1, 0, 1, 1, 1],
  hook: ["/bin/mend", "the network"],
};
const GIVEN = settings({ recovery: RECOVERY });

/** One attempt that finds nobody. */
function miss(rig: Rig): void {
  rig.redial();
  rig.close(Cause.REFUSED);
}

/** Attempts that fail until the world is asked for something of this name. */
function missUntil(rig: Rig, name: string): string[] {
  for (let attempt = 0; attempt < 100; attempt++) {
    rig.redial();
    rig.take();
    rig.close(Cause.REFUSED);
    const calls = rig.take();
    if (calls.some((call) => call.startsWith(name))) return calls;
  }
  throw new Error(`never asked for ${name}`);
}

function started(shelf: Shelf, machine = "m1", given = GIVEN): Rig {
  const rig = new Rig(given, 1, "", shelf, machine);
  rig.turn.start();
  rig.turn.onSigned(SIGNATURE);
  rig.close(Cause.REFUSED);
  return rig;
}

const stepsOf = (rig: Rig) =>
  statusOf(rig.turn.agent).recovery.steps.map(({ step, outcome }) => `${step}: ${outcome}`);

test("rung by rung, over a restart of the process and one of the machine", () => {
  const shelf = new Shelf();
  const rig = started(shelf);
  rig.turn.onWatched(60_000);
  expect(missUntil(rig, "refresh")).toEqual(["refresh"]);
  expect(stepsOf(rig)).toEqual(["refresh: done"]);
  rig.accept("kept");
  expect(missUntil(rig, "exit").at(-1)).toBe("exit 75");
  expect(rig.turn.agent.state).toBe(AgentState.STOPPED);

  const second = started(shelf);
  expect(second.turn.agent.machines.outbox.count).toBe(1);
  expect(stepsOf(second)).toEqual(["refresh: done", "restart: done"]);
  expect(missUntil(second, "hook")).toEqual(["hook /bin/mend the network"]);
  expect(stepsOf(second).at(-1)).toBe("hook: null");
  second.turn.onClimbed("/bin/mend ended with 1");
  expect(stepsOf(second).at(-1)).toBe("hook: /bin/mend ended with 1");
  expect(missUntil(second, "reboot")).toEqual(["reboot"]);

  const third = started(shelf, "m2");
  expect(third.turn.agent.machines.outbox.count).toBe(1);
  expect(stepsOf(third)).toEqual([
    "refresh: done",
    "restart: done",
    "hook: /bin/mend ended with 1",
    "reboot: done",
  ]);
});

test("the cause is on the disk before anything is done, and can be read after", () => {
  const shelf = new Shelf();
  const rig = started(shelf);
  missUntil(rig, "refresh");
  const { text, cause, rung } = JSON.parse(shelf.get(LOGBOOK)).climbs[0];
  expect([cause, rung]).toEqual(["REFUSED", 0]);
  expect(text).toStartWith("refused: nothing listens at hub.example:8883");
  const row = statusText(rig.turn.agent)
    .split("\n")
    .find((line) => line.startsWith("recovery"));
  expect(row).toContain(`refresh, because: ${text.slice(0, 20)}`);
  expect(row).toEndWith("(done)");
});

test("a start that follows a restart says so", () => {
  const shelf = new Shelf();
  const rig = started(shelf);
  missUntil(rig, "exit");
  const second = new Rig(GIVEN, 1, "", shelf);
  second.turn.start();
  expect(second.logs()).toContainEqual(
    expect.stringMatching(/^this start follows restart of the process of .*, because: refused/),
  );
});

test("a machine that does not restart is left to the hardware watchdog after five minutes", () => {
  const rig = started(
    new Shelf(),
    "m1",
    settings({ recovery: { ...RECOVERY, perDay: [0, 0, 0, 0, 1] } }),
  );
  rig.turn.onWatched(60_000);
  missUntil(rig, "reboot");
  rig.turn.onClimbed("/sbin/reboot ended with 1");
  const feeds: string[] = [];
  for (let minute = 0; minute < 8; minute++) {
    rig.pass(60_000);
    const last = rig.take().findLast((call) => call.startsWith("feed"));
    feeds.push(last ?? "");
    if (rig.turn.agent.state === AgentState.LINKING) rig.close(Cause.REFUSED);
  }
  expect(feeds.slice(0, 4)).toEqual(Array(4).fill("feed all"));
  expect(feeds.slice(6)).toEqual(Array(2).fill("feed manager"));
});

describe("nothing is done", () => {
  test("because the hub refused our credentials", () => {
    const rig = new Rig(GIVEN);
    rig.greet();
    for (let attempt = 0; attempt < 100; attempt++) {
      rig.turn.onData(connack(5));
      expect(rig.take()).not.toContain("refresh");
      rig.redial();
      rig.secure();
    }
  });

  test("when its cause cannot be written down", () => {
    const rig = started(
      new Shelf(),
      "m1",
      settings({ recovery: RECOVERY, data: { isDurable: false } }),
    );
    for (let attempt = 0; attempt < 40; attempt++) {
      miss(rig);
      expect(rig.take()).not.toContain("refresh");
    }
    expect(stepsOf(rig)[0]).toBe("refresh: not done: its cause could not be written down");
  });

  test("for a day of running, when the store did not open at the start", () => {
    const shelf = new Shelf();
    shelf.isStuck = true;
    const rig = started(shelf);
    shelf.isStuck = false;
    for (let attempt = 0; attempt < 100; attempt++) {
      miss(rig);
      expect(rig.take()).not.toContain("refresh");
    }
  });

  test("and nothing is said of it where no rung is allowed at all", () => {
    const rig = started(new Shelf(), "m1", settings({}));
    for (let attempt = 0; attempt < 100; attempt++) miss(rig);
    expect(rig.logs().filter((line) => line.startsWith("recovery"))).toEqual([]);
  });

  test("while an operator holds; failures before count no more after", () => {
    const rig = started(new Shelf());
    for (let attempt = 0; attempt < 2; attempt++) miss(rig);
    rig.turn.onCommand(1, ["disconnect"]);
    expect(statusOf(rig.turn.agent).recovery.failures).toBe(0);
  });
});

test("DPS is asked at the next attempt, though the hub never refused", () => {
  const given = hardware({ recovery: { ...RECOVERY, perDay: [0, 1, 0, 0, 0] } });
  const enclave = new Enclave(given).start();
  const { rig } = enclave;
  enclave.answers = [challenged(), assigned()];
  enclave.settle();
  rig.close(Cause.REFUSED);
  const asked = enclave.asked.length;
  for (let attempt = 0; attempt < 200 && enclave.asked.length === asked; attempt++) {
    for (let rings = 0; rings < 20 && !rig.calls.includes("open"); rings++) {
      enclave.settle();
      if (rig.turn.agent.state === AgentState.WAITING) rig.ring();
    }
    rig.take();
    if (rig.turn.agent.state === AgentState.LINKING) rig.close(Cause.REFUSED);
  }
  expect(enclave.asked.length).toBeGreaterThan(asked);
  expect(stepsOf(rig)).toEqual(["provision: done"]);
});
