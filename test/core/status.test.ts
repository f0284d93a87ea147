// Status, tested: the JSON that scripts read and the text that people read, in several states.
// Neighbours: `src/core/status.ts`; `command` answers with it.
// Invariant: key names are written out here, for scripts outside rely on them.

import { describe, expect, test } from "bun:test";
import { AgentState } from "../../src/core/agent.ts";
import { Cause } from "../../src/core/effects.ts";
import { statusOf, statusText } from "../../src/core/status.ts";
import { isoUtc } from "../../src/kit/time.ts";
import { VERSION } from "../../src/kit/version.ts";
import { KEY, lamp, Rig, SIGNATURE, settings } from "../rig.ts";
import { assigned, challenged, chip, Enclave, HUB } from "./enclave.ts";

test("waiting after a loss: all of it", () => {
  const rig = new Rig(settings({ lamps: [lamp("LED1"), lamp("LED2", true)] }));
  rig.online({ LED1: true }, 7);
  rig.turn.onCommand(1, ["led", "LED2", "off"]);
  rig.accept("a", "b");
  rig.pass(25_000);
  const { stray, packetsIn, bytesIn, bytesOut, ...counters } = statusOf(rig.turn.agent).counters;
  expect({ ...statusOf(rig.turn.agent), counters }).toEqual({
    version: VERSION,
    state: "waiting",
    since: "2023-11-14T22:13:45Z",
    connected: false,
    link: "down",
    uptimeS: 25,
    endpoint: {
      type: "sas",
      hubName: "hub.example",
      host: "hub.example",
      port: 8883,
      deviceId: "dev1",
      tokenExpires: "2023-11-14T23:13:20Z",
      certificateExpires: null,
    },
    tpm: null,
    dps: null,
    autoOnStartup: true,
    nextAttemptMs: expect.any(Number),
    lastDiagnosis: {
      text: "no answer to a ping: the link is dead or the hub overloaded",
      at: "2023-11-14T22:13:45Z",
      over: false,
    },
    schedule: null,
    recovery: { failures: 1, steps: [] },
    queue: {
      waiting: 2,
      inFlight: 0,
      bytes: 66,
      accepted: 2,
      acknowledged: 0,
      refused: 0,
      redelivered: 0,
      dropped: 0,
      trouble: null,
      priorities: [expect.objectContaining({ priority: 7, queued: 2, accepted: 2 })],
    },
    counters: {
      attempts: 1,
      connects: 1,
      desired: 1,
      desiredStale: 0,
      desiredGaps: 0,
      unhandled: 0,
      tokens: 1,
    },
    twin: { state: "off", desiredVersion: 7 },
    leds: [
      { name: "LED1", on: true, mode: "auto", desired: true, refusal: null, fault: null },
      { name: "LED2", on: false, mode: "off", desired: null, refusal: null, fault: null },
    ],
  });
  expect([stray, packetsIn, bytesIn, bytesOut].every(Number.isInteger)).toBe(true);
});

test("before anything happened, unknown things are null", () => {
  const rig = new Rig(settings({ data: { autoOnStartup: false } }));
  rig.turn.start();
  const status = statusOf(rig.turn.agent);
  expect(status.endpoint.tokenExpires).toBeNull();
  expect(status.lastDiagnosis).toBeNull();
  expect(status.nextAttemptMs).toBeNull();
  expect(status.twin).toEqual({ state: "off", desiredVersion: null });
  expect(status.state).toBe("idle");
  expect(status.autoOnStartup).toBe(false);
});

test("each state has its name", () => {
  const names: string[] = [];
  const rig = new Rig();
  const look = () => names.push(statusOf(rig.turn.agent).state);
  rig.turn.start();
  look();
  rig.turn.onSigned(SIGNATURE);
  look();
  rig.reconnect();
  look();
  rig.turn.onCommand(1, ["disconnect"]);
  look();
  rig.turn.onCommand(1, ["connect"]);
  look();
  rig.turn.onCommand(1, ["disconnect"]);
  rig.close();
  look();
  rig.turn.onCommand(1, ["connect"]);
  rig.close(Cause.REFUSED);
  look();
  rig.redial();
  rig.reconnect();
  rig.turn.stop();
  look();
  rig.close();
  look();
  expect(names).toEqual([
    "signing",
    "linking",
    "online",
    "holding",
    "renewing",
    "held",
    "waiting",
    "stopping",
    "stopped",
  ]);
  // IDLE is above, PROVISIONING below, PAUSING for those who have a schedule.
  expect(names).toHaveLength(Object.keys(AgentState).length / 2 - 3);
});

describe("with a TPM", () => {
  test("that holds a sealed key: its row, and nothing of DPS", () => {
    const rig = new Rig(settings({ endpoint: { isSealed: true, key: "" } }));
    rig.turn.start();
    rig.turn.onTpmClosed("/dev/tpmrm0: ENOENT: there is no TPM");
    const { agent } = rig.turn;
    expect(statusOf(agent)).toMatchObject({
      endpoint: { type: "sas", deviceId: "dev1" },
      tpm: { state: "closed", fault: "/dev/tpmrm0: ENOENT: there is no TPM" },
      dps: null,
    });
    const rows = statusText(agent).split("\n");
    expect(rows).toContain("tpm        /dev/tpmrm0: ENOENT: there is no TPM");
    expect(rows.filter((row) => row.startsWith("dps"))).toEqual([]);
  });

  test("before and after a registration, as JSON and as text", () => {
    const enclave = new Enclave().start();
    const { agent } = enclave.rig.turn;
    expect(statusOf(agent)).toMatchObject({
      state: "provisioning",
      endpoint: { type: "tpm", deviceId: "", hubName: "" },
      tpm: { state: "starting", fault: null },
      dps: {
        registrationId: null,
        registration: "identifying",
        registeredAt: null,
        problem: null,
      },
    });
    const before = statusText(agent).split("\n");
    expect(before).toContain("endpoint   not known before DPS tells it (tpm)");
    expect(before).toContain("tpm        starting");
    expect(before).toContain(
      "dps        not known yet, never registered, registering (identifying)",
    );
    enclave.answers = [challenged(), assigned()];
    enclave.settle();
    const id = chip.registrationId;
    expect(statusOf(agent)).toMatchObject({
      endpoint: { deviceId: "gw7", hubName: HUB, host: HUB },
      dps: { registrationId: id, registration: "off", registeredAt: "2023-11-14T22:13:20Z" },
    });
    const after = statusText(agent).split("\n");
    expect(after).toContain(`dps        ${id}, registered 2023-11-14T22:13:20Z`);
  });

  test("that is not there, and a registration that failed", () => {
    const enclave = new Enclave();
    enclave.rig.turn.start();
    enclave.rig.turn.onTpmClosed("/dev/tpmrm0: ENOENT: there is no TPM");
    const { agent } = enclave.rig.turn;
    const problem = "the TPM could not read its keys: /dev/tpmrm0: ENOENT: there is no TPM";
    expect(statusOf(agent)).toMatchObject({
      tpm: { state: "closed" },
      dps: { registration: "off", problem },
    });
    const rows = statusText(agent).split("\n");
    expect(rows).toContain("tpm        /dev/tpmrm0: ENOENT: there is no TPM");
    expect(rows).toContain(`dps        not known yet, never registered; last: ${problem}`);
  });
});

describe("with a certificate", () => {
  const certificate = { commonName: "gw1", fingerprint: "ab", fromS: 0, untilS: 1_702_000_000 };

  test("its end takes the token's place, with a word when it is near", () => {
    const rig = new Rig(settings({ endpoint: { type: "x509", key: "", certificate } }));
    rig.turn.start();
    const { agent } = rig.turn;
    expect(statusOf(agent).endpoint).toMatchObject({
      tokenExpires: null,
      certificateExpires: "2023-12-08T01:46:40Z",
    });
    const row = () =>
      statusText(agent)
        .split("\n")
        .find((one) => one.startsWith("token "));
    expect(row()).toStartWith(
      "token      none needed: certificate good until 2023-12-08T01:46:40Z; " +
        "the device's certificate ends in 23 days, on 2023-12-08T01:46:40Z; put",
    );
    agent.at(rig.nowMs, 0);
    expect(row()).toBe("token      none needed: certificate good until 2023-12-08T01:46:40Z");
  });
});

describe("as text", () => {
  test("one fact a line, the last failure at the end", () => {
    const rig = new Rig();
    rig.online({ LED1: true }, 7);
    rig.pinFault = "LED1: gone";
    rig.push({ LED1: false }, 8);
    rig.pass(5000);
    rig.close(Cause.UNREACHABLE, "EHOSTUNREACH");
    const waitMs = rig.turn.agent.deadlineMs - rig.nowMs;
    expect(statusText(rig.turn.agent).split("\n")).toEqual([
      `azimuth ${VERSION}, up 5 s`,
      `state      waiting since 2023-11-14T22:13:25Z, next attempt in ${waitMs} ms`,
      "endpoint   dev1 at hub.example:8883 (sas)",
      "queue      0 waiting, 0 in flight, 0 acknowledged, 0 refused, 0 dropped",
      "twin       off, desired version 8",
      "token      expires 2023-11-14T23:13:20Z",
      "settings   connect.auto-on-startup = true",
      "counters   1 connects, 0 of them reconnects, 0 messages redelivered",
      "led        LED1 on; the twin wants off; LED1: gone",
      "diagnosis  2023-11-14T22:13:25Z no route to hub.example:8883; " +
        "check cable, address and gateway (EHOSTUNREACH)",
    ]);
  });

  test("a failure that is over is told as one", () => {
    const rig = new Rig();
    rig.online();
    rig.close(Cause.UNREACHABLE);
    rig.redial();
    rig.reconnect();
    const overS = rig.wallS;
    rig.pass(5000);
    const { agent } = rig.turn;
    expect(statusOf(agent).lastDiagnosis?.over).toBe(true);
    const rows = statusText(agent).split("\n");
    expect(rows.at(-1)).toBe(
      "diagnosis  none; last failure 2023-11-14T22:13:20Z no route to hub.example:8883; " +
        `check cable, address and gateway; over since ${isoUtc(overS)}`,
    );
    expect(rows).toContain("counters   2 connects, 1 of them reconnects, 0 messages redelivered");
    rig.close(Cause.UNREACHABLE);
    expect(statusOf(agent).lastDiagnosis?.over).toBe(false);
  });

  test("of a lamp who decides, what the twin wants and what was refused", () => {
    const rig = new Rig();
    const row = () =>
      statusText(rig.turn.agent)
        .split("\n")
        .find((one) => one.startsWith("led "));
    rig.online();
    expect(row()).toBe("led        LED1 off; the twin has no wish");
    rig.push({ LED1: false }, 2);
    rig.turn.onCommand(1, ["led", "LED1", "on"]);
    expect(row()).toBe("led        LED1 on, held by an operator; the twin wants off");
    rig.pinFault = "LED1: gone";
    rig.turn.onCommand(1, ["led", "LED1", "off"]);
    expect(row()).toBe(
      "led        LED1 on, held off by an operator; the twin wants off; LED1: gone",
    );
    rig.pinFault = "";
    rig.turn.onCommand(1, ["led", "LED1", "auto"]);
    rig.push({ LED1: "yes" }, 3);
    expect(row()).toBe(
      "led        LED1 off; the twin wants off; refused: LED1 takes true or false, not a string",
    );
    expect(statusOf(rig.turn.agent).leds[0]?.refusal).toBe(
      "LED1 takes true or false, not a string",
    );
  });

  test("nothing unknown is invented", () => {
    const rig = new Rig(settings({ lamps: [], data: { autoOnStartup: false } }));
    rig.turn.start();
    const text = statusText(rig.turn.agent);
    expect(text).toContain("desired version unknown");
    expect(text).not.toContain("diagnosis");
    expect(text).not.toContain("led ");
    expect(text).not.toContain("next attempt");
    expect(text).toContain("token      none");
    expect(text).toContain("connect.auto-on-startup = false");
    expect(text).toContain("0 connects, 0 of them reconnects");
  });
});

test("neither form holds the key, the signature or the token", () => {
  const rig = new Rig();
  rig.online();
  for (const text of [JSON.stringify(statusOf(rig.turn.agent)), statusText(rig.turn.agent)]) {
    for (const secret of [KEY, SIGNATURE, "SharedAccessSignature", "sig="]) {
      expect(text).not.toContain(secret);
    }
  }
});
