// Tests of endpoints of type symmetric-key and x509 as a process: local Azure with its DPS over
// TLS, keys and certificates as an operator has them, and the agent.
// Neighbours: `site.ts`; `azure/issuer.ts` and `port/certificates.ts` make the certificates.
// Invariant: nothing waits for a fixed time; whatever is not seen in 30 s has failed.

import {
  afterAll,
  afterEach,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { createHmac, X509Certificate } from "node:crypto";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { Holder, Issuer } from "./azure/issuer.ts";
import type { JsonObject } from "./azure/model/merge.ts";
import { Authority } from "./port/certificates.ts";
import { Site } from "./site.ts";

setDefaultTimeout(60_000);

const ID = "gw-1";
const DEVICE = "gateway1";
/** Another hub of the same local Azure, under a name that its certificate has, too. */
const OTHER_HUB = "127.0.0.1";
const KEY = Buffer.from("an enrolled key that opens nothing else").toString("base64");
const OTHER_KEY = Buffer.from("another key, which opens nothing at all").toString("base64");

const issuer = new Issuer();
afterAll(() => issuer.remove());
const { root, middle } = issuer.authorities("fleet");
const holder = issuer.make(ID, middle);

let site: Site;
beforeEach(async () => {
  site = await Site.open({ dps: { assignMs: 0, retryAfterS: 1 }, moreHubs: [OTHER_HUB] });
});
afterEach(() => site.close());

/** A file of the site with mode 0600; its path. */
function file(name: string, text: string): string {
  writeFileSync(site.path(name), text, { mode: 0o600 });
  return site.path(name);
}

function settings(type: string, more: Record<string, string>): void {
  const { httpsPort, mqttPort, idScope } = site.azure.ready;
  site.settings({
    "endpoint connection-string": "",
    "endpoint type": type,
    "endpoint id-scope": idScope,
    "endpoint dps-host": "localhost",
    "endpoint dps-port": String(httpsPort),
    "endpoint mqtt-port": String(mqttPort),
    "data connect.retry-interval": "1",
    ...more,
  });
}

function withKey(more: Record<string, string> = {}, key = KEY): void {
  settings("symmetric-key", {
    "endpoint registration-id": ID,
    "endpoint symmetric-key-file": file("key", `${key}\n`),
    ...more,
  });
}

function withCertificate(shown: Holder, above = 0, more: Record<string, string> = {}): void {
  settings("x509", {
    "endpoint certificate-file": file("device.pem", shown.shown(above).cert),
    "endpoint private-key-file": file("device.key", shown.key),
    ...more,
  });
}

function enrol(
  kind: "device" | "group",
  id: string,
  attestation: JsonObject,
  more: JsonObject = {},
): void {
  const body = kind === "device" ? { registrationId: id, deviceId: DEVICE } : {};
  site.azure.hub.dps.putEnrollment(kind, id, { ...body, attestation, ...more });
  site.azure.settle();
}

const keyed = (primaryKey: string): JsonObject => ({
  type: "symmetricKey",
  symmetricKey: { primaryKey },
});
const certified = (
  kind: "clientCertificates" | "signingCertificates",
  one: Holder,
): JsonObject => ({
  type: "x509",
  x509: { [kind]: { primary: { certificate: one.cert } } },
});

function fault(spec: Record<string, unknown>): void {
  site.azure.hub.faults.add(spec);
  site.azure.settle();
}

async function stop(): Promise<void> {
  site.agent!.kill("SIGTERM");
  expect(await site.agent!.exited).toBe(0);
}

const connected = (device = DEVICE): Promise<number> =>
  site.logged(`connected to localhost as ${device}`);

const registrations = (): number =>
  site.events.filter((event) => event.type === "dps" && event.step === "assigned").length;

const status = async () => JSON.parse((await site.command("status", "--json")).out);

describe("a symmetric key", () => {
  test("of an enrollment opens DPS and the hub; the second start asks the hub alone", async () => {
    enrol("device", ID, keyed(KEY));
    withKey();
    site.start();
    await connected();
    expect(await status()).toMatchObject({
      connected: true,
      endpoint: { type: "symmetric-key", deviceId: DEVICE, certificateExpires: null },
      tpm: null,
      dps: { registrationId: ID, registration: "off", problem: null },
    });
    await stop();
    const path = site.path("state/assignment.json");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({
      deviceId: DEVICE,
      isPending: false,
    });
    for (const text of [readFileSync(path, "utf8"), site.log]) expect(text).not.toContain(KEY);
    site.start();
    await connected();
    expect(registrations()).toBe(1);
    expect(site.log).not.toContain("SharedAccessSignature");
  });

  test("may stand in the settings file itself", async () => {
    enrol("device", ID, keyed(KEY));
    withKey({ "endpoint symmetric-key-file": "", "endpoint symmetric-key": KEY });
    site.start();
    await connected();
  });

  test("of a group gives each device its own, by an id in whatever case", async () => {
    enrol("group", "fleet", keyed(KEY));
    withKey({
      "endpoint symmetric-key-file": "",
      "endpoint group-key-file": file("group", KEY),
      "endpoint registration-id": "GW-7",
    });
    site.start();
    await connected("gw-7");
    const stored = site.azure.hub.getDevice("gw-7") as {
      authentication: { symmetricKey: { primaryKey: string } };
    };
    const own = createHmac("sha256", Buffer.from(KEY, "base64")).update("gw-7").digest("base64");
    expect(stored.authentication.symmetricKey.primaryKey).toBe(own);
  });

  test("that is wrong, of an individual enrollment and of a group, is told in words", async () => {
    enrol("device", ID, keyed(OTHER_KEY));
    withKey();
    site.start();
    await site.logged(
      `DPS refused ${ID}: its enrollment in scope 0ne00000000 has another key, is not there or ` +
        "is disabled; copy its key again (error 401002: ",
    );
    expect(site.log).not.toContain(KEY);
    await stop();
    enrol("group", "fleet", keyed(OTHER_KEY));
    withKey({
      "endpoint symmetric-key-file": "",
      "endpoint group-key-file": file("group", KEY),
      "endpoint registration-id": "gw-7",
    });
    site.start();
    await site.logged("DPS refused gw-7: no enrollment group in scope 0ne00000000 has this key");
  });

  test("changed on both sides makes DPS be asked at once, without a refusal first", async () => {
    enrol("device", ID, keyed(KEY));
    withKey();
    site.start();
    await connected();
    await stop();
    site.azure.hub.dps.deleteEnrollment("device", ID);
    enrol("device", ID, keyed(OTHER_KEY));
    withKey({}, OTHER_KEY);
    site.start();
    await connected();
    expect(registrations()).toBe(2);
    expect(site.log).not.toContain("refused");
  });

  test("that the hub has forgotten is registered again, here at another hub", async () => {
    enrol("device", ID, keyed(KEY), { iotHubHostName: "localhost" });
    withKey();
    site.start();
    await connected();
    await stop();
    site.azure.hub.deleteDevice(DEVICE);
    site.azure.hub.dps.deleteEnrollment("device", ID);
    enrol("device", ID, keyed(KEY), { iotHubHostName: OTHER_HUB });
    site.start();
    await site.logged("refused by the hub: device gateway1 unknown at localhost");
    await site.logged(`registered: device ${DEVICE} at ${OTHER_HUB}`);
    await site.logged(`connected to ${OTHER_HUB} as ${DEVICE}`);
    await stop();
    site.start();
    await site.logged(`connected to ${OTHER_HUB} as ${DEVICE}`);
    expect(registrations()).toBe(2);
  });
});

describe("a certificate", () => {
  test("of an enrollment opens DPS and the hub without a token, and shows its end", async () => {
    enrol("device", ID, certified("clientCertificates", holder));
    withCertificate(holder);
    site.start();
    await connected();
    const { validTo } = new X509Certificate(holder.cert);
    const until = new Date(validTo).toISOString().replace(".000Z", "Z");
    expect(await status()).toMatchObject({
      endpoint: { type: "x509", tokenExpires: null, certificateExpires: until },
      dps: { registrationId: ID },
      counters: { tokens: 0 },
    });
    // The test's certificates live for 30 days, of which some time has passed.
    await site.logged("the device's certificate ends in 29 days");
    expect((await site.command("status")).out).toContain(
      `token      none needed: certificate good until ${until}; the device's certificate ends in`,
    );
    await stop();
    site.start();
    await connected();
    expect(registrations()).toBe(1);
    expect(site.log).not.toContain("PRIVATE KEY");
  });

  test("under an enrolled authority needs its chain, and without it is told so", async () => {
    enrol("group", "fleet", certified("signingCertificates", root));
    withCertificate(holder);
    site.start();
    await site.logged(
      `DPS refused ${ID}: scope 0ne00000000 has no enrollment with this certificate or with ` +
        "one that signed it, or it is disabled; enrol the certificate, or put the whole chain " +
        "into certificate-file (error 401002: ",
    );
    await stop();
    withCertificate(holder, 1);
    site.start();
    await connected(ID);
  });

  test("that was rolled is registered at once, for the hub knows its thumbprint", async () => {
    enrol("group", "fleet", certified("signingCertificates", middle));
    withCertificate(holder);
    site.start();
    await connected(ID);
    await stop();
    withCertificate(issuer.make(ID, middle));
    site.start();
    await connected(ID);
    expect(registrations()).toBe(2);
    expect(site.log).not.toContain("refused by the hub");
  });

  test("goes to the hub of a connection string without any DPS", async () => {
    const thumbprint = new X509Certificate(holder.cert).fingerprint256.replaceAll(":", "");
    const x509Thumbprint = { primaryThumbprint: thumbprint, secondaryThumbprint: thumbprint };
    site.azure.hub.createDevice(DEVICE, {
      authentication: { type: "selfSigned", x509Thumbprint },
    });
    const direct = {
      "endpoint connection-string": `HostName=localhost;DeviceId=${DEVICE};x509=true`,
      "endpoint id-scope": "",
    };
    withCertificate(holder, 0, direct);
    site.start();
    await connected();
    expect((await status()).dps).toBeNull();
    await stop();
    withCertificate(issuer.make(ID, middle), 0, direct);
    site.start();
    await site.logged(
      `refused by the hub: localhost knows another certificate of device ${DEVICE}, or no such ` +
        "device; enter this one's thumbprint there",
    );
  });
});

test("a certificate that has expired is said at start, and beside each refusal", async () => {
  const makers = new Authority("Makers of Gateways");
  try {
    const validity = { from: "20200101000000Z", until: "20210101000000Z" };
    const { cert, key } = makers.leaf(ID, `DNS:${ID}`, validity, "clientAuth");
    const old = new Holder(ID, cert, key, undefined);
    enrol("device", ID, certified("clientCertificates", old));
    withCertificate(old);
    site.start();
    const text =
      "by this clock the device's certificate expired on 2021-01-01T00:00:00Z; put a new one " +
      "into certificate-file and start azimuth again";
    const at = await site.logged(text);
    await site.logged(`DPS refused ${ID}: `, at);
    await site.logged(`${text}; next attempt in`, at);
  } finally {
    makers.remove();
  }
});

describe("azimuth check", () => {
  const problem = async (): Promise<string> => {
    const { code, err } = await site.command("check");
    expect(code).toBe(1);
    return err.replaceAll(site.folder, "").trim();
  };

  test("names the file that will not do, and never shows the key", async () => {
    withCertificate(holder, 0, { "endpoint private-key-file": site.path("none") });
    expect(await problem()).toMatch(
      /^\/azimuth\.ini:\d+: \[endpoint\] private-key-file: \/none: no such file$/,
    );
    withCertificate(holder, 0, { "endpoint certificate-file": file("root.pem", root.cert) });
    expect(await problem()).toMatch(
      /\[endpoint\] certificate-file: \/root\.pem: its first certificate has another key/,
    );
    withCertificate(holder, 0, { "endpoint registration-id": "gw-2" });
    expect(await problem()).toEndWith(
      '[endpoint] registration-id: is not the common name "gw-1" of the certificate; ' +
        "allowed: that, or no name",
    );
    withKey({}, "c2hvcnQ=");
    const short = await problem();
    expect(short).toContain("symmetric-key-file: in that file is no key of a sound length");
    expect(short).not.toContain("c2hvcnQ=");
  });

  test("warns of a secret that others may read, and of a certificate near its end", async () => {
    withCertificate(holder);
    chmodSync(site.path("device.key"), 0o644);
    const { code, err } = await site.command("check");
    expect([code, ...err.replaceAll(site.folder, "").trim().split("\n")]).toEqual([
      0,
      "warning: /device.key: others may read this secret (mode 0644); chmod 600 it",
      expect.stringMatching(/^warning: the device's certificate ends in 29 days, on 20/),
    ]);
  });
});

describe("refusals of DPS are told, each in its own words", () => {
  const faulty = async (spec: Record<string, unknown>, line: string): Promise<void> => {
    enrol("device", ID, keyed(KEY));
    fault(spec);
    withKey();
    site.start();
    await site.logged(line);
  };

  test("disabled", () => faulty({ kind: "dps-disabled" }, "is disabled; enable it"));
  test("no hub", () => faulty({ kind: "dps-fail", code: 400208 }, "DPS found no hub"));
  test("an error", () => faulty({ kind: "dps-fail", code: 500 }, "DPS answered"));
  test("throttled", () => faulty({ kind: "dps-throttle" }, "DPS has too many requests"));
});
