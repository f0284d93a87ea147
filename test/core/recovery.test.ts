// Recovery, tested on a rig: refusals looked into, clocks that are off, waits between attempts.
// Neighbours: `src/core/recovery.ts` with agent, credential, verdict and backoff.
// Invariant: the hub's side is played by hand: CONNACK 5, and the answer of its HTTPS side.

import { describe, expect, test } from "bun:test";
import { AgentState } from "../../src/core/agent.ts";
import { Cause } from "../../src/core/effects.ts";
import { connack, Rig, SIGNATURE, settings } from "../rig.ts";

const PROBE = "probe hub.example:443/devices/dev1/messages/devicebound/0?api-version=2021-04-12";

/** Refused once, in the turn before. */
function refused(code = 5, rig = new Rig()): Rig {
  rig.greet();
  rig.take();
  rig.turn.onData(connack(code));
  return rig;
}

/** Expiry in the text that was last given to the signer, in Unix s. */
function asked(rig: Rig): number {
  return Number(
    rig
      .take()
      .findLast((call) => call.startsWith("sign "))
      ?.split(" ")
      .at(-1),
  );
}

/** Until the agent asks for the next token. */
function untilAsked(rig: Rig): void {
  while (rig.turn.agent.state !== AgentState.SIGNING) rig.ring();
}

describe("a refusal", () => {
  test("drops the connection, asks the HTTPS side, and waits 10 s at least", () => {
    for (const code of [4, 5]) {
      const rig = refused(code);
      expect(rig.take()).toEqual(["abort", PROBE]);
      const waitMs = rig.turn.agent.deadlineMs - rig.nowMs;
      expect(waitMs).toBeGreaterThanOrEqual(10_000);
      expect(waitMs).toBeLessThanOrEqual(20_000);
    }
  });

  test("keeps its floor however short the retry interval is, and each time", () => {
    const rig = refused(5, new Rig(settings({ data: { retryIntervalS: 1 } })));
    for (let round = 0; round < 6; round++) {
      const waitMs = rig.turn.agent.deadlineMs - rig.nowMs;
      expect(waitMs).toBeGreaterThanOrEqual(10_000);
      expect(waitMs).toBeLessThanOrEqual(20_000);
      rig.redial();
      rig.secure();
      rig.turn.onData(connack(5));
    }
  });

  test("makes a new token for the next attempt", () => {
    const rig = refused();
    rig.take();
    untilAsked(rig);
    expect(asked(rig)).toBe(Math.floor(1_700_000_000) + 3600);
  });

  test("other return codes are no refusal of who we are", () => {
    for (const code of [1, 2, 3]) {
      const rig = refused(code);
      expect(rig.take()).toEqual(["abort"]);
      expect(rig.turn.agent.deadlineMs - rig.nowMs).toBeLessThanOrEqual(1000);
    }
  });

  test("explained: the answer replaces the line, in log and status", () => {
    const rig = refused();
    rig.take();
    rig.probed({ status: 404, errorCode: "DeviceNotFound" });
    const text =
      "refused by the hub: device dev1 unknown at hub.example; create it or check DeviceId";
    expect(rig.logs()).toEqual([text]);
    expect(rig.turn.agent.machines.verdict.text).toBe(text);
  });

  test("an explanation that comes when we are connected again is nobody's", () => {
    const rig = refused();
    rig.redial();
    rig.reconnect();
    const before = rig.turn.agent.machines.verdict.text;
    rig.take();
    rig.probed({ status: 404 });
    expect(rig.logs()).toEqual([]);
    expect(rig.turn.agent.machines.verdict.text).toBe(before);
  });

  test("one that comes after another failure is nobody's, too", () => {
    const rig = refused();
    rig.redial();
    rig.close(Cause.REFUSED);
    rig.take();
    rig.probed({ status: 404 });
    expect(rig.logs()).toEqual([]);
  });
});

describe("a clock that is off", () => {
  test("is found out, and the next token follows the server's", () => {
    const rig = refused();
    const trueS = rig.wallS - 25_500;
    rig.take();
    rig.probed({ dateS: trueS });
    expect(rig.logs()[0]).toContain("clock off by 7 h 5 min (ahead of the server's)");
    const startMs = rig.nowMs;
    untilAsked(rig);
    const passedS = (rig.nowMs - startMs) / 1000;
    expect(asked(rig)).toBe(Math.floor(trueS + passedS) + 3600);
  });

  test("stays right in the tokens when somebody sets it right meanwhile", () => {
    const rig = refused();
    rig.take();
    rig.probed({ dateS: rig.wallS + 1_000_000 });
    rig.wallS += 1_000_000;
    untilAsked(rig);
    expect(Math.abs(asked(rig) - rig.wallS - 3600)).toBeLessThan(2);
  });

  test("is not blamed again once the tokens follow the server's", () => {
    const rig = refused();
    const aheadS = 86_400;
    rig.probed({ dateS: rig.wallS - aheadS });
    rig.redial();
    rig.secure();
    rig.turn.onData(connack(5));
    rig.take();
    rig.probed({ dateS: rig.wallS - aheadS });
    expect(rig.logs()).toEqual([
      "refused by the hub: key wrong for device dev1, or no such device (not the clock); " +
        "copy its connection string again",
    ]);
  });

  test("is blamed though it was set right between the token and the answer", () => {
    const rig = refused();
    rig.wallS += 1_000_000;
    rig.take();
    rig.probed({});
    expect(rig.logs()[0]).toContain("clock off by 11 d 13 h (behind the server's)");
    untilAsked(rig);
    expect(Math.abs(asked(rig) - rig.wallS - 3600)).toBeLessThan(2);
  });

  test("without an answer nothing is guessed and nothing adopted", () => {
    const rig = refused();
    rig.take();
    rig.probed({ dateS: Number.NaN, status: 0 });
    expect(rig.logs()[0]).toContain("does not answer to tell which");
    untilAsked(rig);
    expect(Math.abs(asked(rig) - rig.wallS - 3600)).toBeLessThan(300);
  });
});

describe("waits between attempts", () => {
  /** Fails the attempt under way and tells how long the next one is away. */
  function fail(rig: Rig): number {
    rig.close(Cause.REFUSED);
    const waitMs = rig.turn.agent.deadlineMs - rig.nowMs;
    rig.redial();
    return waitMs;
  }

  test("grow to the retry interval and no further", () => {
    const rig = new Rig(settings({ data: { retryIntervalS: 5 } }));
    rig.turn.start();
    rig.turn.onSigned(SIGNATURE);
    const waits = Array.from({ length: 60 }, () => fail(rig));
    expect(waits[0]).toBeLessThanOrEqual(1000);
    expect(waits[1]).toBeLessThanOrEqual(2000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(5000);
    expect(Math.max(...waits.slice(3))).toBeGreaterThan(4000);
  });

  /** The longest of many waits after connections of `upMs` each, with failures before. */
  function longest(...upMs: readonly number[]): number {
    const waits: number[] = [];
    for (let seed = 0; seed < 40; seed++) {
      const rig = new Rig(settings({}), seed);
      rig.greet();
      for (let at = 0; at < 6; at++) fail(rig);
      for (const eachMs of upMs) {
        rig.reconnect();
        rig.answerReport();
        rig.pass(eachMs);
        rig.close();
        waits[seed] = rig.turn.agent.deadlineMs - rig.nowMs;
        rig.redial();
      }
    }
    return Math.max(...waits);
  }

  test("a connection of 30 s makes the next attempt a first one, two shorter ones do not", () => {
    expect(longest(30_000, 30_000)).toBeLessThanOrEqual(1000);
    expect(longest(29_999, 29_999)).toBeGreaterThan(1000);
    expect(longest(29_999, 30_000, 29_999)).toBeLessThanOrEqual(1000);
  });

  test("after one that the hub took, what failed before it counts no more", () => {
    expect(longest(1)).toBeLessThanOrEqual(1000);
    expect(longest(1, 1)).toBeLessThanOrEqual(2000);
    expect(longest(...new Array<number>(8).fill(1))).toBeGreaterThan(32_000);
  });

  test("the log says what was wrong and when the next attempt is", () => {
    const rig = new Rig();
    rig.greet();
    rig.take();
    rig.close(Cause.NAME_NOT_FOUND, "ENOTFOUND");
    const [text] = rig.logs();
    const waitMs = rig.turn.agent.deadlineMs - rig.nowMs;
    expect(text).toBe(
      "name not found: hub.example; check HostName in the connection string and the DNS server; " +
        `next attempt in ${waitMs} ms`,
    );
  });
});

describe("waits after the hub has ended a connection", () => {
  const SEEDS = 60;

  /** For each of many seeds, connected for 30 s, the wait that `play` has brought about, in ms. */
  function waits(play: (rig: Rig) => void, connectSpreadS = 40): number[] {
    return Array.from({ length: SEEDS }, (_, seed) => {
      const rig = new Rig(settings({ data: { connectSpreadS } }), seed);
      rig.greet();
      rig.reconnect();
      rig.answerReport();
      rig.pass(30_000);
      play(rig);
      return rig.turn.agent.deadlineMs - rig.nowMs;
    });
  }

  function lose(rig: Rig, ...causes: Cause[]): void {
    for (const cause of causes) {
      if (rig.turn.agent.state === AgentState.WAITING) rig.redial();
      rig.close(cause);
    }
  }

  test.each([Cause.CLOSED_BY_PEER, Cause.TCP_RESET])(
    "spread the first attempt, cause %p",
    (cause) => {
      const all = waits((rig) => lose(rig, cause));
      expect(Math.max(...all)).toBeLessThanOrEqual(40_000);
      expect(Math.max(...all)).toBeGreaterThan(36_000);
      expect(Math.min(...all)).toBeLessThan(4000);
      const atOnce = waits((rig) => lose(rig, cause), 0);
      expect(Math.max(...atOnce)).toBeLessThanOrEqual(1000);
    },
  );

  test("stay as they were after any other end", () => {
    const all = waits((rig) => lose(rig, Cause.UNREACHABLE));
    expect(Math.max(...all)).toBeLessThanOrEqual(1000);
  });

  test("keep apart those that are refused on their return, by host or by CONNACK 3", () => {
    const refusals: ((rig: Rig) => void)[] = [
      (rig) => lose(rig, Cause.REFUSED),
      (rig) => {
        rig.redial();
        rig.secure();
        rig.turn.onData(connack(3));
      },
    ];
    for (const refuse of refusals) {
      const all = waits((rig) => {
        lose(rig, Cause.CLOSED_BY_PEER);
        refuse(rig);
      });
      expect(Math.min(...all)).toBeGreaterThanOrEqual(40_000);
      expect(Math.max(...all)).toBeLessThanOrEqual(60_000);
    }
  });

  test("are short while it is the site's own line that is down, and no longer than that", () => {
    const down = [Cause.CLOSED_BY_PEER, Cause.NAME_LOOKUP_FAILED];
    expect(Math.max(...waits((rig) => lose(rig, ...down)))).toBeLessThanOrEqual(2000);
    const again = waits((rig) => lose(rig, ...down, Cause.REFUSED));
    expect(Math.min(...again)).toBeGreaterThanOrEqual(40_000);
  });

  test("are over once a connection stands", () => {
    const all = waits((rig) => {
      lose(rig, Cause.TCP_RESET);
      rig.redial();
      rig.reconnect();
      rig.answerReport();
      rig.pass(30_000);
      lose(rig, Cause.UNREACHABLE, Cause.REFUSED);
    });
    expect(Math.max(...all)).toBeLessThanOrEqual(2000);
  });

  test("of a refused token are those of any refusal", () => {
    const all = waits((rig) => {
      lose(rig, Cause.CLOSED_BY_PEER);
      rig.redial();
      rig.secure();
      rig.turn.onData(connack(5));
    });
    expect(Math.min(...all)).toBeGreaterThanOrEqual(10_000);
    expect(Math.max(...all)).toBeLessThanOrEqual(20_000);
  });

  test("follow the setting when that changes", () => {
    const all = waits((rig) => {
      rig.turn.onSettings(settings({ data: { connectSpreadS: 40 } }));
      lose(rig, Cause.CLOSED_BY_PEER);
    }, 0);
    expect(Math.max(...all)).toBeGreaterThan(20_000);
  });
});

test("connected: how long it took from the first step, and whether the hub still knew us", () => {
  const rig = new Rig();
  rig.turn.start();
  rig.pass(300);
  rig.turn.onSigned(SIGNATURE);
  rig.pass(1200);
  rig.secure();
  rig.take();
  rig.turn.onData(connack(0, true));
  expect(rig.logs()).toEqual(["connected to hub.example as dev1 in 1.5 s (session resumed)"]);
  rig.close();
  rig.redial();
  rig.secure();
  rig.take();
  rig.turn.onData(connack());
  expect(rig.logs()).toEqual(["connected to hub.example as dev1 in 0 ms (new session)"]);
});
