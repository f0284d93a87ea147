// Provision, tested: its table cell by cell, and a whole registration with what goes over the wire.
// Neighbours: `src/core/provision.ts`; `enclave` is TPM and DPS.
// Invariant: keys and signatures are checked by hand.

import { describe, expect, test } from "bun:test";
import { parseAssignment } from "../../src/core/assignment.ts";
import { Cause, type WebAnswer } from "../../src/core/effects.ts";
import { ProvisionState } from "../../src/core/provision.ts";
import {
  answered,
  assigning,
  challenged,
  chip,
  DEVICE_KEY,
  Enclave,
  HUB,
  hardware,
  IDENTITY,
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

/** A registration in a state. */
function at(state: ProvisionState): Enclave {
  const isOff = state === ProvisionState.OFF;
  const enclave = new Enclave(hardware({ data: { autoOnStartup: !isOff } })).start();
  enclave.answers = [challenged(), assigning()];
  if (state > ProvisionState.POLLING) enclave.answers.pop();
  const { provision } = enclave.rig.turn.agent.machines.identity;
  for (let moves = 0; moves < 12 && provision.state !== state; moves++) move(enclave);
  return enclave;
}

/** What becomes of an event, in the table's words. */
function seen(enclave: Enclave, event: () => void): string {
  const { identity, counters } = enclave.rig.turn.agent.machines;
  const { stray } = counters;
  event();
  if (counters.stray > stray) return "stray";
  return identity.provision.problem === "" ? "" : "fail";
}

walkTable<Enclave>({
  file: "core/provision.ts",
  states: Object.fromEntries(
    Object.values(ProvisionState)
      .filter((state) => typeof state === "number")
      .map((state) => [ProvisionState[state]!, () => at(state)]),
  ),
  stateOf: ({ rig }) => ProvisionState[rig.turn.agent.machines.identity.provision.state]!,
  events: {
    "done well": (enclave) =>
      seen(enclave, () => {
        const { provision } = enclave.rig.turn.agent.machines.identity;
        if (provision.state === ProvisionState.OFF) enclave.rig.turn.onSaved("");
        else move(enclave);
      }),
    problem: (enclave) =>
      seen(enclave, () => {
        enclave.refuse = () => RC_REFUSED;
        enclave.diskProblem = "full";
        enclave.answers = [answered(404, {})];
        move(enclave);
      }),
    deadline: (enclave) =>
      seen(enclave, () => {
        const { rig } = enclave;
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

  test("a TPM that refuses the password is not asked again for ten minutes", () => {
    const enclave = new Enclave().start();
    enclave.refuse = () => 0x9a2;
    enclave.settle();
    const { agent } = enclave.rig.turn;
    expect(agent.machines.verdict.text).toContain("wrong password");
    expect(agent.deadlineMs - enclave.rig.nowMs).toBeGreaterThanOrEqual(600_000);
  });
});
