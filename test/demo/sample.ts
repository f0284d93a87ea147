// Sample: facts made by hand, for tests of what judges and draws them.
// Neighbours: the tests of `story`, `teller` and `screen`.
// Invariant: a quiet gateway, online and with nothing amiss, unless a test says otherwise.

import type { Status } from "../../src/core/status.ts";
import type { DpsStep, HubEvent } from "../azure/model/events.ts";
import type { Facts } from "./facts.ts";
import { Light } from "./lamp.ts";
import { Ledger } from "./ledger.ts";

export const DEVICE = "gateway-1";
const AT = "2026-01-01T10:00:00.000Z";

const UNTOUCHED: Pick<Status, "schedule" | "recovery"> = {
  schedule: null,
  recovery: { failures: 0, steps: [] },
};

const IDLE: Status["queue"] = {
  waiting: 0,
  inFlight: 0,
  bytes: 0,
  accepted: 0,
  acknowledged: 0,
  refused: 0,
  dropped: 0,
  redelivered: 0,
  trouble: null,
  priorities: [],
};

/** An agent's status. */
export function status(parts: Partial<Status> = {}, queue: Partial<Status["queue"]> = {}): Status {
  return {
    version: "0.1.0",
    state: "online",
    since: "2026-01-01T10:00:00Z",
    connected: true,
    link: "up",
    uptimeS: 5,
    endpoint: {
      type: "sas",
      hubName: "localhost",
      host: "localhost",
      port: 40001,
      deviceId: DEVICE,
      tokenExpires: "2026-01-01T11:00:00Z",
      certificateExpires: null,
    },
    tpm: null,
    dps: null,
    autoOnStartup: true,
    nextAttemptMs: null,
    lastDiagnosis: null,
    counters: {},
    twin: { state: "ready", desiredVersion: 1 },
    leds: [],
    ...parts,
    ...UNTOUCHED,
    queue: { ...IDLE, ...queue },
  };
}

/** What the status of an agent says of TPM and DPS, registered an hour before {@link facts}. */
export function registered(
  dps: Partial<NonNullable<Status["dps"]>> = {},
  fault: string | null = null,
): Pick<Status, "tpm" | "dps"> {
  const usual = { registrationId: "abc", registration: "off", problem: null };
  return {
    tpm: { state: "idle", fault },
    dps: { ...usual, registeredAt: "2026-01-01T09:00:00Z", ...dps },
  };
}

/** DPS takes a step for the device. */
export function asked(step: DpsStep): HubEvent {
  const deviceId = step === "assigned" ? DEVICE : "abc";
  return { type: "dps", at: AT, deviceId, step, registrationId: "abc", code: 0, reason: "" };
}

/** A hub that saw the device connect and then these messages, by their numbers. */
export function ledger(...sequences: number[]): Ledger {
  const made = new Ledger(DEVICE);
  made.enter(connected());
  for (const sequence of sequences) made.enter(message(sequence));
  return made;
}

/** The hub lets the device in. */
export function connected(): HubEvent {
  return {
    type: "connect",
    at: AT,
    deviceId: DEVICE,
    remote: "127.0.0.1",
    sessionPresent: false,
    clean: false,
    keepAlive: 240,
    apiVersion: "",
    clientType: "",
    modelId: "",
  };
}

/** The hub loses the device. */
export function closed(deviceId = DEVICE): HubEvent {
  return {
    type: "close",
    at: AT,
    deviceId,
    remote: "127.0.0.1",
    by: "device",
    code: 404104,
    codeName: "DeviceConnectionClosedRemotely",
    reason: "",
  };
}

/** The hub takes message `sequence`, made at 10:00:00 and taken `lateS` later (below 60). */
export function message(sequence: number, lateS = 0, isLit = false, boot = "0badcafe"): HubEvent {
  const body = { sequence, time: "2026-01-01T10:00:00Z", uptimeS: 2 * sequence, LED1: isLit };
  return {
    type: "telemetry",
    at: `2026-01-01T10:00:${String(lateS).padStart(2, "0")}.000Z`,
    deviceId: DEVICE,
    topic: "",
    properties: { app: {}, system: { messageId: `${boot}.${sequence}` } },
    payload: JSON.stringify(body),
    encoding: "utf8",
    bytes: 0,
    qos: 1,
    dup: false,
    retain: false,
    packetId: sequence,
  };
}

/** Facts of that gateway. */
export function facts(parts: Partial<Facts> = {}): Facts {
  return {
    endpoint: "sas",
    deviceId: DEVICE,
    hubPort: 40000,
    idScope: "0ne00000000",
    chip: undefined,
    enrollment: undefined,
    isEnabled: true,
    ledger: ledger(),
    twin: undefined,
    agent: status(),
    lamp: Light.DARK,
    isPlugged: true,
    tlsCount: 1,
    otherCount: 0,
    death: "",
    ...parts,
  };
}
