// Identity, tested on a rig: when DPS is asked, what is signed with, and what follows a cut.
// Neighbours: `src/core/identity.ts`; `enclave` is TPM and DPS.
// Invariant: what goes to the hub is looked at on the wire.

import { describe, expect, test } from "bun:test";
import { parseAssignment } from "../../src/core/assignment.ts";
import { Cause, TpmOperation } from "../../src/core/effects.ts";
import { Fate } from "../../src/core/tally.ts";
import { connack, settings } from "../rig.ts";
import {
  answered,
  assigned,
  blobOf,
  challenged,
  DEVICE_KEY,
  Enclave,
  HUB,
  hardware,
  IDENTITY,
  SPARE,
} from "./enclave.ts";
import { password, refuse, state, tokenOf } from "./greeting.ts";

const NEW_KEY = Buffer.alloc(32, 5);

/** Registered and with CONNECT sent. */
function registered(given = hardware()): Enclave {
  const enclave = new Enclave(given).start();
  enclave.answers = [challenged()];
  enclave.settle();
  return enclave;
}

/** Another start of the same gateway: the same TPM and disk. */
function restarted(before: Enclave, kept = before.rig.kept): Enclave {
  const enclave = new Enclave(before.rig.given, kept);
  for (const [handle, thing] of before.tpm.persistent) enclave.tpm.persistent.set(handle, thing);
  return enclave;
}

describe("the first start", () => {
  test("registers, then signs for the hub that DPS named, with the device's own key", () => {
    const enclave = registered();
    expect(state(enclave)).toBe("LINKING");
    expect(enclave.rig.target).toEqual([{ host: HUB, port: 8883, roots: "" }]);
    expect(password(enclave)).toBe(tokenOf(DEVICE_KEY, 1_700_003_600));
  });

  test("knows where it has just put the key: the signature for the hub is one command", () => {
    const operations: TpmOperation[] = [];
    const enclave = new Enclave().start();
    enclave.answers = [challenged()];
    enclave.refuse = (operation) => {
      operations.push(operation);
      return 0;
    };
    enclave.settle();
    const put = operations.lastIndexOf(TpmOperation.EVICT);
    const { FLUSH, HMAC } = TpmOperation;
    expect(operations.slice(put + 1)).toEqual([FLUSH, HMAC]);
  });

  test("a swap that fails leaves the new key in the spare place, and that one signs", () => {
    const enclave = new Enclave().start();
    enclave.tpm.persistent.set(IDENTITY, { area: Buffer.alloc(2), key: NEW_KEY });
    enclave.answers = [challenged()];
    // After those that keep two new keys, clear the spare place and fill it.
    let evictions = 0;
    enclave.refuse = (operation) =>
      operation === TpmOperation.EVICT && ++evictions === 5 ? 0x101 : 0;
    enclave.settle();
    expect([...enclave.tpm.persistent.keys()]).toContain(SPARE);
    expect(enclave.tpm.persistent.get(IDENTITY)?.key).toEqual(NEW_KEY);
    expect(password(enclave)).toBe(tokenOf(DEVICE_KEY, 1_700_003_600));
  });

  test("telemetry made before it knows whose it is goes out in its name", () => {
    const given = { telemetry: { intervalS: 1 }, data: { inFlightMax: 100 } };
    const enclave = new Enclave(hardware(given)).start();
    const { rig } = enclave;
    rig.pass(5000);
    expect(rig.tally(Fate.ACCEPTED)).toBe(5);
    enclave.answers = [challenged()];
    enclave.settle();
    rig.secure();
    rig.turn.onData(connack());
    const topics = rig.messages().map(({ topic }) => topic);
    expect(topics).toHaveLength(5);
    for (const topic of topics) expect(topic).toStartWith("devices/gw7/messages/events/");
  });

  test("a disconnect or a stop in the middle cancels it, and a late answer is nobody's", () => {
    for (const act of ["disconnect", "stop"]) {
      const enclave = new Enclave().start();
      const { turn } = enclave.rig;
      enclave.answers = [challenged()];
      while (enclave.asked.length < 1) enclave.step();
      if (act === "stop") turn.stop();
      else turn.onCommand(1, ["disconnect"]);
      enclave.settle();
      expect(state(enclave)).toBe(act === "stop" ? "STOPPED" : "HELD");
      expect(enclave.tpm.leftovers).toBe(0);
      expect(enclave.asked).toHaveLength(1);
    }
  });
});

describe("the next start", () => {
  test("asks the hub, not DPS", () => {
    const enclave = restarted(registered()).start().settle();
    expect([state(enclave), enclave.asked.length]).toEqual(["LINKING", 0]);
    expect(password(enclave)).toBe(tokenOf(DEVICE_KEY, 1_700_003_600));
  });

  test("asks DPS when scope or name are others, or what was kept is damaged", () => {
    const before = registered();
    for (const kept of ["", "{", before.rig.kept.replace("0ne00000001", "0ne2")]) {
      const enclave = restarted(before, kept).start();
      expect(state(enclave)).toBe("PROVISIONING");
    }
    const given = hardware({ endpoint: { registrationId: "other" } });
    expect(state(new Enclave(given, before.rig.kept).start())).toBe("PROVISIONING");
  });

  test("with a registration left open asks DPS, and without an answer tries the old key", () => {
    const before = registered();
    const pending = before.rig.kept.replace('"isPending":false', '"isPending":true');
    const enclave = restarted(before, pending).start();
    expect(state(enclave)).toBe("PROVISIONING");
    enclave.answers = [answered(500, {})];
    enclave.settle();
    enclave.rig.ring();
    enclave.settle();
    expect(state(enclave)).toBe("LINKING");
    refuse(enclave);
    expect(enclave.asked.length).toBeGreaterThan(1);
  });

  test("without its key asks DPS again", () => {
    const enclave = restarted(registered());
    enclave.tpm.persistent.delete(IDENTITY);
    enclave.start().settle();
    expect(enclave.rig.turn.agent.machines.verdict.text).toContain("no device key in the TPM");
    enclave.answers = [challenged(), assigned("gw7", blobOf(NEW_KEY))];
    enclave.rig.ring();
    enclave.settle();
    expect(password(enclave)).toStartWith(tokenOf(NEW_KEY, 1_700_003_600).slice(0, 40));
  });
});

test("cut after any answer of a new registration, the next start comes to a working key", () => {
  const first = registered();
  const keys: string[] = [];
  for (let cut = 0; ; cut++) {
    const pending = first.rig.kept.replace('"isPending":false', '"isPending":true');
    const second = restarted(first, pending).start();
    second.answers = [challenged(), assigned("gw7", blobOf(NEW_KEY))];
    let isOver = false;
    for (let step = 0; step < cut && !isOver; step++) isOver = !second.step();
    if (isOver) break;
    // DPS has given the new key from the moment that it said so, and would give another one.
    const third = restarted(second).start();
    third.answers = [challenged(), assigned("gw7", blobOf(NEW_KEY))];
    third.settle();
    expect(state(third)).toBe("LINKING");
    const isNew = third.tpm.persistent.get(third.tpm.persistent.has(SPARE) ? SPARE : IDENTITY);
    keys.push(Buffer.from(isNew!.key).toString("hex"));
    expect(parseAssignment(third.rig.kept)?.isPending).toBe(false);
  }
  expect(keys.length).toBeGreaterThan(20);
  expect(new Set(keys)).toEqual(new Set([NEW_KEY.toString("hex")]));
});

describe("a hub that refuses", () => {
  test("ten times in a row sends us to DPS; what waits goes out as the device named there", () => {
    const enclave = registered();
    enclave.rig.pass(3 * 3_600_000);
    enclave.rig.redial();
    enclave.settle();
    enclave.rig.accept("a", "b");
    for (let times = 0; times < 9; times++) refuse(enclave);
    expect(enclave.asked).toHaveLength(2);
    enclave.answers = [challenged(), assigned("gw8", blobOf(NEW_KEY), "hub8.example")];
    refuse(enclave);
    expect(enclave.asked).toHaveLength(4);
    expect(enclave.rig.target.at(-1)?.host).toBe("hub8.example");
    expect(password(enclave)).toContain(encodeURIComponent("hub8.example/devices/gw8"));
    enclave.settle();
    enclave.rig.sent();
    enclave.rig.secure();
    enclave.rig.turn.onData(connack());
    const messages = enclave.rig.messages();
    expect(messages.map(({ topic, payload }) => `${topic} ${payload}`)).toEqual([
      "devices/gw8/messages/events/ a",
      "devices/gw8/messages/events/ b",
    ]);
  });

  test("and knows no such device sends us there at once, but once in half an hour", () => {
    const enclave = registered();
    const { rig } = enclave;
    rig.pass(3 * 3_600_000);
    rig.redial();
    enclave.settle();
    rig.secure();
    rig.turn.onData(connack(5));
    rig.probed({ status: 404 });
    expect(state(enclave)).toBe("PROVISIONING");
    enclave.answers = [answered(500, {})];
    enclave.settle();
    rig.ring();
    enclave.settle();
    rig.secure();
    rig.turn.onData(connack(5));
    rig.probed({ status: 404 });
    expect(state(enclave)).toBe("WAITING");
  });
});

describe("a sealed key", () => {
  const sealed = (): Enclave => {
    const given = settings({ endpoint: { isSealed: true, key: "" } });
    const enclave = new Enclave(given);
    enclave.tpm.persistent.set(IDENTITY, { area: Buffer.alloc(2), key: DEVICE_KEY });
    return enclave;
  };

  test("signs for the hub of the connection string, and DPS is never asked", () => {
    const enclave = sealed().start().settle();
    expect([state(enclave), enclave.asked]).toEqual(["LINKING", []]);
    const token = tokenOf(DEVICE_KEY, 1_700_003_600, "dev1", "hub.example");
    expect(password(enclave)).toBe(token);
    for (let times = 0; times < 12; times++) refuse(enclave);
    expect(enclave.asked).toEqual([]);
  });

  test("that is gone is told with what to do, again and again, and works once it is back", () => {
    const enclave = sealed();
    enclave.tpm.persistent.clear();
    enclave.start().settle();
    for (let times = 0; times < 3; times++) {
      expect(state(enclave)).toBe("WAITING");
      expect(enclave.rig.turn.agent.machines.verdict.text).toBe(
        "the device key did not sign the token (there is no device key in the TPM: it was " +
          "cleared or replaced; put the connection string back into the settings and run " +
          "azimuth seal again)",
      );
      enclave.rig.ring();
      enclave.settle();
    }
    expect(enclave.asked).toEqual([]);
    enclave.tpm.persistent.set(IDENTITY, { area: Buffer.alloc(2), key: DEVICE_KEY });
    enclave.rig.ring();
    enclave.settle();
    expect(state(enclave)).toBe("LINKING");
  });

  test("in a TPM that is not there is told, and it waits", () => {
    const enclave = sealed();
    enclave.rig.turn.start();
    enclave.rig.turn.onTpmClosed("/dev/tpmrm0: ENOENT: there is no TPM");
    expect(state(enclave)).toBe("WAITING");
    expect(enclave.rig.turn.agent.machines.verdict.text).toBe(
      "the device key did not sign the token " +
        "(the TPM could not sign: /dev/tpmrm0: ENOENT: there is no TPM)",
    );
  });
});

test("a signature that the TPM cannot make is told with its reason", () => {
  const enclave = restarted(registered());
  enclave.refuse = (operation) => (operation === 13 ? 0x921 : 0);
  enclave.start().settle();
  expect(enclave.rig.turn.agent.machines.verdict.text).toContain(
    "the device key did not sign the token (the TPM could not sign: HMAC: 0x921: locked out",
  );
});

test("a loss of the TPM while online costs nothing until it is needed", () => {
  const enclave = registered();
  const { rig } = enclave;
  rig.reconnect();
  rig.turn.onTpmClosed("gone");
  rig.close(Cause.TCP_RESET);
  rig.redial();
  expect(state(enclave)).toBe("LINKING");
});
