/**
 * X.509 attestation: a device's own certificate, and groups by authority, on the model and over
 * real TLS, up to the connection with the hub. Neighbours: `issuer.ts` makes the certificates.
 * Invariant: the TLS layer lets any certificate in; each refusal here is the model's.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Caller } from "./caller.ts";
import { ask, type Body, lastReason, SCOPE, settle, token } from "./dpslab.ts";
import { type Holder, Issuer, LIFE_DAYS } from "./issuer.ts";
import { KEY, Lab, LabDevice, textOf } from "./lab.ts";
import { takeCertificate } from "./model/dps/certificate.ts";
import type { JsonObject } from "./model/merge.ts";
import { type Emulator, startEmulator } from "./server/emulator.ts";
import { WireDevice } from "./wire.ts";

const ID = "gw-1";
const DAY_S = 86_400;
const issuer = new Issuer();
afterAll(() => issuer.remove());

const { root, middle } = issuer.authorities("fleet");
const device = issuer.make(ID, middle);
const alone = issuer.make(ID);
const other = issuer.make("gw-2", middle);
const foreign = issuer.authorities("foreign", "rsa");
const impostor = issuer.make(ID, foreign.middle, { type: "rsa" });
const tooFar = issuer.make(ID, device);

const clientBody = (...holders: Holder[]): JsonObject => {
  const [primary, secondary] = holders.map(({ cert }) => ({ certificate: cert }));
  const clientCertificates = { primary: primary!, secondary: secondary ?? null };
  return { attestation: { type: "x509", x509: { clientCertificates } } };
};
const signingBody = (holder: Holder): JsonObject => ({
  attestation: {
    type: "x509",
    x509: { signingCertificates: { primary: { certificate: holder.cert } } },
  },
});

/** A lab whose clock is in the life of the certificates. */
function lab(): Lab {
  const made = new Lab();
  made.nowMs = Date.now() + 1000;
  return made;
}

/** Code of a registration, 0 when it was taken. */
function register(made: Lab, holder: Holder, above = 0, id = ID): number {
  return ask(made, id, { peer: holder.peer(above), body: { registrationId: id } }).code;
}

describe("a device's own certificate", () => {
  test("registers and opens the hub without a token", () => {
    const made = lab();
    made.hub.dps.putEnrollment("device", ID, clientBody(alone));
    const { registrationState } = settle(made, ID, { peer: alone.peer() });
    expect(registrationState).toMatchObject({ x509: {}, status: "assigned", deviceId: ID });
    const stored = made.hub.getDevice(ID) as Body;
    expect(stored.authentication).toMatchObject({
      type: "selfSigned",
      symmetricKey: { primaryKey: null, secondaryKey: null },
      x509Thumbprint: { primaryThumbprint: expect.stringMatching(/^[0-9A-F]{64}$/) },
    });
    const cases: [Holder | undefined, string | undefined, number][] = [
      [alone, undefined, 0],
      [device, undefined, 5],
      [undefined, undefined, 5],
      [alone, token(made, ID, KEY), 5],
    ];
    for (const [holder, password, returnCode] of cases) {
      const socket = new LabDevice(made, ID, holder?.peer());
      socket.connect({ password: Buffer.from(password ?? "") });
      expect(socket.take()).toMatchObject([{ cmd: "connack", returnCode }]);
    }
    expect(made.log("refuse").map((event) => event.reason)).toEqual([
      "the certificate has another thumbprint",
      "no certificate was shown in the TLS handshake",
      "a token, but the device is registered with a certificate",
    ]);
  });

  test("may be the secondary one, and is compared whole", () => {
    const made = lab();
    made.hub.dps.putEnrollment("device", ID, clientBody(device, alone));
    expect([register(made, device), register(made, alone)]).toEqual([0, 0]);
    expect(register(made, impostor)).toBe(401002);
    expect(lastReason(made)).toMatch(/not the one that is enrolled/);
    expect(ask(made, ID).code).toBe(401002);
    expect(lastReason(made)).toMatch(/no certificate was shown/);
  });

  test("must bear the registration id as common name, in its time", () => {
    const made = lab();
    made.hub.dps.putEnrollment("device", "gw-9", clientBody(alone));
    expect(register(made, alone, 0, "gw-9")).toBe(401002);
    expect(lastReason(made)).toMatch(/common name "gw-1" is not the registration id gw-9/);
    made.hub.dps.putEnrollment("device", ID, clientBody(alone));
    made.nowMs -= DAY_S * 1000;
    expect([register(made, alone), lastReason(made)]).toEqual([
      401002,
      `register: certificate ${ID} is not valid yet`,
    ]);
    made.nowMs += (LIFE_DAYS + 2) * DAY_S * 1000;
    expect([register(made, alone), lastReason(made)]).toEqual([
      401002,
      `register: certificate ${ID} has expired`,
    ]);
  });

  test("is shown to services as facts, and stays when they write them back", () => {
    const made = lab();
    const shown = made.hub.dps.putEnrollment("device", ID, clientBody(alone)) as Body;
    const { primary, secondary } = shown.attestation.x509.clientCertificates;
    expect(primary.info).toMatchObject({
      subjectName: `O=lab, CN=${ID}`,
      issuerName: `O=lab, CN=${ID}`,
      sha1Thumbprint: expect.stringMatching(/^[0-9A-F]{40}$/),
      notAfterUtc: expect.stringMatching(/^20\d\d-\d\d-\d\dT/),
    });
    expect(primary.certificate).toBeUndefined();
    expect(secondary).toBeNull();
    made.hub.dps.putEnrollment("device", ID, shown, shown.etag);
    expect(register(made, alone)).toBe(0);
  });
});

describe("a group by authority", () => {
  test("takes devices whose chain leads to it, by what they send along", () => {
    const made = lab();
    made.hub.dps.putEnrollment("group", "fleet", signingBody(root));
    expect(register(made, device)).toBe(401002);
    expect(lastReason(made)).toBe(
      `register: ${ID}: the certificates lead to no enrolled authority`,
    );
    const { registrationState } = settle(made, ID, { peer: device.peer(1) });
    expect(registrationState).toMatchObject({ x509: { enrollmentGroupId: "fleet" } });
    expect(register(made, device, 2)).toBe(0);
    expect(register(made, other, 1, "gw-2")).toBe(0);
    expect(register(made, other, 1)).toBe(401002);
    expect(register(made, impostor, 2)).toBe(401002);
  });

  test("that is nearest to the device is the one", () => {
    const made = lab();
    made.hub.dps.putEnrollment("group", "far", signingBody(root));
    made.hub.dps.putEnrollment("group", "near", signingBody(middle));
    const near = settle(made, ID, { peer: device.peer(1) }).registrationState;
    expect(near.x509).toEqual({ enrollmentGroupId: "near" });
  });

  test("takes no certificate that another device has signed, nor one of another root", () => {
    const made = lab();
    made.hub.dps.putEnrollment("group", "fleet", signingBody(root));
    expect(register(made, tooFar, 2)).toBe(401002);
    const mixed = { chain: [impostor.der, middle.der, root.der] };
    expect(ask(made, ID, { peer: mixed }).code).toBe(401002);
    const junk = { chain: [Buffer.from("junk")] };
    expect([ask(made, ID, { peer: junk }).code, lastReason(made)]).toEqual([
      401002,
      "register: the client's certificate cannot be read",
    ]);
  });

  test("that has expired takes nobody", () => {
    const made = lab();
    made.hub.dps.putEnrollment("group", "fleet", signingBody(middle));
    made.nowMs += (LIFE_DAYS + 2) * DAY_S * 1000;
    expect(register(made, device)).toBe(401002);
  });

  test("with a new certificate for the device gives that one to the hub", () => {
    const made = lab();
    made.hub.dps.putEnrollment("group", "fleet", signingBody(middle));
    const rolled = issuer.make(ID, middle);
    for (const holder of [device, rolled]) {
      settle(made, ID, { peer: holder.peer() });
      const check = made.hub.checkToken(ID, "", holder.peer());
      expect(check.problem).toBe("");
    }
    expect(made.hub.checkToken(ID, "", device.peer()).problem).toMatch(/another thumbprint/);
  });
});

describe("an enrolled certificate", () => {
  test("may be PEM, base64 of PEM, or base64 of DER", () => {
    const der = alone.der.toString("base64");
    const forms = [alone.cert, Buffer.from(alone.cert).toString("base64"), der];
    expect(forms.map((form) => takeCertificate(form, "x"))).toEqual([der, der, der]);
  });

  for (const given of ["", "AAAA", 7, undefined]) {
    test(`is not ${given}`, () => {
      expect(() => takeCertificate(given, "x509.primary")).toThrow(/^x509.primary (must be|is no)/);
    });
  }
});

describe("over TLS", () => {
  let emulator: Emulator;
  let caller: Caller;
  beforeAll(async () => {
    emulator = startEmulator({ dps: { assignMs: 0 } });
    caller = new Caller(emulator.ready);
    const body = signingBody(root);
    const answer = await caller.provision("PUT", "/enrollmentGroups/fleet", { body });
    expect(answer.status).toBe(200);
  });
  afterAll(() => emulator.stop());

  const httpsCall = (method: string, path: string, shown = device.shown(1)) =>
    caller.call(method, `/${SCOPE}/registrations/${path}?api-version=2021-06-01`, {
      headers: { "content-type": "application/json" },
      ...(method === "PUT" ? { body: { registrationId: ID } } : {}),
      shown,
    });

  test("HTTPS registers a certificate and its chain; without the chain it is 401", async () => {
    const bare = await httpsCall("PUT", `${ID}/register`, device.shown());
    expect([bare.status, bare.body.errorCode]).toEqual([401, 401002]);
    const first = await httpsCall("PUT", `${ID}/register`);
    expect(first.status).toBe(202);
    const last = await httpsCall("GET", `${ID}/operations/${first.body.operationId}`);
    expect(last.body).toMatchObject({ status: "assigned", registrationState: { deviceId: ID } });
  });

  test("MQTT registers it, and the hub lets it in by the same certificate", async () => {
    const visitor = await WireDevice.open(emulator.ready, ID, "localhost", device.shown(1));
    const username = `${SCOPE}/registrations/${ID}/api-version=2019-03-31`;
    const connack = await visitor.connect(KEY, { username, password: Buffer.alloc(0) });
    expect(connack).toMatchObject({ returnCode: 0 });
    await visitor.subscribe("$dps/registrations/res/#", 1);
    visitor.publish("$dps/registrations/PUT/iotdps-register/?$rid=1", "{}");
    const { operationId } = JSON.parse(textOf(await visitor.next()));
    const topic = "$dps/registrations/GET/iotdps-get-operationstatus/";
    visitor.publish(`${topic}?$rid=2&operationId=${operationId}`, " ");
    expect(JSON.parse(textOf(await visitor.next()))).toMatchObject({ status: "assigned" });
    visitor.destroy();

    for (const [shown, returnCode] of [
      [device.shown(), 0],
      [other.shown(), 5],
    ] as const) {
      const socket = await WireDevice.open(emulator.ready, ID, "localhost", shown);
      expect(await socket.connect(KEY, { password: Buffer.alloc(0) })).toMatchObject({
        returnCode,
      });
      socket.destroy();
    }
  });

  test("the hub's REST for devices takes the certificate too", async () => {
    const path = `/devices/${ID}/messages/devicebound?api-version=2021-04-12`;
    expect((await caller.call("GET", path, { shown: device.shown() })).status).toBe(204);
    expect((await caller.call("GET", path, { shown: other.shown() })).status).toBe(401);
    expect((await caller.call("GET", path)).status).toBe(401);
  });
});
