// Verdict, tested: what is kept of failures, and when a twin brother is suspected.
// Neighbours: `src/core/verdict.ts`; the words themselves are tested in `diagnosis`.
// Invariant: facts go in, the kept line comes out; nothing else is looked at.

import { describe, expect, test } from "bun:test";
import type { Ending } from "../../src/core/diagnosis.ts";
import { Cause } from "../../src/core/effects.ts";
import { LinkState } from "../../src/core/link.ts";
import { Verdict } from "../../src/core/verdict.ts";
import { Rig, settings } from "../rig.ts";

const NO_TOKEN = Number.NaN;

function verdict(): Verdict {
  return new Verdict(settings({}).endpoint);
}

/** A connection that the hub closed after `upMs`. */
function closed(upMs: number, parts: Partial<Ending> = {}): Ending {
  const cause = Cause.CLOSED_BY_PEER;
  return { cause, detail: "", step: LinkState.UP, upMs, unanswered: "", ...parts };
}

function refused(cause: Cause): Ending {
  return closed(0, { cause, step: LinkState.GREETING });
}

function isTakenOver({ text }: Verdict): boolean {
  return text.includes("times in a row: probably taken over");
}

describe("taken over by another connection", () => {
  test("is said from the second short connection on", () => {
    const one = verdict();
    one.onFailure(closed(3000), NO_TOKEN, 1);
    expect(isTakenOver(one)).toBe(false);
    one.onFailure(closed(59_999), NO_TOKEN, 2);
    expect(one.text).toContain("2 times in a row");
    one.onFailure(closed(1), NO_TOKEN, 3);
    expect(one.text).toContain("3 times in a row");
  });

  test("attempts that fail between two short connections change nothing", () => {
    const one = verdict();
    one.onFailure(closed(3000), NO_TOKEN, 1);
    one.onFailure(closed(0, { cause: Cause.REFUSED, step: LinkState.DIALING }), NO_TOKEN, 2);
    one.onFailure(closed(3000), NO_TOKEN, 3);
    expect(isTakenOver(one)).toBe(true);
  });

  const innocent: readonly (readonly [string, Ending])[] = [
    ["a connection of a minute", closed(60_000)],
    ["a close right after a publish", closed(3000, { unanswered: "publish to x" })],
    ["an end of another kind", closed(3000, { cause: Cause.PINGRESP_TIMEOUT })],
    ["a reset", closed(3000, { cause: Cause.TCP_RESET })],
    ["CONNACK 1", refused(Cause.CONNACK_PROTOCOL)],
    ["CONNACK 5", refused(Cause.CONNACK_NOT_AUTHORISED)],
  ];
  for (const [what, ending] of innocent) {
    test(`${what} begins the count anew`, () => {
      const one = verdict();
      one.onFailure(closed(3000), NO_TOKEN, 1);
      one.onFailure(ending, NO_TOKEN, 2);
      one.onFailure(closed(3000), NO_TOKEN, 3);
      expect(isTakenOver(one)).toBe(false);
    });
  }

  test("is never said of resets, which a bad link makes", () => {
    const one = verdict();
    for (let at = 0; at < 4; at++) {
      one.onFailure(closed(3000, { cause: Cause.TCP_RESET }), NO_TOKEN, at);
      expect(isTakenOver(one)).toBe(false);
    }
  });

  test("a close before CONNACK is no short connection", () => {
    const one = verdict();
    for (let at = 0; at < 4; at++) {
      one.onFailure(closed(0, { step: LinkState.GREETING }), NO_TOKEN, at);
    }
    expect(one.text).toContain("right after CONNECT");
  });

  test("on a rig: the second time the hub throws us out", () => {
    const rig = new Rig();
    rig.online();
    for (const told of [false, true]) {
      rig.answerReport();
      rig.pass(20_000);
      rig.close();
      expect(isTakenOver(rig.turn.agent.machines.verdict)).toBe(told);
      rig.redial();
      rig.reconnect();
    }
  });
});

test("a refusal is one until we are connected", () => {
  const one = verdict();
  for (const cause of [Cause.CONNACK_CREDENTIALS, Cause.CONNACK_NOT_AUTHORISED]) {
    one.onFailure(closed(0, { cause, step: LinkState.GREETING }), NO_TOKEN, 5);
    expect(one.isRefusal).toBe(true);
  }
  expect(one.isOver).toBe(false);
  one.onUp(9);
  expect([one.isOver, one.overS, one.isRefusal]).toEqual([true, 9, false]);
  one.onUp(11);
  expect(one.overS).toBe(9);
  expect(one.text).toStartWith("refused by the hub");
  one.onFailure(closed(0, { cause: Cause.CONNACK_UNAVAILABLE }), NO_TOKEN, 6);
  expect(one.isRefusal).toBe(false);
});

test("the time of the finding is kept, and that of the explanation replaces it", () => {
  const one = verdict();
  const cause = Cause.CONNACK_NOT_AUTHORISED;
  one.onFailure(closed(0, { cause, step: LinkState.GREETING }), NO_TOKEN, 500);
  expect(one.atS).toBe(500);
  one.onProbed({ dateS: 9000, status: 404, errorCode: "DeviceNotFound" }, 9000, 502);
  expect(one.atS).toBe(502);
  expect(one.text).toContain("unknown at hub.example");
});

describe("a certificate that the calendar speaks against", () => {
  const certificate = { commonName: "gw", fingerprint: "ab", fromS: 1000, untilS: 2000 };
  const { endpoint } = settings({ endpoint: { type: "x509", key: "", certificate } });
  const EXPIRED =
    "; by this clock the device's certificate expired on 1970-01-01T00:33:20Z; put a new one " +
    "into certificate-file and start azimuth again";

  const suspect: readonly (readonly [string, Ending])[] = [
    ["CONNACK 5", refused(Cause.CONNACK_NOT_AUTHORISED)],
    ["a handshake that failed", closed(0, { cause: Cause.TLS_HANDSHAKE_FAILED })],
    ["a refusal of DPS", closed(0, { cause: Cause.DPS_REFUSED, step: LinkState.DOWN })],
    ["a DPS without an answer", closed(0, { cause: Cause.DPS_FAILED, step: LinkState.DOWN })],
    ["a close right after CONNECT", closed(0, { step: LinkState.GREETING })],
    ["a reset there", refused(Cause.TCP_RESET)],
    ["a close before TLS stood", closed(0, { step: LinkState.SECURING })],
  ];
  for (const [what, ending] of suspect) {
    test(`may explain ${what}`, () => {
      const one = new Verdict(endpoint);
      one.onFailure(ending, NO_TOKEN, 2001);
      expect(one.text).toEndWith(EXPIRED);
      one.onFailure(ending, NO_TOKEN, 999);
      expect(one.text).toContain("not valid before 1970-01-01T00:16:40Z");
      one.onFailure(ending, NO_TOKEN, 1500);
      expect(one.text).not.toContain("this clock");
    });
  }

  test("explains nothing else", () => {
    const one = new Verdict(endpoint);
    for (const ending of [closed(3000), refused(Cause.REFUSED), closed(0, { cause: Cause.NONE })]) {
      one.onFailure(ending, NO_TOKEN, 2001);
      expect(one.text).not.toContain("this clock");
    }
  });

  test("is still named after a closer look", () => {
    const one = new Verdict(endpoint);
    one.onFailure(refused(Cause.CONNACK_NOT_AUTHORISED), NO_TOKEN, 2001);
    one.onProbed({ dateS: 9000, status: 401, errorCode: "" }, 9000, 2002);
    expect(one.text).toStartWith("refused by the hub: hub.example knows another certificate");
    expect(one.text).toEndWith(EXPIRED);
  });
});

test("nothing has gone wrong before something has", () => {
  const { cause, text, isRefusal } = verdict();
  expect({ cause, text, isRefusal }).toEqual({ cause: Cause.NONE, text: "", isRefusal: false });
});

test("the token's end is told from other ends, also when its renewal had failed", () => {
  for (const fails of [false, true]) {
    const rig = new Rig(settings({ endpoint: { keepAliveS: 1177 } }));
    rig.online();
    rig.answerReport();
    rig.take();
    // The hub's grace: 65 min after the token was made, while nobody signs a new one.
    const untilMs = rig.nowMs + 65 * 60_000;
    while (rig.nowMs < untilMs) {
      rig.pass(10_000);
      if (rig.sent().some((one) => one.type === 12)) rig.turn.onData(Uint8Array.of(0xd0, 0));
      const isAsked = rig.take().some((call) => call.startsWith("sign "));
      if (fails && isAsked) rig.turn.onSignFailed("the key is locked");
    }
    rig.close();
    expect(rig.turn.agent.machines.verdict.text).toBe(
      "closed by the hub after 1 h 5 min: token expired 5 min ago",
    );
  }
});

test("a calendar that jumps does not make a token look expired", () => {
  const rig = new Rig();
  rig.online();
  rig.answerReport();
  rig.pass(10_000);
  rig.wallS += 86_400 * 365;
  rig.close();
  expect(rig.turn.agent.machines.verdict.text).toContain("without a reason");
});
