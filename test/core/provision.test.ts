// Provision, tested: its table cell by cell, and a whole registration with what goes over the wire.
// Neighbours: `src/core/provision.ts`; `enclave` is TPM and DPS.
// Invariant: keys and signatures are checked by hand.

import { describe, expect, test } from "bun:test";
import { parseAssignment } from "../../src/core/assignment.ts";
import { Cause, type WebAnswer } from "../../src/core/effects.ts";
import { ProvisionState } from "../../src/core/provision.ts";
import {
  answered,
  assigned,
  assigning,
  CERTIFICATE,
  certified,
  challenged,
  chip,
  DEVICE_KEY,
  ENROLLED_KEY,
  Enclave,
  HUB,
  hardware,
  IDENTITY,
  keyed,
  REGISTRATION_KEY,
  SCOPE,
  signatureOf,
} from "./enclave.ts";
import { walkTable } from "./table.ts";

const RC_REFUSED = 0x1df;

/** Steps until the registration is in another state; at most as many as the longest takes. */
function move(enclave: Enclave): void {
  const { provision } = enclave.rig.turn.agent.machines.identity;
  const before = provision.state;
  for (let steps = 0; steps < 40 && provision.state === before; steps++) {
    if (!enclave.step()) return;
  }
}

type Given = ReturnType<typeof hardware>;
/** How the device proves itself, by the table's columns. */
const WAYS: Readonly<Record<string, (parts: Parameters<typeof hardware>[0]) => Given>> = {
  TPM: hardware,
  key: keyed,
  certificate: certified,
};

/** A registration in a state; undefined where that way has no such step. */
function at(state: ProvisionState, way = "TPM"): Enclave | undefined {
  const isOff = state === ProvisionState.OFF;
  const enclave = new Enclave(WAYS[way]!({ data: { autoOnStartup: !isOff } })).start();
  enclave.answers = way === "TPM" ? [challenged(), assigning()] : [assigning()];
  if (state > ProvisionState.POLLING) enclave.answers.pop();
  const { provision } = enclave.rig.turn.agent.machines.identity;
  for (let moves = 0; moves < 12 && provision.state !== state; moves++) move(enclave);
  return provision.state === state ? enclave : undefined;
}

/** What a cell is about: one registration, of whichever way. */
interface Subject {
  readonly state: ProvisionState;
  enclave: Enclave;
}

/** What becomes of an event, in the table's words. */
function seen({ enclave }: Subject, event: () => void): string {
  const { identity, counters } = enclave.rig.turn.agent.machines;
  const { stray } = counters;
  event();
  if (counters.stray > stray) return "stray";
  return identity.provision.problem === "" ? "" : "fail";
}

/** A step done well, of a device of that way. */
function well(subject: Subject, way: string): string {
  const enclave = at(subject.state, way);
  if (enclave === undefined) return "";
  subject.enclave = enclave;
  return seen(subject, () => {
    if (subject.state === ProvisionState.OFF) enclave.rig.turn.onSaved("");
    else move(enclave);
  });
}

walkTable<Subject>({
  file: "core/step.ts",
  states: Object.fromEntries(
    Object.values(ProvisionState)
      .filter((state) => typeof state === "number")
      .map((state) => [ProvisionState[state]!, () => ({ state, enclave: at(state)! })]),
  ),
  stateOf: ({ enclave }) =>
    ProvisionState[enclave.rig.turn.agent.machines.identity.provision.state]!,
  events: {
    TPM: (subject) => well(subject, "TPM"),
    key: (subject) => well(subject, "key"),
    certificate: (subject) => well(subject, "certificate"),
    problem: (subject) =>
      seen(subject, () => {
        const { enclave } = subject;
        enclave.refuse = () => RC_REFUSED;
        enclave.diskProblem = "full";
        enclave.answers = [answered(404, {})];
        move(enclave);
      }),
    deadline: (subject) =>
      seen(subject, () => {
        const { rig } = subject.enclave;
        const { deadlineMs } = rig.turn.agent.machines.identity.provision;
        if (deadlineMs < Number.POSITIVE_INFINITY) rig.pass(deadlineMs - rig.nowMs);
      }),
  },
  look: () => [],
});

/** An enclave whose DPS has answered `answers`. */
function registered(answers: WebAnswer[], given = hardware(), kept = ""): Enclave {
  const enclave = new Enclave(given, kept).start();
  enclave.answers = answers;
  return enclave.settle();
}

describe("a registration", () => {
  test("asks, proves, polls after Retry-After, and ends with the device key in its place", () => {
    const enclave = registered([challenged(), assigning({ retryAfterS: 7 })]);
    const { rig } = enclave;
    const { provision } = rig.turn.agent.machines.identity;
    expect(provision.deadlineMs).toBe(rig.nowMs + 7000);
    rig.pass(7000);
    enclave.settle();
    const base = `/${SCOPE}/registrations/${chip.registrationId}`;
    expect(enclave.asked.map(({ method, path }) => `${method} ${path.split("?")[0]}`)).toEqual([
      `PUT ${base}/register`,
      `PUT ${base}/register`,
      `GET ${base}/operations/4.op`,
    ]);
    const { registrationId, ...rest } = JSON.parse(enclave.asked[0]!.body);
    expect([registrationId, rest.tpm]).toEqual([chip.registrationId, chip.keys]);
    expect(enclave.asked.map((one) => one.authorization === "")).toEqual([true, false, false]);
    expect(enclave.tpm.persistent.get(IDENTITY)?.key).toEqual(DEVICE_KEY);
    expect(enclave.tpm.leftovers).toBe(0);
    expect(parseAssignment(rig.kept)).toEqual({
      idScope: SCOPE,
      hubName: HUB,
      deviceId: "gw7",
      registrationId: chip.registrationId,
      endorsement: chip.registrationId,
      atS: 1_700_000_007,
      isPending: false,
    });
  });

  test("signs with the key of the challenge, by the clock of the service", () => {
    const enclave = registered([{ ...challenged(), dateS: 1_800_000_000 }]);
    const { authorization } = enclave.asked[1]!;
    const resource = encodeURIComponent(`${SCOPE}/registrations/${chip.registrationId}`);
    const signature = signatureOf(REGISTRATION_KEY, `${resource}\n1800003600`);
    expect(authorization).toBe(
      `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature)}` +
        "&se=1800003600&skn=registration",
    );
  });

  test("by another name when the settings give one", () => {
    const given = hardware({ endpoint: { registrationId: "acde48001122" } });
    const enclave = registered([challenged()], given);
    expect(enclave.asked[0]!.path).toContain("/registrations/acde48001122/register");
  });

  test("is marked as begun before it is signed for, and as ended when its key is safe", () => {
    const enclave = new Enclave().start();
    enclave.answers = [challenged()];
    while (enclave.asked.length < 2) enclave.step();
    expect(parseAssignment(enclave.rig.kept)).toMatchObject({ isPending: true, hubName: "" });
    enclave.settle();
    expect(parseAssignment(enclave.rig.kept)?.isPending).toBe(false);
  });

  test("goes on when the disk takes nothing, which is told", () => {
    const enclave = new Enclave().start();
    enclave.answers = [challenged()];
    enclave.diskProblem = "/var/lib/azimuth: EROFS";
    enclave.settle();
    expect(enclave.rig.turn.agent.settings.endpoint.deviceId).toBe("gw7");
    const told = enclave.rig.logs().filter((line) => line.includes("EROFS"));
    expect(told).toEqual(
      Array(2).fill("the assignment could not be kept: /var/lib/azimuth: EROFS"),
    );
  });

  test("polls on while DPS is throttling, and no longer than it should", () => {
    const enclave = registered([challenged(), assigning(), answered(429, {}), answered(503, {})]);
    const { rig } = enclave;
    for (let at = 0; at < 3; at++) {
      rig.pass(2000);
      enclave.settle();
    }
    expect(rig.turn.agent.settings.endpoint.deviceId).toBe("gw7");
    const slow = registered([challenged(), ...Array.from({ length: 99 }, () => assigning())]);
    for (let at = 0; at < 61; at++) {
      slow.rig.pass(2000);
      slow.settle();
    }
    const { provision } = slow.rig.turn.agent.machines.identity;
    expect(provision.problem).toContain("did not finish the registration");
  });

  test("with a TPM that is not the one of the last time says so", () => {
    const first = registered([challenged()]);
    const kept = first.rig.kept.replace(/"endorsement":"[a-z2-7]+"/, '"endorsement":"other"');
    const pending = kept.replace('"isPending":false', '"isPending":true');
    const enclave = registered([answered(404, { errorCode: 404201 })], hardware(), pending);
    const { problem, cause } = enclave.rig.turn.agent.machines.identity.provision;
    expect(problem).toEndWith("it was cleared or replaced, so its new key must be enrolled");
    expect(cause).toBe(Cause.DPS_REFUSED);
  });

  test("with a TPM that was cleared says what DPS may still know, and only where it fits", () => {
    const known = registered([challenged()]).rig.kept.replace("false", "true");
    const problemAfter = (kept: string, ...answers: WebAnswer[]): string =>
      registered(answers, hardware(), kept).rig.turn.agent.machines.identity.provision.problem;
    const refused = answered(401, { errorCode: 401002 });
    expect(problemAfter(known, refused)).toEndWith(
      "; it was registered before with this endorsement key: if the TPM was cleared since, " +
        "delete its enrollment and make it anew, for DPS knows the old storage root key",
    );
    expect(problemAfter("", refused)).toEndWith("enrol the TPM (error 401002)");
    expect(problemAfter(known, answered(429, {}))).toEndWith("at present (HTTP 429)");
    expect(problemAfter(known, challenged(), refused)).toEndWith("(error 401002)");
  });

  test("a wrong owner password is found before DPS gives the device another key", () => {
    const first = registered([challenged()]);
    const again = first.rig.kept.replace('"isPending":false', '"isPending":true');
    const enclave = new Enclave(hardware(), again);
    for (const [handle, thing] of first.tpm.persistent) enclave.tpm.persistent.set(handle, thing);
    enclave.tpm.isOwnerLocked = true;
    enclave.start().settle();
    expect(enclave.asked).toEqual([]);
    const { problem, cause } = enclave.rig.turn.agent.machines.identity.provision;
    expect(problem).toBe(
      "the TPM could not read its keys: prove the owner password: 0x9a2: wrong password " +
        "(session 1); check owner-password-file and endorsement-password-file",
    );
    expect(cause).toBe(Cause.TPM_REFUSED);
    expect(enclave.tpm.leftovers).toBe(0);
  });

  test("a TPM that refuses the password is not asked again for ten minutes", () => {
    const enclave = new Enclave().start();
    enclave.refuse = () => 0x9a2;
    enclave.settle();
    const { agent } = enclave.rig.turn;
    expect(agent.machines.verdict.text).toContain("wrong password");
    expect(agent.deadlineMs - enclave.rig.nowMs).toBeGreaterThanOrEqual(600_000);
  });
});

/** Requests that went to DPS: method, path without version, token, body. */
const wire = ({ asked }: Enclave) =>
  asked.map(({ method, path, authorization, body }) => ({
    line: `${method} ${path.split("?")[0]}`,
    authorization,
    body,
  }));
const BASE = `/${SCOPE}/registrations/gw-7`;

/** The token of `key` for the registration until `expiryS`. */
function authorizationOf(key: Buffer, expiryS: number): string {
  const resource = encodeURIComponent(`${SCOPE}/registrations/gw-7`);
  const signature = encodeURIComponent(signatureOf(key, `${resource}\n${expiryS}`));
  return `SharedAccessSignature sr=${resource}&sig=${signature}&se=${expiryS}&skn=registration`;
}

describe("a registration by a key", () => {
  test("is signed with it from the first request on, and keeps what DPS says", () => {
    const enclave = registered([assigning({ retryAfterS: 3 }), assigned("gw7")], keyed());
    enclave.rig.pass(3000);
    enclave.settle();
    const authorization = authorizationOf(ENROLLED_KEY, 1_700_003_600);
    expect(wire(enclave)).toEqual([
      { line: `PUT ${BASE}/register`, authorization, body: '{"registrationId":"gw-7"}' },
      { line: `GET ${BASE}/operations/4.op`, authorization, body: "" },
    ]);
    expect(parseAssignment(enclave.rig.kept)).toEqual({
      idScope: SCOPE,
      hubName: HUB,
      deviceId: "gw7",
      registrationId: "gw-7",
      endorsement: expect.stringMatching(/^key:[a-z2-7]{16}$/),
      atS: 1_700_000_003,
      isPending: false,
    });
    expect(enclave.rig.take().filter((call) => /^(perform|sweep)/.test(call))).toEqual([]);
  });

  test("with a wrong clock is told so, and follows the service's clock the next time", () => {
    const dateS = 1_800_000_000;
    const enclave = registered([answered(401, { errorCode: 401002 }, { dateS })], keyed());
    expect(enclave.rig.turn.agent.machines.verdict.text).toEndWith(
      "(error 401002); this clock is 1157 d 9 h behind the service's, whose time the next " +
        "token follows",
    );
    enclave.rig.pass(20_000);
    enclave.answers = [assigned()];
    enclave.settle();
    const waitedS = enclave.rig.wallS - 1_700_000_000;
    const se = Number(/&se=(\d+)/.exec(enclave.asked[1]!.authorization)![1]);
    expect(se).toBeGreaterThanOrEqual(dateS + 3600);
    expect(se).toBeLessThanOrEqual(dateS + 3600 + waitedS);
  });

  test("refused after a long wait is not blamed on a clock that is right", () => {
    const long = { retryAfterS: 300 };
    const enclave = registered([assigning(long), assigning(long)], keyed());
    const { rig } = enclave;
    rig.pass(300_000);
    enclave.settle();
    enclave.answers = [answered(401, { errorCode: 401002 }, { dateS: rig.wallS + 300 })];
    rig.pass(300_000);
    enclave.settle();
    expect(enclave.asked).toHaveLength(3);
    expect(rig.turn.agent.machines.verdict.text).toEndWith("(error 401002)");
  });

  test("that does not sign, or not in time, fails with a reason", () => {
    const enclave = new Enclave(keyed());
    enclave.signerProblem = "gone";
    enclave.start().settle();
    const { agent } = enclave.rig.turn;
    expect(agent.machines.verdict.text).toBe("not registered: the key could not sign: gone");
    const silent = new Enclave(keyed()).start();
    silent.rig.pass(30_000);
    const { verdict } = silent.rig.turn.agent.machines;
    expect(verdict.text).toBe("not registered: the key took too long");
  });

  test("given up in the middle leaves a late signature to nobody", () => {
    const enclave = new Enclave(keyed()).start();
    const { turn } = enclave.rig;
    turn.onCommand(1, ["disconnect"]);
    const { stray } = turn.agent.machines.counters;
    enclave.settle();
    expect(turn.agent.machines.counters.stray).toBe(stray + 1);
    expect([enclave.asked.length, enclave.rig.kept]).toEqual([0, ""]);
  });
});

describe("a registration by a certificate", () => {
  test("has no token, and is marked as begun before it is asked for", () => {
    const enclave = new Enclave(certified()).start();
    expect(parseAssignment(enclave.rig.kept)).toMatchObject({ isPending: true, hubName: "" });
    enclave.answers = [assigned("gw7")];
    enclave.settle();
    expect(wire(enclave)).toEqual([
      { line: `PUT ${BASE}/register`, authorization: "", body: '{"registrationId":"gw-7"}' },
    ]);
    expect(parseAssignment(enclave.rig.kept)).toMatchObject({
      deviceId: "gw7",
      endorsement: `certificate:${CERTIFICATE.fingerprint}`,
      isPending: false,
    });
  });

  test("goes on when the disk takes nothing", () => {
    const enclave = new Enclave(certified()).start();
    enclave.diskProblem = "/var/lib/azimuth: EROFS";
    enclave.settle();
    expect(enclave.rig.turn.agent.settings.endpoint.deviceId).toBe("gw7");
  });
});
