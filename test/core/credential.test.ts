// Credential, tested: its table cell by cell, the token's life, clocks that jump, late answers.
// Neighbours: `src/core/credential.ts`; the form of a token is tested in `codec/sas`.
// Invariant: a token's fields are read back from its text.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseToken } from "../../src/codec/sas.ts";
import { Credential, CredentialState } from "../../src/core/credential.ts";
import { Prng } from "../../src/kit/prng.ts";
import { RENEW_S, SIGN_MS, TOKEN_LEFT_S_MIN, TOKEN_S } from "../../src/limits.ts";
import { walkTable } from "./table.ts";
import { World } from "./world.ts";

const RESOURCE = "hub.example/devices/dev1";
/** 32 bytes, as an HMAC-SHA256 has. */
const SIGNATURE = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const WALL_S = 1_700_000_000;

interface Subject extends World {
  credential: Credential;
}

function none(seed = 7): Subject {
  const world = new World();
  const { effects, counters } = world;
  const credential = new Credential(effects, counters, new Prng(seed), RESOURCE);
  return Object.assign(world, { credential });
}

function signing(nowMs = 0, wallS = WALL_S): Subject {
  const one = none();
  one.credential.request(nowMs, wallS);
  return one;
}

function fresh(nowMs = 0, wallS = WALL_S): Subject {
  const one = signing(nowMs, wallS);
  one.credential.onSigned(SIGNATURE);
  return one;
}

function needless(): Subject {
  const world = new World();
  const { effects, counters } = world;
  const state = CredentialState.NEEDLESS;
  const credential = new Credential(effects, counters, new Prng(7), RESOURCE, state);
  return Object.assign(world, { credential });
}

walkTable<Subject>({
  file: "core/credential.ts",
  states: { NONE: none, SIGNING: () => signing(), FRESH: () => fresh(), NEEDLESS: needless },
  stateOf: ({ credential }) => CredentialState[credential.state]!,
  events: {
    request: ({ credential }) => void credential.request(1_000_000, WALL_S + 1000),
    onSigned: ({ credential }) => void credential.onSigned(SIGNATURE),
    onSignFailed: ({ credential }) => void credential.onSignFailed(),
    deadline: ({ credential }) => {
      const lateMs = TOKEN_S * 1000;
      if (credential.isOverdue(lateMs)) return "isOverdue";
      return credential.isDue(lateMs) ? "isDue" : "";
    },
    discard: ({ credential }) => void credential.discard(),
  },
  look: (one) => one.look(),
});

function expiryIn({ credential }: Subject): number {
  const token = parseToken(credential.current);
  if ("problem" in token) throw new Error(token.problem);
  return token.expiryS;
}

describe("a token", () => {
  test("names the resource and lives an hour by the calendar", () => {
    const one = fresh();
    expect(parseToken(one.credential.current)).toEqual({
      resource: RESOURCE,
      expiryS: WALL_S + TOKEN_S,
      policy: "",
    });
    expect(one.credential.expiryS).toBe(WALL_S + TOKEN_S);
  });

  test("fractions of a second are cut off", () => {
    expect(expiryIn(fresh(0, WALL_S + 0.999))).toBe(WALL_S + TOKEN_S);
  });

  test("is offered until ten minutes before its end", () => {
    const { credential } = fresh(1000);
    const lastMs = 1000 + (TOKEN_S - TOKEN_LEFT_S_MIN) * 1000;
    expect(credential.usable(lastMs)).toBe(credential.current);
    expect(credential.usable(lastMs + 1)).toBe("");
    expect(credential.current).not.toBe("");
  });

  test("is not due while it is young, nor when there is none", () => {
    const { credential } = fresh();
    expect(credential.isDue(credential.deadlineMs - 1)).toBe(false);
    expect(credential.isDue(credential.deadlineMs)).toBe(true);
    expect(none().credential.isDue(1e15)).toBe(false);
  });

  test("is not offered while the next one is being signed", () => {
    const { credential } = fresh();
    credential.request(2_000_000, WALL_S + 2000);
    expect(credential.usable(2_000_000)).toBe("");
  });

  test("renewal is due at 50 min, 5 % either way, and not the same for all", () => {
    const times = Array.from({ length: 200 }, (_, seed) => {
      const { credential } = none(seed);
      credential.request(0, WALL_S);
      credential.onSigned(SIGNATURE);
      return credential.deadlineMs;
    });
    for (const timeMs of times) {
      expect(timeMs).toBeGreaterThanOrEqual(RENEW_S * 950);
      expect(timeMs).toBeLessThanOrEqual(RENEW_S * 1050);
    }
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(RENEW_S * 80);
  });

  test("its life counts from the request, however long the signature took", () => {
    const { credential } = signing(0);
    expect(credential.onSigned(SIGNATURE)).toBe(true);
    expect(credential.deadlineMs).toBeLessThan(RENEW_S * 1050);
    expect(credential.expiredS(TOKEN_S * 1000)).toBe(0);
  });

  test("counts as expired by the monotonic clock", () => {
    const { credential } = fresh(5000);
    expect(credential.expiredS(5000)).toBe(-TOKEN_S);
    expect(credential.expiredS(5000 + (TOKEN_S + 90) * 1000)).toBe(90);
    expect(none().credential.expiredS(0)).toBeNaN();
  });

  test("discarded, nothing of it is left", () => {
    const { credential } = fresh();
    credential.discard();
    expect(credential.current).toBe("");
    expect(credential.usable(0)).toBe("");
    expect(credential.expiryS).toBe(0);
    expect(credential.expiredS(0)).toBeNaN();
  });
});

describe("signing", () => {
  test("takes SIGN_MS at most", () => {
    const { credential } = signing(700);
    expect(credential.isOverdue(700 + SIGN_MS - 1)).toBe(false);
    expect(credential.isOverdue(700 + SIGN_MS)).toBe(true);
  });

  test("a failed renewal forgets the token but not when it expires", () => {
    const { credential } = fresh();
    credential.request(3_000_000, WALL_S + 3000);
    expect(credential.onSignFailed()).toBe(true);
    expect(credential.current).toBe("");
    expect(credential.expiredS((TOKEN_S + 300) * 1000)).toBe(300);
  });

  test("answers that nobody waits for say so", () => {
    const { credential, counters } = none();
    expect(credential.onSigned(SIGNATURE)).toBe(false);
    expect(credential.onSignFailed()).toBe(false);
    expect(counters.stray).toBe(2);
  });

  test("asked again after a timeout, the text is the same: the late answer fits", () => {
    for (const afterS of [45, 299]) {
      const one = signing(1_000_000, WALL_S);
      const asked = one.effects.texts[0];
      one.credential.onSignFailed();
      one.effects.count = 0;
      one.credential.request(1_000_000 + afterS * 1000, WALL_S + afterS);
      expect(one.effects.texts[0]).toBe(asked!);
      one.credential.onSigned(SIGNATURE);
      expect(expiryIn(one)).toBe(WALL_S + TOKEN_S);
      expect(one.credential.expiredS(1_000_000 + TOKEN_S * 1000)).toBe(0);
    }
  });

  test("asked again much later, or by another clock, the text is a new one", () => {
    const cases = [
      { nowMs: 300_000, wallS: WALL_S + 300, expiryS: WALL_S + 300 + TOKEN_S },
      { nowMs: 301_000, wallS: WALL_S + 301, expiryS: WALL_S + 301 + TOKEN_S },
      { nowMs: 301_000, wallS: WALL_S, expiryS: WALL_S + TOKEN_S },
      { nowMs: 45_000, wallS: WALL_S + 9000, expiryS: WALL_S + 9000 + TOKEN_S },
      { nowMs: 45_000, wallS: 5, expiryS: 5 + TOKEN_S },
    ];
    for (const { nowMs, wallS, expiryS } of cases) {
      const one = signing(0, WALL_S);
      one.credential.onSignFailed();
      one.credential.request(nowMs, wallS);
      one.credential.onSigned(SIGNATURE);
      expect(expiryIn(one)).toBe(expiryS);
      expect(one.credential.expiredS(nowMs)).toBe(-TOKEN_S);
    }
  });

  test("a calendar before 1970 makes no impossible expiry", () => {
    expect(expiryIn(fresh(0, -7200))).toBe(TOKEN_S);
  });
});

describe("the server's time", () => {
  /** A token made by a calendar that is `skewS` off, then told the true time. */
  function told(skewS: number): Subject {
    const one = fresh(1_000_000, WALL_S + skewS);
    one.credential.discard();
    one.credential.onServerTime(WALL_S + 10, 1_010_000, WALL_S + skewS + 10);
    return one;
  }

  function nextExpiry(one: Subject, nowMs: number, wallS: number): number {
    one.credential.request(nowMs, wallS);
    one.credential.onSigned(SIGNATURE);
    return expiryIn(one);
  }

  test("within five minutes our calendar is good enough", () => {
    for (const skewS of [-300, 0, 300]) {
      const wallS = WALL_S + skewS + 400;
      expect(nextExpiry(told(skewS), 1_400_000, wallS)).toBe(wallS + TOKEN_S);
    }
  });

  test("beyond, tokens follow it", () => {
    for (const skewS of [-301, 301, -1_700_000_000, 86_400 * 365]) {
      const wallS = WALL_S + skewS + 400;
      expect(nextExpiry(told(skewS), 1_400_000, wallS)).toBe(WALL_S + 400 + TOKEN_S);
    }
  });

  test("and go on to do so when the calendar is set right meanwhile", () => {
    const one = told(-86_400 * 9000);
    expect(nextExpiry(one, 1_400_000, WALL_S + 400)).toBe(WALL_S + 400 + TOKEN_S);
  });

  test("a calendar set wrong is found out, one set right is trusted again", () => {
    const one = told(-86_400);
    one.credential.onServerTime(WALL_S + 5000, 6_000_000, WALL_S + 5000);
    // By the monotonic clock 4000 s passed, by the server's 5000: our calendar is the better one.
    expect(nextExpiry(one, 6_400_000, WALL_S + 5400)).toBe(WALL_S + 5400 + TOKEN_S);
    one.credential.onServerTime(WALL_S + 9000, 10_000_000, WALL_S);
    expect(nextExpiry(one, 10_400_000, WALL_S + 400)).toBe(WALL_S + 9400 + TOKEN_S);
  });

  test("no time learnt changes nothing, nor does it unlearn one", () => {
    const one = told(-86_400);
    one.credential.onServerTime(Number.NaN, 1_020_000, WALL_S);
    expect(nextExpiry(one, 1_400_000, 0)).toBe(WALL_S + 400 + TOKEN_S);
  });

  test("a token made after it was told is right, whatever both clocks said", () => {
    const skew = fc.integer({ min: -1_600_000_000, max: 1_000_000_000 });
    const later = fc.integer({ min: 0, max: 1_000_000 });
    fc.assert(
      fc.property(skew, later, (skewS, afterS) => {
        const one = told(skewS);
        const nowMs = 1_000_000 + (400 + afterS) * 1000;
        const trueS = WALL_S + 400 + afterS;
        const expiryS = nextExpiry(one, nowMs, trueS + skewS);
        expect(Math.abs(expiryS - trueS - TOKEN_S)).toBeLessThanOrEqual(300);
      }),
    );
  });

  test("the clock of the last token goes on by the monotonic one", () => {
    const { credential } = fresh(1000, WALL_S);
    expect(credential.clockS(91_000)).toBe(WALL_S + 90);
  });
});

test("the signature shows nowhere but in the token", () => {
  const one = fresh();
  const rest = { ...one.credential, token: "" } as Record<string, unknown>;
  delete rest.effects;
  delete rest.prng;
  expect(JSON.stringify(rest)).not.toContain(SIGNATURE.slice(0, 20));
  expect(one.logs()).toEqual([]);
});
