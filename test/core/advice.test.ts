// Advice: what a diagnosis tells to do fits the endpoint: where its names and its key come from.
// Neighbours: `src/core/diagnosis.ts`; `diagnosis.test.ts` has the lines of every cause.
// Invariant: the lines are written out in full.

import { expect, test } from "bun:test";
import { diagnose, explainRefusal } from "../../src/core/diagnosis.ts";
import { Cause, type Probed } from "../../src/core/effects.ts";
import { LinkState } from "../../src/core/link.ts";
import { settings } from "../rig.ts";

const { endpoint } = settings({});

function line(cause: Cause, parts: { endpoint: typeof endpoint }): string {
  const facts = { detail: "", step: LinkState.DIALING, upMs: 0, unanswered: "" };
  return diagnose({ cause, ...facts, expiredS: Number.NaN, shortLived: 0, ...parts });
}

const known = { dateS: 1_700_000_000, status: 404, errorCode: "DeviceNotFound" };
const told = (parts: Partial<typeof endpoint>, probed: Probed): string =>
  explainRefusal(probed, 1_700_000_000, { ...endpoint, ...parts });

test("an endpoint that DPS has named is not looked for in a connection string", () => {
  const named = { endpoint: { ...endpoint, idScope: "0ne00000001" } };
  expect([
    line(Cause.NAME_NOT_FOUND, named),
    line(Cause.TLS_NAME_MISMATCH, named),
    line(Cause.CONNACK_IDENTIFIER, named),
    told(named.endpoint, known),
    told(named.endpoint, { ...known, status: 401, errorCode: "" }),
  ]).toEqual([
    "name not found: hub.example; check the DNS server",
    "TLS: the certificate is not for hub.example; something on the way intercepts TLS",
    "the hub refused the client id dev1 (CONNACK 2); check the device id of the enrollment",
    "refused by the hub: device dev1 unknown at hub.example; DPS is asked again",
    "refused by the hub: key wrong for device dev1, or no such device (not the clock); " +
      "DPS is asked if that goes on",
  ]);
});

test("one whose key is sealed is told to seal another", () => {
  expect(told({ isSealed: true }, { ...known, status: 401, errorCode: "" })).toEndWith(
    "put its connection string back and run azimuth seal again",
  );
});
