// Identity without a TPM, tested on a rig: registered by the key of an enrollment or a certificate.
// Neighbours: `src/core/identity.ts`; `identity.test` has the endpoint with a TPM.
// Invariant: what goes to the hub is looked at on the wire.

import { describe, expect, test } from "bun:test";
import { AgentState } from "../../src/core/agent.ts";
import { parseAssignment } from "../../src/core/assignment.ts";
import { Cause } from "../../src/core/effects.ts";
import { connack, pingresp } from "../rig.ts";
import {
  answered,
  assigned,
  CERTIFICATE,
  certified,
  ENROLLED_KEY,
  Enclave,
  HUB,
  keyed,
} from "./enclave.ts";
import { password, refuse, state, tokenOf } from "./greeting.ts";

/** Registered by key or certificate, and with CONNECT sent. */
function enrolled(given = keyed(), kept = ""): Enclave {
  const enclave = new Enclave(given, kept).start();
  enclave.answers = [assigned("gw7")];
  return enclave.settle();
}

/** User name and password of the CONNECT that is sent next. */
function greeting({ rig }: Enclave): { flags: number; text: string } {
  rig.secure();
  const connect = rig.sent().findLast((one) => one.type === 1);
  return { flags: connect!.body[7]!, text: new TextDecoder().decode(connect!.body) };
}

describe("with the key of an enrollment", () => {
  test("the hub's token is signed with the same key", () => {
    const enclave = enrolled();
    expect(enclave.rig.target).toEqual([{ host: HUB, port: 8883, roots: "" }]);
    expect(password(enclave)).toBe(tokenOf(ENROLLED_KEY, 1_700_003_600));
    expect(enclave.rig.turn.agent.machines.counters.stray).toBe(0);
  });

  test("the next start asks the hub; with another key DPS, and failing that the hub", () => {
    const { kept } = enrolled().rig;
    const same = new Enclave(keyed(), kept).start().settle();
    expect([state(same), same.asked.length]).toEqual(["LINKING", 0]);
    const key = Buffer.alloc(32, 9).toString("base64");
    const other = new Enclave(keyed({ endpoint: { key } }), kept).start();
    other.answers = [answered(503, {})];
    other.settle();
    expect([state(other), other.asked.length]).toEqual(["WAITING", 1]);
    other.rig.ring();
    other.settle();
    expect([state(other), other.asked.length]).toEqual(["LINKING", 1]);
    refuse(other);
    expect(other.asked).toHaveLength(2);
  });

  test("a hub that refuses ten times sends us to DPS, which may name another", () => {
    const enclave = enrolled();
    enclave.rig.pass(3 * 3_600_000);
    enclave.rig.redial();
    for (let times = 0; times < 9; times++) refuse(enclave);
    expect(enclave.asked).toHaveLength(1);
    enclave.answers = [assigned("gw8", "", "hub8.example")];
    refuse(enclave);
    expect(enclave.asked).toHaveLength(2);
    expect(enclave.rig.target.at(-1)).toEqual({ host: "hub8.example", port: 8883, roots: "" });
    expect(parseAssignment(enclave.rig.kept)).toMatchObject({ deviceId: "gw8", isPending: false });
  });

  test("the agent waits for the signature of the hub's token in SIGNING, not for DPS's", () => {
    const enclave = new Enclave(keyed()).start();
    expect(state(enclave)).toBe("PROVISIONING");
    enclave.step();
    expect(state(enclave)).toBe("PROVISIONING");
    enclave.answers = [assigned("gw7")];
    while (state(enclave) === "PROVISIONING") enclave.step();
    expect(state(enclave)).toBe("SIGNING");
  });
});

describe("with a certificate", () => {
  test("CONNECT has a user name and no password, and nothing is signed", () => {
    const enclave = enrolled(certified());
    const { flags, text } = greeting(enclave);
    expect(flags & 0xc0).toBe(0x80);
    expect(text).toContain(`${HUB}/gw7/?api-version=`);
    expect(text).not.toContain("SharedAccessSignature");
    expect(enclave.rig.turn.agent.machines.counters.tokens).toBe(0);
  });

  test("a connection stands for days, and one that falls comes back without a signature", () => {
    const { rig } = enrolled(certified());
    rig.reconnect();
    rig.answerReport();
    const { agent } = rig.turn;
    rig.take();
    for (const end = rig.nowMs + 3 * 86_400_000; rig.nowMs < end; rig.ring()) {
      if (rig.sent().some((one) => one.type === 12)) rig.turn.onData(pingresp());
    }
    expect(AgentState[agent.state]).toBe("ONLINE");
    rig.close(Cause.TCP_RESET);
    rig.redial();
    expect(AgentState[agent.state]).toBe("LINKING");
    expect(rig.take()).toEqual(["open"]);
    expect(agent.machines.counters.attempts).toBe(2);
  });

  test("one that was rolled is registered again at once, for the hub knows it by its print", () => {
    const { kept } = enrolled(certified()).rig;
    const same = new Enclave(certified(), kept).start();
    expect([state(same), same.rig.fetched.length]).toEqual(["LINKING", 0]);
    const certificate = { ...CERTIFICATE, fingerprint: "cd34" };
    const rolled = new Enclave(certified({ endpoint: { certificate } }), kept).start();
    expect(state(rolled)).toBe("PROVISIONING");
  });

  test("a refusal is looked into without a token", () => {
    const enclave = enrolled(certified());
    enclave.rig.secure();
    enclave.rig.take();
    enclave.rig.turn.onData(connack(5));
    expect(enclave.rig.take()).toEqual([
      "abort",
      expect.stringContaining(`probe ${HUB}:443/devices/gw7/`),
    ]);
    enclave.rig.probed({ status: 401 });
    expect(enclave.rig.turn.agent.machines.verdict.text).toBe(
      `refused by the hub: ${HUB} knows another certificate of device gw7, or no such device; ` +
        "DPS is asked if that goes on",
    );
  });
});
