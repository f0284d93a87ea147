/**
 * Faults and bounds of the provisioning service, each as a device meets it. Neighbours:
 * `model/faults.ts` sets them, `dpslab.ts` asks. Invariant: after a fault is cleared the same
 * device registers.
 */
import { describe, expect, test } from "bun:test";
import { Chip } from "./chip.ts";
import {
  ask,
  type Body,
  challenge,
  enrollChip,
  lastReason,
  settle,
  settleChip,
  steps,
  token,
} from "./dpslab.ts";
import { KEY, Lab, SECOND_KEY } from "./lab.ts";
import type { DeviceAnswer } from "./model/dps/request.ts";

const ID = "gw-1";
const chip = Chip.make();

/** A lab with one symmetric key enrolled, and what its device signs with. */
function enrolled(dps: Body = {}) {
  const lab = new Lab({ dps });
  const symmetricKey = { primaryKey: KEY, secondaryKey: SECOND_KEY };
  lab.hub.dps.putEnrollment("device", ID, { attestation: { type: "symmetricKey", symmetricKey } });
  return { lab, signed: { authorization: token(lab, ID, KEY, 86_400) } };
}

describe("fault", () => {
  test("dps-delay holds an answer back, though its work is done", () => {
    const { lab, signed } = enrolled();
    lab.hub.faults.add({ kind: "dps-delay", ms: 4000, count: 1 });
    const answers: DeviceAnswer[] = [];
    const request = {
      verb: "register",
      transport: "https",
      idScope: "0ne00000000",
      registrationId: ID,
      operationId: "",
      peer: undefined,
      body: {},
      ...signed,
    } as const;
    lab.hub.dps.request(request, (answer) => answers.push(answer));
    lab.pass(3.999);
    expect(answers).toEqual([]);
    expect(lab.hub.dps.getRegistration(ID).status).toBe("assigned");
    lab.pass(0.001);
    expect(answers).toMatchObject([{ status: 202 }]);
  });

  test("dps-fail with six digits ends a registration, with three the call itself", () => {
    const { lab, signed } = enrolled();
    lab.hub.faults.add({ kind: "dps-fail", count: 1 });
    expect(settle(lab, ID, signed)).toMatchObject({
      status: "failed",
      registrationState: { status: "failed", errorCode: 400208, errorMessage: "fault dps-fail" },
    });
    lab.hub.faults.add({ kind: "dps-fail", code: 400209, count: 1 });
    expect(settle(lab, ID, signed).registrationState.errorCode).toBe(400209);
    lab.hub.faults.add({ kind: "dps-fail", code: 503, count: 1 });
    expect(ask(lab, ID, signed)).toMatchObject({ status: 503, code: 503001, retryAfterS: -1 });
    expect(settle(lab, ID, signed).status).toBe("assigned");
  });

  test("dps-disabled ends in status disabled", () => {
    const { lab, signed } = enrolled();
    lab.hub.faults.add({ kind: "dps-disabled", count: 1 });
    expect(settle(lab, ID, signed).status).toBe("disabled");
    expect(settle(lab, ID, signed).status).toBe("assigned");
  });

  test("dps-throttle answers 429 and when to come again", () => {
    const { lab, signed } = enrolled();
    lab.hub.faults.add({ kind: "dps-retry-after", seconds: 17 });
    lab.hub.faults.add({ kind: "dps-throttle", count: 1 });
    expect(ask(lab, ID, signed)).toMatchObject({ status: 429, code: 429001, retryAfterS: 17 });
    expect(steps(lab).at(-1)).toBe("throttled");
    expect(ask(lab, ID, signed)).toMatchObject({ status: 202, retryAfterS: 17 });
  });

  test("dps-retry-after may ask for no wait at all", () => {
    const { lab, signed } = enrolled();
    lab.hub.faults.add({ kind: "dps-retry-after", seconds: 0, device: ID });
    expect(ask(lab, ID, signed).retryAfterS).toBe(0);
  });

  test("never-assigned lets an operation hang; a new registration is a new operation", () => {
    const { lab, signed } = enrolled();
    lab.hub.faults.add({ kind: "never-assigned", count: 1 });
    const { operationId } = ask(lab, ID, signed);
    lab.pass(3600);
    const poll = ask(lab, ID, { ...signed, verb: "poll", operationId });
    expect(poll).toMatchObject({ status: 202, body: { status: "assigning" } });
    const done = settle(lab, ID, signed);
    expect(done.status).toBe("assigned");
    expect(done.operationId).not.toBe(operationId);
  });

  for (const [kind, problem] of [
    ["wrong-blob", "TPM_RC_INTEGRITY"],
    ["short-blob", "blob is cut short"],
  ] as const) {
    test(`${kind} spoils the registration key, the device key, or both`, () => {
      const lab = new Lab();
      enrollChip(lab, ID, chip);
      const fault = lab.hub.faults.add({ kind, phase: 2 });
      const { registrationState } = settleChip(lab, ID, chip);
      expect(() => chip.open(registrationState.tpm.authenticationKey)).toThrow(problem);
      lab.hub.faults.clear(fault.id);
      lab.hub.faults.add({ kind, phase: 1, count: 1 });
      expect(() => challenge(lab, ID, chip)).toThrow(problem);
      const again = settleChip(lab, ID, chip).registrationState;
      expect(chip.open(again.tpm.authenticationKey).key).toHaveLength(32);
      lab.hub.faults.add({ kind, count: 1 });
      expect(() => challenge(lab, ID, chip)).toThrow(problem);
    });
  }

  test("of one device spares the others", () => {
    const { lab, signed } = enrolled();
    lab.hub.faults.add({ kind: "dps-throttle", device: "gw-2" });
    expect(ask(lab, ID, signed).status).toBe(202);
  });

  for (const [fault, problem] of [
    [{ kind: "dps-delay" }, /ms must be a number/],
    [{ kind: "dps-fail", code: 999 }, /code must be from 400 to 599 or from 400000 to 599999/],
    [{ kind: "dps-fail", code: 200 }, /code must be a number from 400 to 599999/],
    [{ kind: "dps-retry-after", seconds: -1 }, /seconds must be a number/],
    [{ kind: "wrong-blob", phase: 3 }, /phase must be a number from 0 to 2/],
  ] as const) {
    test(`${JSON.stringify(fault)} is refused`, () => {
      expect(() => new Lab().hub.faults.add(fault)).toThrow(problem);
    });
  }
});

describe("bounds", () => {
  test("of polls: five in ten seconds, then 429 until the oldest is ten seconds old", () => {
    const { lab, signed } = enrolled();
    lab.hub.faults.add({ kind: "never-assigned" });
    const { operationId } = ask(lab, ID, signed);
    const poll = () => ask(lab, ID, { ...signed, verb: "poll", operationId });
    for (let count = 0; count < 5; count++) {
      expect(poll().status).toBe(202);
      lab.pass(1);
    }
    expect(poll()).toMatchObject({ status: 429, retryAfterS: 5 });
    expect(lastReason(lab)).toBe("poll: more than 5 polls in ten seconds");
    lab.pass(5);
    expect(poll().status).toBe(202);
    expect(poll().status).toBe(429);
  });

  test("of registrations: all devices together", () => {
    const { lab, signed } = enrolled({ registrationsPerMinute: 2 });
    expect(ask(lab, ID, signed).status).toBe(202);
    expect(ask(lab, "gw-2", signed).status).toBe(401);
    expect(ask(lab, ID, signed)).toMatchObject({ status: 429, retryAfterS: 60 });
    lab.pass(60);
    expect(ask(lab, ID, signed).status).toBe(202);
  });

  test("may be lifted", () => {
    const { lab, signed } = enrolled({ registrationsPerMinute: 0, pollsPer10S: 0, assignMs: 1e6 });
    const { operationId } = ask(lab, ID, signed);
    const statuses = Array.from({ length: 50 }, () => {
      return ask(lab, ID, { ...signed, verb: "poll", operationId }).status;
    });
    expect(new Set(statuses)).toEqual(new Set([202]));
  });
});

test("the same requests and the same randomness give the same bytes", () => {
  const run = (): string => {
    const lab = new Lab();
    enrollChip(lab, ID, chip);
    lab.hub.faults.add({ kind: "dps-throttle", probability: 0.3 });
    const answers: Body[] = [];
    for (let round = 0; round < 10; round++) {
      answers.push(ask(lab, ID, { body: { tpm: chip.keys } }));
      lab.pass(1);
    }
    return JSON.stringify([answers, lab.events]);
  };
  expect(run()).toBe(run());
});
