// DPS, tested: paths, answers of every shape, and the words of each refusal.
// Neighbours: `src/core/dps.ts`; `provision` asks and tells.
// Invariant: the words are written out here; no body makes it throw.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  clockText,
  dpsProblem,
  dpsRequest,
  isWaiting,
  readDpsAnswer,
  waitMs,
} from "../../src/core/dps.ts";
import type { WebAnswer } from "../../src/core/effects.ts";
import {
  answered,
  assigned,
  assigning,
  certified,
  challenged,
  HUB,
  hardware,
  keyed,
  SCOPE,
} from "./enclave.ts";

const { endpoint } = hardware();

function problem(answer: WebAnswer, isSigned = false): string {
  return dpsProblem(answer, readDpsAnswer(answer), "gw", endpoint, isSigned);
}

const refusal = (status: number, errorCode: number, message = "No"): WebAnswer =>
  answered(status, { errorCode, message });

test("a request names scope and registration as a URL can carry them", () => {
  expect(dpsRequest(endpoint, "a:b", "PUT", "register")).toEqual({
    method: "PUT",
    host: "dps.example",
    port: 443,
    path: `/${SCOPE}/registrations/a%3Ab/register?api-version=2021-06-01`,
  });
});

test("it is asked again while the service is at it or has too much to do, as it says when", () => {
  const waits = (answer: WebAnswer): number =>
    isWaiting(answer, readDpsAnswer(answer)) ? waitMs(answer) : 0;
  expect(waits(assigning())).toBe(2000);
  expect(waits(assigning({ retryAfterS: 7 }))).toBe(7000);
  expect(waits(assigning({ retryAfterS: 0 }))).toBe(1000);
  expect(waits(answered(429, {}, { retryAfterS: 9999 }))).toBe(300_000);
  expect(waits(answered(503, {}))).toBe(2000);
  expect(waits(answered(200, { status: "assigning" }))).toBe(2000);
  for (const answer of [assigned(), answered(401, {}), answered(200, { status: "failed" })]) {
    expect(waits(answer)).toBe(0);
  }
});

test("a clock is named only when it is off by more than the service tolerates", () => {
  expect([clockText(Number.NaN), clockText(300), clockText(-300)]).toEqual(["", "", ""]);
  expect(clockText(301)).toBe(
    "; this clock is 5 min 1 s ahead of the service's, whose time the next token follows",
  );
  expect(clockText(-7200)).toContain("2 h behind the service's");
});

describe("an answer", () => {
  const nothing = {
    status: "",
    operation: "",
    key: "",
    hubName: "",
    deviceId: "",
    errorCode: 0,
    message: "",
  };

  test("of each step gives what it holds", () => {
    expect(readDpsAnswer(challenged("a2V5"))).toEqual({ ...nothing, key: "a2V5" });
    expect(readDpsAnswer(assigning())).toEqual({
      ...nothing,
      status: "assigning",
      operation: "4.op",
    });
    expect(readDpsAnswer(assigned("gw7", "a2V5", "h.example"))).toEqual({
      ...nothing,
      status: "assigned",
      operation: "4.op",
      key: "a2V5",
      hubName: "h.example",
      deviceId: "gw7",
    });
  });

  test("of any other kind gives nothing, and nothing is thrown", () => {
    for (const body of ["", "no JSON", "null", "[]", "1", '"x"', "{}", '{"status":1}']) {
      expect(readDpsAnswer({ ...assigning(), body })).toEqual(nothing);
    }
    fc.assert(
      fc.property(fc.json(), (body) => {
        const answer = { ...assigning(), body };
        expect(problem(answer)).not.toContain("\n");
      }),
    );
  });

  test("a place that no hub and no device can have is none, and said to be none", () => {
    const cases = [
      ["gw 7", HUB],
      ["gw/7", HUB],
      ["gw#", HUB],
      ["\ud800", HUB],
      ["x".repeat(129), HUB],
      ["gw7", "hub example"],
      ["gw7", "hub.example:8883"],
      ["gw7", "-hub.example"],
      ["gw7", "hub.example\r\nX: y"],
    ] as const;
    for (const [deviceId, hub] of cases) {
      const answer = assigned(deviceId, "a2V5", hub);
      const { hubName, deviceId: device } = readDpsAnswer(answer);
      expect(hubName === "" || device === "").toBe(true);
      expect(problem(answer, true)).toBe(
        "DPS assigned gw to a hub or a device with no possible name (HTTP 200)",
      );
    }
  });

  test("an operation that no path can carry is none", () => {
    expect(readDpsAnswer(answered(202, { operationId: "\ud800" })).operation).toBe("");
  });

  test("nothing in a message steers a terminal", () => {
    const said = "a\u001b[2J\u202eb\u0000\u0085\u2028c";
    expect(problem(refusal(500, 500001, said))).toEndWith("(error 500001: a [2J b c)");
    const cut = `x${"\u{1f600}".repeat(150)}`;
    expect(problem(refusal(500, 500001, cut)).isWellFormed()).toBe(true);
  });

  test("an operation cannot lead to another path", () => {
    const answer = answered(202, { operationId: "../x?y" });
    expect(readDpsAnswer(answer).operation).toBe("..%2Fx%3Fy");
  });
});

describe("a refusal says what to do", () => {
  const cases: readonly (readonly [string, WebAnswer, boolean, string])[] = [
    [
      "nobody there",
      { ...answered(0, {}), problem: "refused: nothing listens there" },
      false,
      "DPS: no answer from dps.example:443: refused: nothing listens there",
    ],
    [
      "not enrolled",
      refusal(401, 401002, "Unauthorized"),
      false,
      `DPS refused gw: no enrollment with this TPM's endorsement key in scope ${SCOPE}, ` +
        "or it is disabled; enrol the TPM (error 401002: Unauthorized)",
    ],
    [
      "not found",
      refusal(404, 404201),
      true,
      `DPS refused gw: no enrollment with this TPM's endorsement key in scope ${SCOPE}, ` +
        "or it is disabled; enrol the TPM (error 404201: No)",
    ],
    [
      "another storage root key",
      refusal(401, 401002),
      true,
      "DPS refused gw although its TPM opened the challenge: the enrollment knows another " +
        "storage root key or was changed just now; enrol the TPM again (error 401002: No)",
    ],
    [
      "scope",
      refusal(404, 404001),
      false,
      `DPS knows nothing of scope ${SCOPE}; check id-scope (error 404001: No)`,
    ],
    [
      "throttled",
      refusal(429, 429001),
      false,
      "DPS has too many requests at present (error 429001: No)",
    ],
    ["an error", answered(500, {}), true, "DPS answered gw with an error (HTTP 500)"],
    [
      "disabled",
      answered(200, { status: "disabled" }),
      true,
      "DPS: enrollment gw is disabled; enable it (HTTP 200)",
    ],
    [
      "no hub",
      answered(200, { status: "failed", registrationState: { errorCode: 400208 } }),
      true,
      "DPS found no hub for gw; link one to the service (error 400208)",
    ],
    [
      "failed",
      answered(200, {
        status: "failed",
        registrationState: { errorCode: 400004, errorMessage: "two\nlines" },
      }),
      true,
      "DPS could not assign gw (error 400004: two lines)",
    ],
    [
      "never assigned",
      assigning(),
      true,
      "DPS did not finish the registration of gw in time (HTTP 202)",
    ],
  ];
  for (const [what, answer, isSigned, words] of cases) {
    test(what, () => expect(problem(answer, isSigned)).toBe(words));
  }

  test("and no more of the service's words than fit on a line", () => {
    expect(problem(refusal(500, 500001, "x".repeat(5000))).length).toBeLessThan(300);
  });
});

describe("a refusal of a key or a certificate", () => {
  const told = (given: ReturnType<typeof hardware>, answer: WebAnswer): string =>
    dpsProblem(answer, readDpsAnswer(answer), "gw", given.endpoint, true);

  test("names what DPS can have against a key", () => {
    expect(told(keyed(), refusal(401, 401002))).toBe(
      `DPS refused gw: its enrollment in scope ${SCOPE} has another key, is not there or is ` +
        "disabled; copy its key again (error 401002: No)",
    );
    expect(told(keyed({ endpoint: { isGroup: true } }), refusal(401, 401002))).toBe(
      `DPS refused gw: no enrollment group in scope ${SCOPE} has this key, or it is disabled; ` +
        "copy the group's key again (error 401002: No)",
    );
    expect(told(keyed(), refusal(404, 404201))).toBe(
      `DPS refused gw: no enrollment of that name in scope ${SCOPE}; enrol it or check ` +
        "registration-id (error 404201: No)",
    );
  });

  test("names what DPS can have against a certificate", () => {
    for (const answer of [refusal(401, 401002), refusal(403, 403001), refusal(404, 404201)]) {
      expect(told(certified(), answer)).toStartWith(
        `DPS refused gw: scope ${SCOPE} has no enrollment with this certificate or with one ` +
          "that signed it, or it is disabled; enrol the certificate, or put the whole chain " +
          "into certificate-file (error 40",
      );
    }
  });

  test("in the TLS handshake is told as one, of a certificate alone", () => {
    const answer = { ...answered(0, {}), problem: "TLS: TLSV1_ALERT_UNKNOWN_CA" };
    expect(told(certified(), answer)).toBe(
      "DPS: dps.example:443 did not accept this device's certificate; check certificate-file " +
        "(TLS: TLSV1_ALERT_UNKNOWN_CA)",
    );
    expect(told(keyed(), answer)).toStartWith("DPS: no answer from dps.example:443: TLS: TLSV1");
  });

  test("of the scope is that, whoever asks", () => {
    for (const given of [keyed(), certified()]) {
      expect(told(given, refusal(404, 404001))).toStartWith("DPS knows nothing of scope");
    }
  });
});
