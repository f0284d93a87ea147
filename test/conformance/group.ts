// Group: all groups of cases, each with the stage it wants.
// Neighbours: `main` runs them; one file for each group has its cases.
// Invariant: a stage is built only when a case of it runs, and is gone after its last case.

import type { EmulatorOptions } from "../azure/server/emulator.ts";
import { AGENT } from "./agent.ts";
import { type Stage as DpsStage, enter as enterDps, SECOND_HUB } from "./applicant.ts";
import { cast, RUNTIMES, Runtime, runtimeName } from "./cast.ts";
import { CERTIFICATE } from "./certificate.ts";
import { CHIP } from "./chip.ts";
import { CLIENT } from "./client.ts";
import { Cloud } from "./cloud.ts";
import { DEVICE, TUNNELLED } from "./device.ts";
import { ENROLLMENT } from "./enrollment.ts";
import { ENTRY } from "./entry.ts";
import { FRAMING } from "./framing.ts";
import { LOAD } from "./load.ts";
import { MOSQUITTO } from "./mosquitto.ts";
import { PAHO } from "./paho.ts";
import type { Puppet } from "./puppet.ts";
import { REGISTRATION } from "./registration.ts";
import { RENEWAL } from "./renewal.ts";
import type { Case, Report } from "./report.ts";
import { REPROVISION } from "./reprovision.ts";
import { enter, SERVICE } from "./service.ts";

/** Runs cases that need a peer, once on each runtime. `build` makes their stage. */
async function onBoth<T>(
  report: Report,
  name: string,
  cases: readonly Case<T>[],
  options: EmulatorOptions,
  build: (cloud: Cloud, runtime: Runtime, puppets: Puppet[]) => Promise<T>,
): Promise<void> {
  for (const runtime of RUNTIMES) {
    const group = `${name} on ${runtimeName(runtime)}`;
    if (!report.wants(group, cases)) continue;
    const cloud = new Cloud(options);
    const puppets: Puppet[] = [];
    await report.run(group, await build(cloud, runtime, puppets), cases);
    for (const puppet of puppets) await puppet.stop();
    cloud.stop();
  }
}

/** A peer of one program. */
function alone(program: string) {
  return async (cloud: Cloud, runtime: Runtime, puppets: Puppet[]) => {
    const puppet = await cast(program, runtime);
    puppets.push(puppet);
    return { cloud, puppet };
  };
}

/** Bun's own `ws` goes past the agent by which the SDK is told another port than 443. */
async function overWebSocket(report: Report): Promise<void> {
  const group = `SDK over WebSocket on ${runtimeName(Runtime.NODE)}`;
  if (!report.wants(group, TUNNELLED)) return;
  const cloud = new Cloud();
  const puppet = await cast("device", Runtime.NODE);
  const webSocketPort = cloud.ready.httpsPort;
  await report.run(group, { cloud, puppet, webSocketPort }, TUNNELLED);
  await puppet.stop();
  cloud.stop();
}

async function withService(cloud: Cloud, runtime: Runtime, puppets: Puppet[]) {
  const service = await cast("service", runtime);
  const device = await cast("device", runtime);
  puppets.push(service, device);
  const stage = { cloud, service, device };
  await enter(stage);
  return stage;
}

async function withApplicants(
  cloud: Cloud,
  runtime: Runtime,
  puppets: Puppet[],
): Promise<DpsStage> {
  const enroller = await cast("enroller", runtime);
  const registrant = await cast("registrant", runtime);
  puppets.push(enroller, registrant);
  const stage = { cloud, enroller, registrant };
  await enterDps(stage);
  return stage;
}

/** Groups of the provisioning SDKs. */
const PROVISIONING: readonly (readonly [string, readonly Case<DpsStage>[]])[] = [
  ["provisioning service SDK", ENROLLMENT],
  ["provisioning SDK", [...REGISTRATION, ...REPROVISION, ...CERTIFICATE]],
  ["provisioning SDK with a TPM", CHIP],
];

async function runProvisioning(report: Report): Promise<void> {
  // The service's own times would be most of what this takes.
  const options = { moreHubs: [SECOND_HUB], dps: { retryAfterS: 0, assignMs: 0 } };
  for (const [group, cases] of PROVISIONING) {
    await onBoth(report, group, cases, options, withApplicants);
  }
}

/** Groups whose cases need a cloud and nothing else. */
const PLAIN: readonly (readonly [string, readonly Case<Cloud>[]])[] = [
  ["mosquitto", MOSQUITTO],
  ["Paho", PAHO],
  ["framing", FRAMING],
  ["entry", ENTRY],
  ["load", LOAD],
];

async function runPlain(report: Report): Promise<void> {
  for (const [group, cases] of PLAIN) {
    if (!report.wants(group, cases)) continue;
    const cloud = new Cloud();
    await report.run(group, cloud, cases);
    cloud.stop();
  }
}

/** Runs every case that the report wants. */
export async function runGroups(report: Report): Promise<void> {
  await onBoth(report, "device SDK", [...DEVICE, ...RENEWAL], {}, alone("device"));
  await overWebSocket(report);
  // The service SDK dials the name of the hub.
  await onBoth(report, "service SDK", SERVICE, { hubName: "localhost" }, withService);
  await runProvisioning(report);
  await onBoth(report, "MQTT.js", CLIENT, {}, alone("client"));
  await runPlain(report);
  await report.run("agent", undefined, AGENT);
}
