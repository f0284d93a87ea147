// Validity, tested: what the calendar says of a certificate, in words, and how often; and what is
// said when somebody does not take it.
// Neighbours: `src/core/validity.ts`; `verdict.test` has the words beside a refusal.
// Invariant: dates and words are written out here.

import { describe, expect, test } from "bun:test";
import { type Circumstances, diagnose, explainRefusal } from "../../src/core/diagnosis.ts";
import { Cause, type Probed } from "../../src/core/effects.ts";
import { LinkState } from "../../src/core/link.ts";
import { Validity, validityFault, validityText } from "../../src/core/validity.ts";
import { Rig, settings } from "../rig.ts";
import { certified } from "./enclave.ts";
import { World } from "./world.ts";

const DAY_S = 86_400;
/** From 2023-11-14T22:13:20Z to 2024-11-13T22:13:20Z. */
const FROM_S = 1_700_000_000;
const UNTIL_S = FROM_S + 365 * DAY_S;
const CERTIFICATE = { commonName: "gw", fingerprint: "ab", fromS: FROM_S, untilS: UNTIL_S };

describe("the words", () => {
  const cases: readonly (readonly [string, number, string, string])[] = [
    [
      "before it begins",
      FROM_S - 1,
      "by this clock the device's certificate is not valid before 2023-11-14T22:13:20Z; " +
        "set the clock, or wait",
      "the same",
    ],
    ["from its first second", FROM_S, "", ""],
    ["30 days before its end", UNTIL_S - 30 * DAY_S, "", ""],
    [
      "less than 30 days before",
      UNTIL_S - 30 * DAY_S + 1,
      "",
      "the device's certificate ends in 29 days, on 2024-11-13T22:13:20Z; put a new one into " +
        "certificate-file and start azimuth again",
    ],
    [
      "on the last day but one",
      UNTIL_S - DAY_S,
      "",
      "the device's certificate ends in 1 day, on 2024-11-13T22:13:20Z; put a new one into " +
        "certificate-file and start azimuth again",
    ],
    [
      "at the last second",
      UNTIL_S,
      "",
      "the device's certificate ends in less than a day, on 2024-11-13T22:13:20Z; put a new " +
        "one into certificate-file and start azimuth again",
    ],
    [
      "after it",
      UNTIL_S + 1,
      "by this clock the device's certificate expired on 2024-11-13T22:13:20Z; put a new one " +
        "into certificate-file and start azimuth again",
      "the same",
    ],
  ];
  for (const [what, wallS, fault, text] of cases) {
    test(what, () => {
      expect(validityFault(CERTIFICATE, wallS)).toBe(fault);
      expect(validityText(CERTIFICATE, wallS)).toBe(text === "the same" ? fault : text);
    });
  }

  test("of no certificate there are none", () => {
    expect([validityFault(undefined, 0), validityText(undefined, 0)]).toEqual(["", ""]);
  });
});

describe("the look", () => {
  test("is at start and each day, and never without a certificate", () => {
    const world = new World();
    const validity = new Validity(world.effects, CERTIFICATE);
    const bare = new Validity(world.effects, undefined);
    validity.start(5000, UNTIL_S - 40 * DAY_S);
    bare.start(5000, UNTIL_S);
    expect([validity.deadlineMs, bare.deadlineMs]).toEqual([
      5000 + DAY_S * 1000,
      Number.POSITIVE_INFINITY,
    ]);
    expect(world.effects.count).toBe(0);
    validity.onDeadline(6000, UNTIL_S);
    expect(world.effects.count).toBe(0);
    validity.onDeadline(5000 + DAY_S * 1000, UNTIL_S);
    expect(world.effects.count).toBe(1);
    expect(validity.deadlineMs).toBe(5000 + 2 * DAY_S * 1000);
  });

  test("warns in the log once a day, connected or not", () => {
    const untilS = FROM_S + 31.5 * DAY_S;
    const certificate = { ...CERTIFICATE, untilS };
    const rig = new Rig(certified({ endpoint: { certificate }, data: { autoOnStartup: false } }));
    rig.turn.start();
    const seen: string[] = [];
    for (let days = 0; days < 4; days++) {
      rig.pass(DAY_S * 1000);
      seen.push(...rig.logs().filter((line) => line.includes("certificate")));
    }
    expect(seen.map((line) => /ends in (\d+) days/.exec(line)?.[1])).toEqual(["29", "28", "27"]);
  });
});

describe("what others have against it", () => {
  const endpoint = settings({ endpoint: { type: "x509", key: "" } }).endpoint;
  const line = (cause: Cause, parts: Partial<Circumstances> = {}): string => {
    const facts = { step: LinkState.SECURING, upMs: 0, unanswered: "", shortLived: 0 };
    return diagnose({ ...facts, cause, detail: "", endpoint, expiredS: Number.NaN, ...parts });
  };
  const alerts = [
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    "SSLV3_ALERT_CERTIFICATE_REVOKED",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "EPROTO: error:10000418:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA",
    "TLSV1_ALERT_ACCESS_DENIED",
    "TLSV1_ALERT_CERTIFICATE_REQUIRED",
  ];
  for (const detail of alerts) {
    test(`${detail} is about ours`, () => {
      expect(line(Cause.TLS_HANDSHAKE_FAILED, { detail })).toBe(
        "TLS: hub.example:8883 did not accept this device's certificate; check " +
          `certificate-file (${detail})`,
      );
      const sas = settings({}).endpoint;
      const other = line(Cause.TLS_HANDSHAKE_FAILED, { detail, endpoint: sas });
      expect(other).toContain("the handshake with");
    });
  }

  test("other alerts are not", () => {
    const detail = "SSLV3_ALERT_HANDSHAKE_FAILURE";
    expect(line(Cause.TLS_HANDSHAKE_FAILED, { detail })).toContain("the handshake with");
  });

  test("a connection that was cut before anything was said may be about ours, too", () => {
    expect(line(Cause.TCP_RESET)).toBe(
      "reset by hub.example before TLS stood; a firewall or proxy may stand in the way, or this " +
        "device's certificate is not accepted",
    );
    const step = LinkState.GREETING;
    expect(line(Cause.TCP_RESET, { step })).toEndWith(
      "or the hub did not accept certificate, user name, client id or protocol",
    );
    expect(line(Cause.CLOSED_BY_PEER, { step })).toStartWith(
      "closed by the hub right after CONNECT: certificate, user name, client id or protocol",
    );
  });

  test("a refusal is not blamed on key or clock", () => {
    expect(line(Cause.CONNACK_NOT_AUTHORISED)).toBe(
      "refused by the hub (CONNACK 5): device dev1 unknown or disabled, or another certificate " +
        "expected; looking closer",
    );
  });

  const cases: readonly (readonly [Partial<Probed>, string])[] = [
    [
      {},
      "another certificate of device dev1, or no such device; enter this one's thumbprint there",
    ],
    [{ dateS: 1 }, "hub.example knows another certificate of device dev1, or no such device"],
    [{ status: 204 }, "HTTPS accepts the same certificate; device dev1 may have been refused"],
    [{ status: 404, errorCode: "DeviceNotFound" }, "device dev1 unknown at hub.example; create it"],
    [{ status: 0 }, "device dev1 unknown or disabled, or another certificate expected (the hub's"],
  ];
  for (const [parts, words] of cases) {
    test(`explained: ${words}`, () => {
      const probed = { dateS: 1_700_000_000, status: 401, errorCode: "", ...parts };
      expect(explainRefusal(probed, 1_700_000_000, endpoint)).toContain(words);
    });
  }

  test("with DPS behind it no thumbprint has to be entered by hand", () => {
    const registered = { ...endpoint, idScope: "0ne1" };
    const probed = { dateS: 1, status: 401, errorCode: "" };
    expect(explainRefusal(probed, 1, registered)).toEndWith("; DPS is asked if that goes on");
    const keyed = { ...registered, type: "symmetric-key" as const };
    expect(explainRefusal(probed, 1, keyed)).toEndWith(
      "key wrong for device dev1, or no such device (not the clock); DPS is asked if that goes on",
    );
  });
});
