// Keeper, tested on a rig: a connection that comes and goes by the calendar, signs of life, and
// metrics.
// Neighbours: `src/core/keeper.ts`, `src/core/agent.ts`; `climb.test` has the recovery ladder.
// Invariant: the calendar of these tests has an occurrence at each full hour.

import { describe, expect, test } from "bun:test";
import { AgentState } from "../../src/core/agent.ts";
import { Cause, type StoreOpened, StoreOutcome } from "../../src/core/effects.ts";
import { JournalState } from "../../src/core/journal.ts";
import type { Settings } from "../../src/core/settings.ts";
import { statusOf } from "../../src/core/status.ts";
import { connack, puback, publish, Rig, SIGNATURE, settings } from "../rig.ts";
import { Shelf } from "../shelf.ts";
import { read } from "./openmetrics.ts";

const HOUR_S = 3600;
const hourly = (wallS: number): number => (Math.floor(wallS / HOUR_S) + 1) * HOUR_S;

type Parts = Parameters<typeof settings>[0];

function scheduled(schedule: Partial<Settings["schedule"]> = {}, parts: Parts = {}): Settings {
  return settings({ ...parts, schedule: { isEnabled: true, ...schedule } });
}

/** Started, and with nothing to do before the hour. */
function asleep(given = scheduled()): Rig {
  const rig = new Rig(given);
  rig.nextS = hourly;
  rig.turn.start();
  return rig;
}

/** Through signature and TLS to a twin in step, when the agent is about to connect. */
function arrive(rig: Rig): void {
  if (rig.turn.agent.state === AgentState.SIGNING) rig.turn.onSigned(SIGNATURE);
  rig.secure();
  rig.turn.onData(connack());
  rig.synchronise({}, 1);
  if (rig.sent().some(({ topic }) => topic.includes("reported"))) throw new Error("unexpected");
}

/** At the first full hour, connected and with nothing left to say. */
function awake(given = scheduled({}, { lamps: [] })): Rig {
  const rig = asleep(given);
  rig.pass((hourly(rig.wallS) - rig.wallS) * 1000);
  arrive(rig);
  return rig;
}

const stateOf = (rig: Rig) => rig.turn.agent.state;

describe("by the calendar", () => {
  test("nothing is dialled before its time, and the next one is said", () => {
    const rig = asleep();
    expect(rig.logs()).toContain("the connection schedule connects at 2023-11-14T23:00:00Z");
    rig.pass((hourly(rig.wallS) - rig.wallS) * 1000 - 1);
    expect(rig.take()).toEqual([]);
    expect(stateOf(rig)).toBe(AgentState.IDLE);
    rig.pass(1);
    expect(rig.take()[0]).toStartWith("sign ");
  });

  test("with nothing left to say for a minute it hangs up, and plans the next one", () => {
    const rig = awake();
    rig.pass(59_999);
    expect(stateOf(rig)).toBe(AgentState.ONLINE);
    rig.pass(1);
    expect(stateOf(rig)).toBe(AgentState.PAUSING);
    expect(rig.sent().map(({ type }) => type)).toEqual([14]);
    rig.close();
    expect(stateOf(rig)).toBe(AgentState.IDLE);
    expect(rig.logs().at(-1)).toBe("the connection schedule connects at 2023-11-15T00:00:00Z");
    rig.pass(HOUR_S * 1000 - 60_000);
    arrive(rig);
    expect(stateOf(rig)).toBe(AgentState.ONLINE);
  });

  test("messages of the meantime go out, and each starts the minute anew", () => {
    const rig = asleep(scheduled({}, { lamps: [] }));
    rig.accept("one", "two");
    rig.pass((hourly(rig.wallS) - rig.wallS) * 1000);
    arrive(rig);
    rig.pass(5_000);
    rig.turn.onData(puback(2));
    rig.turn.onData(puback(3));
    rig.pass(59_999);
    expect(stateOf(rig)).toBe(AgentState.ONLINE);
    rig.pass(1);
    expect(stateOf(rig)).toBe(AgentState.PAUSING);
  });

  test("a message accepted, a desired change, a message from the cloud: each counts", () => {
    const acts: ((rig: Rig) => void)[] = [
      (rig) => rig.push({ LED9: true }, 2),
      (rig) => rig.turn.onData(publish("devices/dev1/messages/devicebound/", "x")),
      (rig) => {
        rig.accept("m");
        rig.turn.onData(puback(2));
      },
    ];
    for (const act of acts) {
      const rig = awake();
      rig.pass(40_000);
      act(rig);
      rig.pass(59_999);
      expect(stateOf(rig)).toBe(AgentState.ONLINE);
      rig.pass(1);
      expect(stateOf(rig)).toBe(AgentState.PAUSING);
    }
  });

  test("it never hangs up on what is in flight, or waits and may go", () => {
    const rig = awake(scheduled({ inactivityS: 2 }, { lamps: [], data: { inFlightMax: 1 } }));
    rig.accept("one", "two");
    rig.pass(9_000);
    expect(stateOf(rig)).toBe(AgentState.ONLINE);
    rig.turn.onData(puback(2));
    rig.pass(9_000);
    expect(stateOf(rig)).toBe(AgentState.ONLINE);
    rig.turn.onData(puback(3));
    rig.pass(2_000);
    expect(stateOf(rig)).toBe(AgentState.PAUSING);
  });

  test("it does hang up on what a rate limit holds back for longer", () => {
    const limit = { average: 1, unitMs: HOUR_S * 1000, burst: 1 };
    const rig = awake(scheduled({}, { lamps: [], data: { drain: { sharePercent: 20, limit } } }));
    rig.accept("one", "two");
    rig.turn.onData(puback(2));
    rig.pass(60_000);
    expect(stateOf(rig)).toBe(AgentState.PAUSING);
  });

  test("a lost connection comes back, and is not the end of its time", () => {
    const rig = awake();
    rig.close(Cause.TCP_RESET);
    expect(stateOf(rig)).toBe(AgentState.WAITING);
    rig.redial();
    rig.reconnect();
    expect(stateOf(rig)).toBe(AgentState.ONLINE);
  });
});

describe("urgent messages", () => {
  const URGENT = scheduled({ overrideThreshold: 1 }, { lamps: [] });

  test("connect at once when the disk has them; others wait", () => {
    const rig = asleep(URGENT);
    rig.take();
    rig.offer("later", 2);
    rig.turn.onWritable();
    rig.settle();
    expect(rig.take()).toEqual([]);
    rig.offer("now", 1);
    rig.turn.onWritable();
    expect(rig.take()).toEqual([]);
    rig.settle();
    expect(rig.take()[0]).toStartWith("sign ");
  });

  test("that an earlier run has left connect at the start", () => {
    const before = asleep(URGENT);
    before.offer("now", 0);
    before.turn.onWritable();
    before.shelf.answer();
    const rig = new Rig(URGENT, 2, "", before.shelf);
    rig.nextS = hourly;
    rig.turn.start();
    expect(stateOf(rig)).toBe(AgentState.SIGNING);
  });

  test("that come while it hangs up connect again when that is done", () => {
    const rig = awake(URGENT);
    rig.pass(60_000);
    rig.offer("now", 0);
    rig.turn.onWritable();
    rig.settle();
    expect(stateOf(rig)).toBe(AgentState.PAUSING);
    rig.close();
    expect(stateOf(rig)).toBe(AgentState.LINKING);
  });
});

describe("operators", () => {
  test("a connect off schedule stands until nothing is left to say", () => {
    const rig = asleep(scheduled({}, { lamps: [] }));
    rig.turn.onCommand(1, ["connect"]);
    arrive(rig);
    rig.pass(60_000);
    expect(stateOf(rig)).toBe(AgentState.PAUSING);
  });

  test("a connect while it hangs up stands", () => {
    const rig = awake();
    rig.pass(60_000);
    rig.turn.onCommand(1, ["connect"]);
    expect(stateOf(rig)).toBe(AgentState.RENEWING);
    rig.close();
    arrive(rig);
    expect(rig.take()).toContain(
      "reply 1 ok connected to hub.example as dev1 in 0 ms (new session)",
    );
    expect(stateOf(rig)).toBe(AgentState.ONLINE);
  });

  test("a disconnect holds, whatever the hour, until a connect", () => {
    const rig = asleep();
    rig.turn.onCommand(1, ["disconnect"]);
    rig.take();
    rig.pass(5 * HOUR_S * 1000);
    expect(rig.take()).toEqual([]);
    expect(stateOf(rig)).toBe(AgentState.HELD);
    rig.turn.onCommand(1, ["connect"]);
    expect(stateOf(rig)).toBe(AgentState.SIGNING);
  });

  test("a stop while it sleeps, and while it hangs up", () => {
    const rig = asleep();
    rig.turn.stop();
    expect(rig.take().at(-1)).toBe("exit 0");
    const other = awake();
    other.pass(60_000);
    other.turn.stop();
    other.close();
    expect(other.take()).toContain("exit 0");
  });
});

describe("a reload", () => {
  test("that takes the schedule away connects at once", () => {
    const rig = asleep();
    rig.turn.onSettings(settings({}));
    expect(stateOf(rig)).toBe(AgentState.SIGNING);
  });

  test("that takes it away while it hangs up connects again", () => {
    const rig = awake();
    rig.pass(60_000);
    rig.turn.onSettings(settings({}));
    rig.close();
    expect(stateOf(rig)).toBe(AgentState.LINKING);
  });

  test("that brings one leaves a connection until nothing is left to say", () => {
    const rig = new Rig(settings({ lamps: [] }));
    rig.nextS = hourly;
    rig.online();
    rig.turn.onSettings(scheduled({}, { lamps: [] }));
    rig.pass(59_999);
    expect(stateOf(rig)).toBe(AgentState.ONLINE);
    rig.pass(1);
    expect(stateOf(rig)).toBe(AgentState.PAUSING);
  });

  test("that brings one ends the waiting for the next attempt", () => {
    const rig = new Rig();
    rig.nextS = hourly;
    rig.greet();
    rig.close(Cause.REFUSED);
    rig.turn.onSettings(scheduled());
    expect(stateOf(rig)).toBe(AgentState.IDLE);
  });

  test("does not end what an operator holds, with a schedule or without", () => {
    const rig = new Rig();
    rig.nextS = hourly;
    rig.turn.start();
    rig.turn.onCommand(1, ["disconnect"]);
    rig.turn.onSettings(scheduled());
    expect(statusOf(rig.turn.agent).schedule!.state).toBe("held");
    rig.pass(2 * HOUR_S * 1000);
    expect(stateOf(rig)).toBe(AgentState.HELD);
    rig.turn.onSettings(settings({}));
    expect(stateOf(rig)).toBe(AgentState.HELD);
  });
});

describe("signs of life", () => {
  test("none as long as nobody waits for them", () => {
    const rig = new Rig();
    rig.online();
    rig.pass(60_000);
    expect(rig.take().filter((call) => call.startsWith("feed"))).toEqual([]);
  });

  test("at once, and then four within the time that is given, connected or not", () => {
    const rig = new Rig(settings({ data: { autoOnStartup: false } }));
    rig.turn.onWatched(60_000);
    rig.turn.start();
    expect(rig.take()).toContain("feed all");
    const moments: number[] = [];
    const startMs = rig.nowMs;
    for (let at = 0; at < 4; at++) {
      rig.ring();
      expect(rig.take()).toEqual(["feed all"]);
      moments.push(rig.nowMs - startMs);
    }
    expect(moments).toEqual([15_000, 30_000, 45_000, 60_000]);
  });
});

describe("metrics", () => {
  const METRICS = settings({ metrics: { port: 9, intervalS: 20 } });

  test("at the start and then each interval, of the moment", () => {
    const rig = new Rig(METRICS);
    rig.online();
    expect(rig.take()).toContain("expose");
    rig.pass(19_999);
    expect(rig.take()).not.toContain("expose");
    rig.pass(1);
    expect(rig.take()).toContain("expose");
    const uptime = read(rig.exposed).get("azimuth_uptime_seconds")!;
    expect(uptime.samples[0]!.value).toBe(statusOf(rig.turn.agent).uptimeS);
  });

  test("a reload changes the interval, and not who is told", () => {
    const rig = new Rig(METRICS);
    rig.online();
    rig.take();
    rig.turn.onSettings(settings({ metrics: { intervalS: 5 } }));
    rig.take();
    rig.pass(5_000);
    expect(rig.take()).toContain("expose");
    const silent = new Rig();
    silent.online();
    silent.turn.onSettings(METRICS);
    silent.pass(60_000);
    expect(silent.take()).not.toContain("expose");
  });
});

test("what is in a store that is gone is not waited for", () => {
  class Gone extends Shelf {
    override rebuild(): StoreOpened {
      return { isOpen: false, line: "gone" };
    }
  }
  const rig = new Rig(scheduled({}, { lamps: [] }), 1, "", new Gone());
  rig.nextS = hourly;
  rig.turn.start();
  rig.accept(...Array.from({ length: 40 }, (_, index) => `m${index}`));
  rig.shelf.isStuck = true;
  rig.shelf.isUnreadable = true;
  rig.shelf.outcome = StoreOutcome.BROKEN;
  rig.pass((hourly(rig.wallS) - rig.wallS) * 1000);
  arrive(rig);
  rig.offer("lost");
  rig.turn.onWritable();
  rig.pass(1);
  const { journal, waiting } = rig.turn.agent.machines.outbox;
  expect(JournalState[journal.state]).toBe("LOST");
  expect(waiting).toBeGreaterThan(0);
  rig.pass(60_000);
  expect(stateOf(rig)).toBe(AgentState.PAUSING);
});
