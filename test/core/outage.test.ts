// Outage, tested: the ladder on a dead network for minutes and for months, cause by cause.
// Neighbours: `src/core/ladder.ts`, `src/core/logbook.ts`; `dead.ts` is the gateway.
// Invariant: budgets are counted here from the climbs that were asked for, not from the logbook.

import { describe, expect, test } from "bun:test";
import { Cause } from "../../src/core/effects.ts";
import { Ladder, LadderState, reachOf } from "../../src/core/ladder.ts";
import { Rung } from "../../src/core/logbook.ts";
import { ALL, DAY_MS, Dead, fail, MINUTE_MS, TEXT, WALL_S } from "./dead.ts";
import { World } from "./world.ts";

function fresh(settings = ALL): Ladder {
  const { effects, counters } = new World();
  const ladder = new Ladder(effects, counters, settings);
  ladder.start("", "b1", 0);
  return ladder;
}

describe("a dead network", () => {
  test("each rung in its order, ten failures apart, and over the starts", () => {
    const dead = new Dead();
    dead.pass(60);
    expect(dead.climbs.map(({ rung }) => rung).slice(0, 6)).toEqual([
      Rung.REFRESH,
      Rung.PROVISION,
      Rung.RESTART,
      Rung.HOOK,
      Rung.REBOOT,
      Rung.REFRESH,
    ]);
    expect(dead.climbs.slice(0, 5).map(({ atMs }) => atMs / MINUTE_MS)).toEqual([
      10, 20, 30, 40, 50,
    ]);
  });

  test("a day: no more than the budgets, and nothing but attempts after that", () => {
    const dead = new Dead();
    dead.pass(24 * 60 - 1);
    expect([0, 1, 2, 3, 4].map((rung) => dead.countOf(rung))).toEqual([24, 12, 4, 4, 2]);
  });

  test("thirty days: two reboots a day at most, in any window of a day", () => {
    const dead = new Dead();
    dead.pass(30 * 24 * 60);
    const reboots = dead.climbs.filter(({ rung }) => rung === Rung.REBOOT);
    expect(reboots.length).toBeGreaterThan(50);
    for (let at = 2; at < reboots.length; at++) {
      expect(reboots[at]!.atMs - reboots[at - 2]!.atMs).toBeGreaterThanOrEqual(DAY_MS);
    }
  });

  test("power cuts by the thousand give nothing back", () => {
    const dead = new Dead();
    for (let cut = 0; cut < 1000; cut++) {
      dead.pass(29);
      dead.boots++;
      dead.begin();
    }
    // Twenty days, of which a start loses what ran since the last note.
    expect(dead.countOf(Rung.REBOOT)).toBeLessThanOrEqual(2 * 21);
    expect(dead.countOf(Rung.RESTART)).toBeLessThanOrEqual(4 * 21);
  });

  test("not enabled: neither the process nor the machine is restarted, no hook is run", () => {
    const dead = new Dead({ ...ALL, isEnabled: false });
    dead.pass(24 * 60 - 1);
    expect([0, 1, 2, 3, 4].map((rung) => dead.countOf(rung))).toEqual([24, 12, 0, 0, 0]);
  });

  test("a rung that is not there is left out", () => {
    const dead = new Dead({ ...ALL, perDay: [24, 0, 4, 0, 2] });
    dead.pass(31);
    expect(dead.climbs.map(({ rung }) => rung)).toEqual([Rung.REFRESH, Rung.RESTART, Rung.REBOOT]);
  });

  test("attempts that fail fast climb no faster than each five minutes", () => {
    const ladder = fresh({ ...ALL, failuresMax: 1 });
    for (let nowMs = 0; nowMs < 300_000; nowMs += 100) {
      ladder.onFailure(Cause.REFUSED, TEXT, nowMs, WALL_S);
    }
    expect(ladder.state).toBe(LadderState.WATCHING);
    ladder.onFailure(Cause.REFUSED, TEXT, 300_000, WALL_S);
    expect(ladder.state).toBe(LadderState.RECORDING);
  });
});

describe("a hub that answers", () => {
  test("but closes: no higher than a restart of the process", () => {
    const dead = new Dead(ALL, Cause.CLOSED_BY_PEER);
    dead.pass(24 * 60 - 1);
    expect([0, 1, 2, 3, 4].map((rung) => dead.countOf(rung))).toEqual([24, 12, 4, 0, 0]);
  });

  test("with a refusal in between: the failures count anew", () => {
    const ladder = fresh();
    const afterMs = fail(ladder, 0, 9);
    ladder.onFailure(Cause.CONNACK_CREDENTIALS, TEXT, afterMs, WALL_S);
    fail(ladder, afterMs + MINUTE_MS, 9);
    expect(ladder.state).toBe(LadderState.WATCHING);
  });

  test("for 30 seconds: the failures count anew, from the foot of the ladder", () => {
    for (const [upMs, failures] of [
      [29_999, 4],
      [30_000, 0],
    ] as const) {
      const ladder = fresh();
      fail(ladder, 0, 4);
      ladder.onUp(5 * MINUTE_MS);
      ladder.onDown(upMs);
      expect(ladder.failures).toBe(failures);
    }
    const dead = new Dead();
    dead.pass(25);
    dead.ladder.onDown(30_000);
    dead.pass(10);
    expect(dead.climbs.map(({ rung }) => rung)).toEqual([0, 1, 0]);
  });
});

/** Rungs by cause, written down by hand; what is not here climbs nothing. */
const REACH: Readonly<Record<string, Rung>> = {
  NAME_NOT_FOUND: Rung.REBOOT,
  NAME_LOOKUP_FAILED: Rung.REBOOT,
  REFUSED: Rung.REBOOT,
  UNREACHABLE: Rung.REBOOT,
  TCP_RESET: Rung.REBOOT,
  SOCKET_FAILED: Rung.REBOOT,
  DIAL_TIMEOUT: Rung.REBOOT,
  TLS_TIMEOUT: Rung.REBOOT,
  CONNACK_TIMEOUT: Rung.REBOOT,
  SUBACK_TIMEOUT: Rung.REBOOT,
  PUBACK_TIMEOUT: Rung.REBOOT,
  PINGRESP_TIMEOUT: Rung.REBOOT,
  TWIN_TIMEOUT: Rung.REBOOT,
  SIGN_TIMEOUT: Rung.REBOOT,
  PROXY_UNREACHABLE: Rung.REBOOT,
  PROXY_TIMEOUT: Rung.REBOOT,
  CLOSED_BY_PEER: Rung.RESTART,
  TLS_HANDSHAKE_FAILED: Rung.RESTART,
  CONNACK_UNAVAILABLE: Rung.RESTART,
  PROTOCOL_VIOLATION: Rung.RESTART,
  CONGESTED: Rung.RESTART,
  DPS_FAILED: Rung.REBOOT,
  PROXY_FAILED: Rung.RESTART,
  PROXY_BROKEN: Rung.RESTART,
  WEBSOCKET_TIMEOUT: Rung.REBOOT,
  WEBSOCKET_BROKEN: Rung.RESTART,
};

describe("the reach of a cause", () => {
  const causes = Object.values(Cause).filter((cause) => typeof cause === "number");
  for (const cause of causes) {
    const name = Cause[cause]!;
    const reach = REACH[name] ?? -1;
    test(`${name}: ${Rung[reach] ?? "nothing"}`, () => {
      expect(reachOf(cause)).toBe(reach);
      const dead = new Dead(ALL, cause);
      dead.pass(24 * 60 - 1);
      expect(Math.max(-1, ...dead.climbs.map(({ rung }) => rung))).toBe(reach);
    });
  }
});
