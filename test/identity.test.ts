// Tests of an endpoint of type tpm as a process: a software TPM, local Azure with its DPS, the
// agent; what an operator sees from a blank TPM to a lit lamp, and when things go wrong.
// Neighbours: `site.ts`, `tpm/swtpm.ts`; `tpm/client.ts` looks into the TPM as a second opinion.
// Invariant: nothing waits for a fixed time; whatever is not seen in 30 s has failed.

import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import type { TwinEvent } from "./azure/model/events.ts";
import { Site, until } from "./site.ts";
import { Client, EK_TEMPLATE, ENDORSEMENT } from "./tpm/client.ts";
import { libraryPath } from "./tpm/library.ts";
import { Swtpm } from "./tpm/swtpm.ts";

setDefaultTimeout(60_000);

const IDENTITY = 0x81000100;
const SPARE = 0x81000101;
const DEVICE = "gateway1";

let site: Site;
let tpm: Swtpm;
beforeEach(async () => {
  libraryPath();
  tpm = await Swtpm.unix();
  site = await Site.open({ dps: { assignMs: 0, retryAfterS: 1 } });
});
afterEach(async () => {
  await site.close();
  await tpm.stop();
});

const place = (): string => ("path" in tpm.place ? `swtpm:${tpm.place.path}` : "");

function settings(more: Record<string, string> = {}): void {
  const { httpsPort, mqttPort, idScope } = site.azure.ready;
  site.settings({
    "endpoint connection-string": "",
    "endpoint type": "tpm",
    "endpoint id-scope": idScope,
    "endpoint dps-host": "localhost",
    "endpoint dps-port": String(httpsPort),
    "endpoint mqtt-port": String(mqttPort),
    "endpoint tpm": place(),
    ...more,
  });
}

/** Endorsement key of the TPM as it stands in the portal, without leaving it there. */
function endorsementKey(): Promise<Buffer> {
  return Client.with(tpm.place, async (client) => {
    await client.startup();
    const { handle, publicArea } = await client.createPrimary(ENDORSEMENT, EK_TEMPLATE);
    await client.flush(handle);
    return publicArea;
  });
}

/** What Microsoft's clients make of an endorsement key. */
function nameOf(key: Buffer): string {
  const alphabet = "abcdefghijklmnopqrstuvwxyz234567";
  const digest = createHash("sha256").update(key).digest();
  const bits = [...digest].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const groups = bits.match(/.{1,5}/g)!;
  return groups.map((group) => alphabet[Number.parseInt(group.padEnd(5, "0"), 2)]).join("");
}

/** Enrols the TPM as it is now; its registration id. */
async function enrol(more: Record<string, unknown> = {}): Promise<string> {
  const key = await endorsementKey();
  const registrationId = nameOf(key);
  const attestation = { type: "tpm", tpm: { endorsementKey: key.toString("base64") } };
  site.azure.hub.dps.putEnrollment("device", registrationId, {
    registrationId,
    deviceId: DEVICE,
    attestation,
    ...more,
  });
  site.azure.settle();
  return registrationId;
}

function fault(spec: Record<string, unknown>): void {
  site.azure.hub.faults.add(spec);
  site.azure.settle();
}

async function stop(): Promise<void> {
  site.agent!.kill("SIGTERM");
  expect(await site.agent!.exited).toBe(0);
}

async function kill(): Promise<void> {
  site.agent!.kill("SIGKILL");
  await site.agent!.exited;
}

const registrations = (): number =>
  site.events.filter((event) => event.type === "dps" && event.step === "assigned").length;

function reported(): TwinEvent | undefined {
  return site.events.find((event): event is TwinEvent => {
    if (event.type !== "twin" || event.part !== "reported") return false;
    return (event.patch as { LED1?: { value: boolean } } | null)?.LED1?.value === true;
  });
}

describe("from a blank TPM", () => {
  test("enrolled, registered, online, LED1; and the second start asks DPS no more", async () => {
    const registrationId = await enrol();
    settings();
    site.start();
    await site.logged(`connected to localhost as ${DEVICE}`);
    site.desire({ LED1: true }, DEVICE);
    await until("the lamp lit", () => site.lamp() === "1");
    await until("reported true", reported);
    expect(registrations()).toBe(1);
    const status = JSON.parse((await site.command("status", "--json")).out);
    expect(status).toMatchObject({
      connected: true,
      endpoint: { type: "tpm", deviceId: DEVICE, hubName: "localhost" },
      tpm: { fault: null },
      dps: { registrationId, registration: "off" },
    });
    await stop();
    const kept = readFileSync(site.path("state/assignment.json"), "utf8");
    expect(statSync(site.path("state/assignment.json")).mode & 0o777).toBe(0o600);
    expect(JSON.parse(kept)).toMatchObject({ deviceId: DEVICE, registrationId, isPending: false });
    await Client.with(tpm.place, async (client) => {
      expect(await client.leftovers()).toEqual([]);
      expect(await client.readPublic(SPARE)).toBeUndefined();
      expect(await client.readPublic(IDENTITY)).toBeDefined();
    });
    site.start();
    await site.logged(`connected to localhost as ${DEVICE}`);
    expect(registrations()).toBe(1);
    expect(site.log).not.toContain("SharedAccessSignature");
  });
});

describe("a TPM that was cleared or replaced", () => {
  test("is named; once its new key is enrolled the gateway comes back by itself", async () => {
    await enrol();
    settings({ "data connect.retry-interval": "1" });
    site.start();
    await site.logged("connected to");
    await stop();
    const other = await Swtpm.unix();
    await tpm.stop();
    tpm = other;
    settings({ "data connect.retry-interval": "1" });
    site.start();
    await site.logged("there is no device key in the TPM: it was cleared or replaced");
    await site.logged("this TPM has another endorsement key than at the last registration");
    const problem = JSON.parse((await site.command("status", "--json")).out).lastDiagnosis.text;
    expect(problem).toContain("enrol");
    await kill();
    await enrol({ deviceId: "gateway2" });
    site.start();
    await site.logged("connected to localhost as gateway2");
  });
});

describe("refusals of DPS are told, each in its own words", () => {
  const faulty = async (spec: Record<string, unknown>, line: string): Promise<void> => {
    await enrol();
    fault(spec);
    settings();
    site.start();
    await site.logged(line);
  };

  test("not enrolled", async () => {
    settings();
    site.start();
    await site.logged("no enrollment with this TPM's endorsement key in scope 0ne00000000");
  });

  test("a wrong scope", async () => {
    await enrol();
    settings({ "endpoint id-scope": "0ne99999999" });
    site.start();
    await site.logged("0ne99999999");
    await site.logged("next attempt in");
  });

  test("disabled", () => faulty({ kind: "dps-disabled" }, "is disabled; enable it"));
  test("no hub", () => faulty({ kind: "dps-fail", code: 400208 }, "DPS found no hub"));
  test("an error", () => faulty({ kind: "dps-fail", code: 500 }, "DPS answered"));
  test("throttled", () => faulty({ kind: "dps-throttle" }, "DPS has too many requests"));
  test("a blob for another TPM", () =>
    faulty({ kind: "wrong-blob", phase: 1 }, "made for another TPM or key, or damaged"));
  test("a blob cut short", () =>
    faulty({ kind: "short-blob", phase: 2 }, "DPS sent no sound key: authentication key:"));

  test("nobody there", async () => {
    settings({ "endpoint dps-port": "1" });
    site.start();
    await site.logged("DPS: no answer from localhost:1: refused: nothing listens there");
  });
});

test("a DPS that is slow is waited for", async () => {
  await enrol();
  fault({ kind: "dps-delay", ms: 1500 });
  settings();
  site.start();
  await site.logged(`connected to localhost as ${DEVICE}`);
});

test("no TPM there is one clear line, and a TPM that comes later is used", async () => {
  await enrol();
  await tpm.kill();
  settings({ "data connect.retry-interval": "1" });
  site.start();
  await site.logged("not registered: the TPM could not read its keys: ");
  await tpm.restart();
  await site.logged(`connected to localhost as ${DEVICE}`);
});

test("what was kept and is damaged is told of, and DPS asked", async () => {
  await enrol();
  const path = site.path("state/assignment.json");
  mkdirSync(site.path("state"));
  writeFileSync(path, '{"format":1,"hubName":');
  settings();
  site.start();
  await site.logged(`${path}: damaged and not used; DPS is asked again`);
  await site.logged("connected to");
  expect(registrations()).toBe(1);
});

test("a registration that failed half way leaves the old identity at work", async () => {
  await enrol();
  settings({ "data connect.retry-interval": "1" });
  site.start();
  await site.logged("connected to");
  await stop();
  const path = site.path("state/assignment.json");
  const pending = readFileSync(path, "utf8").replace('"isPending":false', '"isPending":true');
  writeFileSync(path, pending);
  fault({ kind: "dps-fail", code: 500 });
  site.start();
  await site.logged("DPS answered");
  await site.logged(`connected to localhost as ${DEVICE}`);
});
