// Status: what the running agent is and does, for people and for scripts.
// Neighbours: `command` answers `azimuth status` with it; the contract fixes its key names.
// Invariant: camelCase keys, times in ISO 8601 UTC, durations in …Ms or …S; never a secret.

import { isoUtc, lengthOf } from "../kit/time.ts";
import { VERSION } from "../kit/version.ts";
import { type Agent, AgentState } from "./agent.ts";
import {
  keeperRows,
  type RecoveryStatus,
  recoveryOf,
  type ScheduleStatus,
  scheduleOf,
} from "./chronicle.ts";
import { Hold, type Lamp } from "./lamp.ts";
import { LinkState } from "./link.ts";
import { ProvisionState } from "./provision.ts";
import { type QueueStatus, queueOf, queueRows } from "./queue.ts";
import { isInTpm } from "./settings.ts";
import { TwinState } from "./twin.ts";
import { validityText } from "./validity.ts";
import { VaultState } from "./vault.ts";

/** What `status --json` prints. */
export interface Status {
  readonly version: string;
  readonly state: string;
  readonly since: string;
  readonly connected: boolean;
  readonly link: string;
  readonly uptimeS: number;
  readonly endpoint: {
    readonly type: string;
    readonly hubName: string;
    readonly host: string;
    readonly port: number;
    readonly deviceId: string;
    readonly tokenExpires: string | null;
    /** Of type x509. */
    readonly certificateExpires: string | null;
  };
  /** Of an endpoint of type tpm; null for others. */
  readonly tpm: { readonly state: string; readonly fault: string | null } | null;
  /** Of an endpoint that registers at DPS; null for others. */
  readonly dps: {
    readonly registrationId: string | null;
    readonly registration: string;
    readonly registeredAt: string | null;
    readonly problem: string | null;
  } | null;
  readonly autoOnStartup: boolean;
  readonly nextAttemptMs: number | null;
  readonly lastDiagnosis: {
    readonly text: string;
    readonly at: string;
    /** True when a connection has stood since. */
    readonly over: boolean;
  } | null;
  /** Null when no schedule is enabled. */
  readonly schedule: ScheduleStatus | null;
  readonly recovery: RecoveryStatus;
  readonly queue: QueueStatus;
  readonly counters: { readonly [key: string]: number };
  readonly twin: { readonly state: string; readonly desiredVersion: number | null };
  readonly leds: readonly {
    readonly name: string;
    readonly on: boolean;
    readonly mode: string;
    readonly desired: boolean | null;
    /** Why the last desired value was refused, null when it was not. */
    readonly refusal: string | null;
    readonly fault: string | null;
  }[];
}

function nameOf(names: { [index: number]: string }, state: number): string {
  return (names[state] ?? "").toLowerCase();
}

function tpmOf(agent: Agent): Status["tpm"] {
  if (!isInTpm(agent.settings.endpoint)) return null;
  const { vault } = agent.machines.identity;
  return { state: nameOf(VaultState, vault.state), fault: vault.fault || null };
}

function dpsOf(agent: Agent): Status["dps"] {
  if (agent.settings.endpoint.idScope === "") return null;
  const { provision } = agent.machines.identity;
  const { registrationId, assignment, problem } = provision;
  return {
    registrationId: registrationId || null,
    registration: nameOf(ProvisionState, provision.state),
    registeredAt: assignment === undefined || assignment.atS === 0 ? null : isoUtc(assignment.atS),
    problem: problem || null,
  };
}

/** The agent's status at the moment it was last told of. */
export function statusOf(agent: Agent): Status {
  const { link, lamps, traffic, counters, credential, verdict } = agent.machines;
  const { endpoint, data } = agent.settings;
  const { expiryS } = credential;
  const { certificate } = endpoint;
  const { version } = traffic.twin;
  const waits = agent.state === AgentState.WAITING;
  return {
    version: VERSION,
    state: nameOf(AgentState, agent.state),
    since: isoUtc(agent.sinceS),
    connected: link.isUp,
    link: nameOf(LinkState, link.state),
    uptimeS: Math.floor((agent.nowMs - agent.startedMs) / 1000),
    endpoint: {
      type: endpoint.type,
      hubName: endpoint.hubName,
      host: endpoint.host,
      port: endpoint.mqttPort,
      deviceId: endpoint.deviceId,
      tokenExpires: expiryS === 0 ? null : isoUtc(expiryS),
      certificateExpires: certificate === undefined ? null : isoUtc(certificate.untilS),
    },
    tpm: tpmOf(agent),
    dps: dpsOf(agent),
    autoOnStartup: data.autoOnStartup,
    nextAttemptMs: waits ? Math.max(0, Math.round(agent.deadlineMs - agent.nowMs)) : null,
    lastDiagnosis:
      verdict.text === ""
        ? null
        : { text: verdict.text, at: isoUtc(verdict.atS), over: verdict.isOver },
    schedule: scheduleOf(agent.machines.keeper),
    recovery: recoveryOf(agent.machines.keeper),
    queue: queueOf(agent.machines.outbox),
    counters: { ...counters },
    twin: {
      state: nameOf(TwinState, traffic.twin.state),
      desiredVersion: version < 0 ? null : version,
    },
    leds: lamps.all.map((lamp) => ({
      name: lamp.name,
      on: lamp.lit,
      mode: nameOf(Hold, lamp.hold),
      desired: lamp.desired ?? null,
      refusal: lamp.refusal === "" ? null : lamp.refusal,
      fault: lamp.fault === "" ? null : lamp.fault,
    })),
  };
}

/** The same for a person at a terminal. */
export function statusText(agent: Agent): string {
  const status = statusOf(agent);
  const { queue, twin, counters } = status;
  const next = status.nextAttemptMs;
  const waits = next === null ? "" : `, next attempt in ${lengthOf(next)}`;
  const rows = [
    `azimuth ${status.version}, up ${lengthOf(status.uptimeS * 1000)}`,
    `state      ${status.state} since ${status.since}${waits}`,
    `endpoint   ${endpointText(status)}`,
    ...registrationRows(status),
    ...keeperRows(agent.machines.keeper),
    ...queueRows(agent.machines.outbox),
    `twin       ${twin.state}, desired version ${twin.desiredVersion ?? "unknown"}`,
    proofText(agent, status),
    `settings   connect.auto-on-startup = ${status.autoOnStartup}`,
    `counters   ${counters.connects} connects, ${Math.max(0, counters.connects! - 1)} of them ` +
      `reconnects, ${queue.redelivered} messages redelivered`,
  ];
  for (const lamp of agent.machines.lamps.all) rows.push(`led        ${lampText(lamp)}`);
  const last = status.lastDiagnosis;
  if (last?.over === false) rows.push(`diagnosis  ${last.at} ${last.text}`);
  else if (last !== null) {
    const since = isoUtc(agent.machines.verdict.overS);
    rows.push(`diagnosis  none; last failure ${last.at} ${last.text}; over since ${since}`);
  }
  return rows.join("\n");
}

/** A lamp: what it shows, who decides, what the twin wants, and what is wrong. */
function lampText(lamp: Lamp): string {
  const { name, lit, hold, desired, refusal, fault } = lamp;
  const wish = desired === undefined ? "the twin has no wish" : `the twin wants ${word(desired)}`;
  const who =
    hold === Hold.AUTO
      ? ""
      : `, held ${lit === lamp.wanted ? "" : `${word(lamp.wanted)} `}by an operator`;
  const parts = [`${name} ${word(lit)}${who}; ${wish}`];
  if (refusal !== "") parts.push(`refused: ${refusal}`);
  if (fault !== "") parts.push(fault);
  return parts.join("; ");
}

function word(on: boolean): string {
  return on ? "on" : "off";
}

/** What opens the connection: a token or a certificate, and how long it is good. */
function proofText(agent: Agent, { endpoint }: Status): string {
  const { tokenExpires, certificateExpires } = endpoint;
  if (certificateExpires === null) {
    return `token      ${tokenExpires === null ? "none" : `expires ${tokenExpires}`}`;
  }
  const { certificate } = agent.settings.endpoint;
  const text = validityText(certificate, agent.wallS);
  const fault = text === "" ? "" : `; ${text}`;
  return `token      none needed: certificate good until ${certificateExpires}${fault}`;
}

function endpointText({ endpoint, dps }: Status): string {
  if (dps !== null && endpoint.deviceId === "") {
    return `not known before DPS tells it (${endpoint.type})`;
  }
  return `${endpoint.deviceId} at ${endpoint.host}:${endpoint.port} (${endpoint.type})`;
}

function registrationRows({ tpm, dps }: Status): string[] {
  const rows = tpm === null ? [] : [`tpm        ${tpm.fault ?? tpm.state}`];
  if (dps === null) return rows;
  const id = dps.registrationId ?? "not known yet";
  const last = dps.registeredAt === null ? "never registered" : `registered ${dps.registeredAt}`;
  const now = dps.registration === "off" ? "" : `, registering (${dps.registration})`;
  const problem = dps.problem === null ? "" : `; last: ${dps.problem}`;
  return [...rows, `dps        ${id}, ${last}${now}${problem}`];
}
