// Status: what the running agent is and does, for people and for scripts.
// Neighbours: `command` answers `azimuth status` with it; the contract fixes its key names.
// Invariant: camelCase keys, times in ISO 8601 UTC, durations in …Ms or …S; never a secret.

import { isoUtc, lengthOf } from "../kit/time.ts";
import { VERSION } from "../kit/version.ts";
import { type Agent, AgentState } from "./agent.ts";
import { Hold, type Lamp } from "./lamp.ts";
import { LinkState } from "./link.ts";
import { ProvisionState } from "./provision.ts";
import { isInTpm } from "./settings.ts";
import { TwinState } from "./twin.ts";
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
  };
  /** Null when the device key is not in the TPM; about DPS only with type tpm. */
  readonly tpm: {
    readonly state: string;
    readonly fault: string | null;
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
  readonly queue: { readonly [key: string]: number };
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

function queueOf(agent: Agent): { [key: string]: number } {
  const { outbox } = agent.machines;
  const { waiting, inFlight, accepted, acknowledged, refused, redelivered, dropped } = outbox;
  return { waiting, inFlight, accepted, acknowledged, refused, redelivered, dropped };
}

function tpmOf(agent: Agent): Status["tpm"] {
  if (!isInTpm(agent.settings.endpoint)) return null;
  const { vault, provision } = agent.machines.identity;
  const { registrationId, assignment, problem } = provision;
  return {
    state: nameOf(VaultState, vault.state),
    fault: vault.fault || null,
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
    },
    tpm: tpmOf(agent),
    autoOnStartup: data.autoOnStartup,
    nextAttemptMs: waits ? Math.max(0, Math.round(agent.deadlineMs - agent.nowMs)) : null,
    lastDiagnosis:
      verdict.text === ""
        ? null
        : { text: verdict.text, at: isoUtc(verdict.atS), over: verdict.isOver },
    queue: queueOf(agent),
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
  const { endpoint, queue, twin, counters } = status;
  const next = status.nextAttemptMs;
  const waits = next === null ? "" : `, next attempt in ${lengthOf(next)}`;
  const rows = [
    `azimuth ${status.version}, up ${lengthOf(status.uptimeS * 1000)}`,
    `state      ${status.state} since ${status.since}${waits}`,
    `endpoint   ${endpointText(status)}`,
    ...tpmRows(status),
    `queue      ${queue.waiting} waiting, ${queue.inFlight} in flight, ` +
      `${queue.acknowledged} acknowledged, ${queue.refused} refused`,
    `twin       ${twin.state}, desired version ${twin.desiredVersion ?? "unknown"}`,
    `token      ${endpoint.tokenExpires === null ? "none" : `expires ${endpoint.tokenExpires}`}`,
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

function endpointText({ endpoint, tpm }: Status): string {
  if (tpm !== null && endpoint.deviceId === "") return "not known before DPS tells it (tpm)";
  return `${endpoint.deviceId} at ${endpoint.host}:${endpoint.port} (${endpoint.type})`;
}

function tpmRows({ tpm, endpoint }: Status): string[] {
  if (tpm === null) return [];
  const row = `tpm        ${tpm.fault ?? tpm.state}`;
  if (endpoint.type !== "tpm") return [row];
  const id = tpm.registrationId ?? "not known yet";
  const last = tpm.registeredAt === null ? "never registered" : `registered ${tpm.registeredAt}`;
  const now = tpm.registration === "off" ? "" : `, registering (${tpm.registration})`;
  return [
    row,
    `dps        ${id}, ${last}${now}${tpm.problem === null ? "" : `; last: ${tpm.problem}`}`,
  ];
}
