// DPS, tested: paths, answers of every shape, and the words of each refusal.
// Neighbours: `src/core/dps.ts`; `provision` asks and tells.
// Invariant: the words are written out here; no body makes it throw.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { dpsPath, dpsProblem, readDpsAnswer } from "../../src/core/dps.ts";
import type { WebAnswer } from "../../src/core/effects.ts";
import { answered, assigned, assigning, challenged, HUB, hardware, SCOPE } from "./enclave.ts";

const { endpoint } = hardware();

function problem(answer: WebAnswer, isSigned = false): string {
  return dpsProblem(answer, readDpsAnswer(answer), "gw", endpoint, isSigned);
}

const refusal = (status: number, errorCode: number, message = "No"): WebAnswer =>
  answered(status, { errorCode, message });

test("a path names scope and registration as a URL can carry them", () => {
  expect(dpsPath("0ne1", "a:b", "register")).toBe(
    "/0ne1/registrations/a%3Ab/register?api-version=2021-06-01",
  );
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
