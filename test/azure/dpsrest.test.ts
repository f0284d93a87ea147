/**
 * The provisioning service over HTTPS: enrollments, groups, registrations, and the device's calls.
 * Neighbours: `caller.ts`; what is decided is tested on the model.
 * Invariant: statuses, headers and bodies are those that the SDKs take apart.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { Caller, type Extra } from "./caller.ts";
import { Chip } from "./chip.ts";
import { KEY, SECOND_KEY } from "./lab.ts";
import { type Emulator, startEmulator } from "./server/emulator.ts";

const SCOPE = "0ne00000AAA";
const chip = Chip.make();
let emulator: Emulator;
let caller: Caller;

const attestation = {
  type: "symmetricKey",
  symmetricKey: { primaryKey: KEY, secondaryKey: SECOND_KEY },
};
const tpmAttestation = { type: "tpm", tpm: { endorsementKey: chip.endorsementKey } };

const put = (path: string, body: unknown, etag?: string) =>
  caller.provision("PUT", path, {
    body,
    headers: etag === undefined ? {} : { "if-match": etag },
  });

/** A device's call. */
const device = (method: string, path: string, extra: Extra = {}) =>
  caller.call(method, `/${SCOPE}/registrations/${path}?api-version=2021-06-01`, {
    ...extra,
    headers: { "content-type": "application/json; charset=utf-8", ...extra.headers },
  });

const signed = (id: string, key: string): Record<string, string> => ({
  authorization: caller.token(`${SCOPE}/registrations/${id}`, key, "registration"),
});

beforeAll(() => {
  emulator = startEmulator({
    hubName: "unit.example",
    idScope: SCOPE,
    dps: { assignMs: 0, retryAfterS: 7, pollsPer10S: 0 },
  });
  caller = new Caller(emulator.ready);
});

afterAll(() => emulator.stop());

describe("an enrollment", () => {
  test("is created, read, changed under its etag, deleted", async () => {
    const made = await put("/enrollments/e1", { registrationId: "e1", attestation });
    expect(made.status).toBe(200);
    expect(made.body).toMatchObject({
      registrationId: "e1",
      attestation: { type: "symmetricKey" },
      provisioningStatus: "enabled",
      reprovisionPolicy: { updateHubAssignment: true, migrateDeviceData: true },
      allocationPolicy: "static",
      iotHubs: [],
      capabilities: { iotEdge: false },
    });
    expect(made.body.createdDateTimeUtc).toMatch(/^20\d\d-.*T.*\.\d{7}Z$/);
    expect(made.headers.get("etag")).toBe(`"${made.body.etag}"`);
    expect((await caller.provision("GET", "/enrollments/E1")).body).toEqual(made.body);

    const changed = await put(
      "/enrollments/e1",
      { ...made.body, deviceId: "d1", provisioningStatus: "disabled" },
      made.body.etag,
    );
    expect(changed.body).toMatchObject({ deviceId: "d1", provisioningStatus: "disabled" });
    const mechanism = await caller.provision("POST", "/enrollments/e1/attestationmechanism");
    expect(mechanism.body).toEqual(attestation);

    const stale = { headers: { "if-match": made.body.etag } };
    const refused = await caller.provision("DELETE", "/enrollments/e1", stale);
    expect([refused.status, refused.body.errorCode]).toEqual([412, 412001]);
    const fresh = { headers: { "if-match": `"${changed.body.etag}"` } };
    const gone = await caller.provision("DELETE", "/enrollments/e1", fresh);
    expect([gone.status, gone.body]).toEqual([204, ""]);
    const missing = await caller.provision("GET", "/enrollments/e1");
    expect(missing.status).toBe(404);
    expect(missing.headers.get("x-ms-error-code")).toBe("404201");
    expect(missing.body).toMatchObject({
      errorCode: 404201,
      trackingId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      message: "enrollment e1 does not exist",
      timestampUtc: expect.stringMatching(/\.\d{7}Z$/),
      info: {},
    });
  });

  test("that exists is not overwritten without its etag, one that does not has none", async () => {
    await put("/enrollments/e2", { attestation });
    const again = await put("/enrollments/e2", { attestation });
    expect([again.status, again.body.errorCode]).toEqual([409, 409001]);
    expect((await put("/enrollments/e2", { attestation }, "*")).status).toBe(200);
    expect((await put("/enrollments/nobody", { attestation }, "*")).status).toBe(412);
  });

  test("gets keys of 64 bytes when it brings none", async () => {
    const bare = { type: "symmetricKey", symmetricKey: { primaryKey: "", secondaryKey: null } };
    expect((await put("/enrollments/e3", { attestation: bare })).status).toBe(200);
    const { body } = await caller.provision("POST", "/enrollments/e3/attestationmechanism");
    const { primaryKey, secondaryKey } = body.symmetricKey;
    expect(primaryKey).not.toBe(secondaryKey);
    expect(Buffer.from(primaryKey, "base64")).toHaveLength(64);
  });

  const refusals: [string, object, RegExp][] = [
    ["no attestation", {}, /attestation must be an object/],
    ["an odd attestation", { attestation: { type: "odd" } }, /one of tpm, symmetricKey, x509/],
    ["no endorsement key", { attestation: { type: "tpm" } }, /tpm.endorsementKey must be a string/],
    [
      "a broken endorsement key",
      { attestation: { type: "tpm", tpm: { endorsementKey: "QUJD" } } },
      /endorsementKey: not a TPM2B_PUBLIC/,
    ],
    [
      "no certificate",
      { attestation: { type: "x509", x509: { clientCertificates: {} } } },
      /clientCertificates.primary must be an object/,
    ],
    [
      "references to authorities",
      { attestation: { type: "x509", x509: { caReferences: { primary: "a" } } } },
      /caReferences are not offered/,
    ],
    ["another id", { registrationId: "e5", attestation }, /not that of the address/],
    ["a bad device id", { deviceId: "a b", attestation }, /deviceId must be 1 to 128/],
    ["a bad status", { provisioningStatus: "on", attestation }, /must be enabled or disabled/],
    ["a bad policy", { reprovisionPolicy: 1, attestation }, /reprovisionPolicy must be an object/],
    [
      "a bad flag",
      { reprovisionPolicy: { migrateDeviceData: 1 }, attestation },
      /reprovisionPolicy.migrateDeviceData must be true or false/,
    ],
    ["custom allocation", { allocationPolicy: "custom", attestation }, /custom is not offered/],
    ["odd hubs", { iotHubs: [1], attestation }, /iotHubs must be an array of host names/],
    [
      "a twin that the hub would refuse",
      { initialTwin: { properties: { desired: { "a b": 1 } } }, attestation },
      /properties.desired: key "a b" holds/,
    ],
  ];
  for (const [what, body, problem] of refusals) {
    test(`with ${what} is refused by name`, async () => {
      const answer = await put("/enrollments/e4", body);
      expect([answer.status, answer.body.errorCode]).toEqual([400, 400004]);
      expect(answer.body.message).toMatch(problem);
    });
  }

  test("with an id that is none is refused", async () => {
    for (const id of ["a%20b", "ends.", "x".repeat(129)]) {
      expect((await put(`/enrollments/${id}`, { attestation })).status).toBe(400);
    }
  });
});

describe("a group", () => {
  test("lives under its own path, in any case, and has no TPM", async () => {
    const made = await put("/enrollmentGroups/fleet", { attestation });
    expect(made.body).toMatchObject({ enrollmentGroupId: "fleet" });
    const keys = await caller.provision("POST", "/enrollmentgroups/fleet/attestationmechanism");
    expect(keys.body.symmetricKey.primaryKey).toBe(KEY);
    const refused = await put("/enrollmentGroups/g2", { attestation: tpmAttestation });
    expect(refused.body.message).toBe("attestation.type must be one of symmetricKey, x509");
  });

  test("lists the registrations that came by it", async () => {
    const key = createHmac("sha256", Buffer.from(KEY, "base64")).update("m1").digest("base64");
    const headers = signed("m1", key);
    const first = await device("PUT", "m1/register", { headers, body: { registrationId: "m1" } });
    expect(first.status).toBe(202);
    await device("GET", `m1/operations/${first.body.operationId}`, { headers });
    const body = { query: "SELECT * FROM registrations" };
    const list = await caller.provision("POST", "/registrations/fleet/query", { body });
    expect(list.headers.get("x-ms-item-type")).toBe("registrations");
    expect(list.body).toMatchObject([{ registrationId: "m1", status: "assigned" }]);
    expect((await caller.provision("POST", "/registrations/x/query", { body })).status).toBe(404);
  });
});

describe("lists", () => {
  test("go page by page, with continuation headers", async () => {
    await put("/enrollments/l1", { attestation });
    await put("/enrollments/l2", { attestation });
    const ids: string[] = [];
    let next = "";
    do {
      const answer = await caller.provision("POST", "/enrollments/query", {
        body: { query: "SELECT * FROM enrollments" },
        headers: { "x-ms-max-item-count": "1", "x-ms-continuation": next },
      });
      expect(answer.headers.get("x-ms-item-type")).toBe("enrollment");
      expect(answer.body).toHaveLength(1);
      ids.push(answer.body[0].registrationId);
      next = answer.headers.get("x-ms-continuation") ?? "";
    } while (next !== "");
    expect(ids).toContain("l1");
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("take a plain query and sane paging only", async () => {
    const ask = (query: unknown, headers = {}) =>
      caller.provision("POST", "/enrollmentGroups/query", { body: { query }, headers });
    expect((await ask("")).status).toBe(200);
    expect((await ask("SELECT * FROM enrollments WHERE x = 1")).status).toBe(400);
    expect((await ask(7)).status).toBe(400);
    expect((await ask("*", { "x-ms-max-item-count": "0" })).status).toBe(400);
    expect((await ask("", { "x-ms-continuation": "-1" })).status).toBe(400);
  });

  test("are changed in bulk, each item for itself", async () => {
    const bulk = (mode: string, ...enrollments: object[]) =>
      caller.provision("POST", "/enrollments/", { body: { mode, enrollments } });
    const [b1, b2] = ["b1", "b2"].map((registrationId) => ({ registrationId, attestation }));
    expect((await bulk("create", b1!, b2!)).body).toEqual({ isSuccessful: true, errors: [] });
    const twice = await bulk("create", b1!, { registrationId: "b3", attestation });
    expect(twice.body).toMatchObject({
      isSuccessful: false,
      errors: [{ registrationId: "b1", errorCode: 409001 }],
    });
    expect((await bulk("update", { ...b1!, deviceId: "new" })).body.isSuccessful).toBe(true);
    expect((await bulk("updateIfMatchEtag", { ...b1!, etag: "x" })).body.isSuccessful).toBe(false);
    expect((await caller.provision("GET", "/enrollments/b1")).body.deviceId).toBe("new");
    expect((await bulk("delete", b1!, b2!)).body.isSuccessful).toBe(true);
    expect((await bulk("odd", b1!)).body.isSuccessful).toBe(false);
    expect((await bulk("create")).status).toBe(400);
  });
});

describe("authorization of services", () => {
  test("is by policy, key and the service's name", async () => {
    const { dpsKey, host, hubName, serviceKey } = emulator.ready;
    const owner = "provisioningserviceowner";
    for (const [authorization, problem] of [
      ["", /not a SharedAccessSignature/],
      [caller.token(host, KEY, owner), /not by the key of policy/],
      [caller.token(host, dpsKey, "ghost"), /policy "ghost" does not exist/],
      [caller.token(hubName, serviceKey, "iothubowner"), /does not exist on this service/],
      [caller.token(hubName, dpsKey, owner), /another resource/],
      [caller.token(host, dpsKey, owner, -301), /expired/],
    ] as const) {
      const answer = await caller.provision("GET", "/enrollments/e2", { authorization });
      expect([answer.status, answer.body.errorCode]).toEqual([401, 401002]);
      expect(answer.body.message).toMatch(problem);
    }
  });

  test("needs an api-version, a method that is there, and JSON", async () => {
    const { dpsKey, host } = emulator.ready;
    const authorization = caller.token(host, dpsKey, "provisioningserviceowner");
    const bare = await caller.call("GET", "/enrollments/e2", { headers: { authorization } });
    expect(bare.body.message).toMatch(/api-version is missing/);
    expect((await caller.provision("PATCH", "/enrollments/e2")).body.errorCode).toBe(405001);
    expect((await caller.provision("GET", "/enrollments/e2/odd")).status).toBe(405);
    expect((await caller.provision("PUT", "/registrations/e2")).status).toBe(405);
    expect((await put("/enrollments/e9", "{")).status).toBe(400);
    expect((await put("/enrollments/e9", [])).status).toBe(400);
    const headers = { "content-type": "text/plain" };
    const typed = await caller.provision("PUT", "/enrollments/e9", { headers, body: "{}" });
    expect([typed.status, typed.body.errorCode]).toEqual([415, 415001]);
    const long = await put("/enrollments/e9", { notes: "x".repeat(100_000) });
    expect(long.body.message).toMatch(/body of more than 98304 bytes/);
  });
});

describe("a device", () => {
  test("with a TPM is challenged, registers and is shown to services", async () => {
    const id = chip.registrationId;
    await put(`/enrollments/${id}`, { registrationId: id, attestation: tpmAttestation });
    const body = { registrationId: id, tpm: chip.keys };
    const first = await device("PUT", `${id}/register`, { body });
    expect(first.status).toBe(401);
    expect(first.headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(first.headers.get("x-ms-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect(Object.keys(first.body).sort()).toEqual(["authenticationKey", "keyName", "message"]);
    const key = chip.open(first.body.authenticationKey).key.toString("base64");
    const headers = signed(id, key);
    const second = await device("PUT", `${id}/register`, { headers, body });
    expect(second.status).toBe(202);
    expect(second.headers.get("retry-after")).toBe("7");
    const location = new URL(second.headers.get("location")!);
    expect(location.origin).toBe(caller.url);
    expect(location.pathname).toBe(
      `/${SCOPE}/registrations/${id}/operations/${second.body.operationId}`,
    );
    const last = await caller.call("GET", location.pathname + location.search, { headers });
    expect(last.status).toBe(200);
    expect(last.headers.get("retry-after")).toBeNull();
    const { registrationState } = last.body;
    expect(registrationState).toMatchObject({ assignedHub: "unit.example", deviceId: id });
    expect(chip.open(registrationState.tpm.authenticationKey).key).toHaveLength(32);

    const found = await device("POST", id, { headers, body: { registrationId: id } });
    expect(found.body.status).toBe("assigned");
    const shown = await caller.provision("GET", `/registrations/${id}`);
    expect(shown.body).toMatchObject({ status: "assigned", substatus: "initialAssignment" });
    expect(shown.body.tpm).toBeUndefined();
    const enrollment = await caller.provision("GET", `/enrollments/${id}`);
    expect(enrollment.body.registrationState).toEqual(shown.body);
    expect(enrollment.body.attestation.tpm.storageRootKey).toBe(chip.storageRootKey);
    const stale = { headers: { "if-match": "x" } };
    expect((await caller.provision("DELETE", `/registrations/${id}`, stale)).status).toBe(412);
    expect((await caller.provision("DELETE", `/registrations/${id}`)).status).toBe(204);
    expect((await caller.provision("GET", `/registrations/${id}`)).body.errorCode).toBe(404202);
  });

  test("that is refused gets the error in body and header", async () => {
    const headers = signed("nobody", KEY);
    const answer = await device("PUT", "nobody/register", { headers, body: {} });
    expect([answer.status, answer.body.errorCode, answer.body.message]).toEqual([
      401,
      401002,
      "Unauthorized",
    ]);
    expect(answer.headers.get("x-ms-error-code")).toBe("401002");
  });

  test("that asks wrongly is told what is wrong", async () => {
    const cases: [string, string, Extra, number][] = [
      ["PUT", "e2/register", { body: "{" }, 400],
      ["PUT", "e2/register", { body: {}, headers: { "content-type": "text/plain" } }, 415],
      ["PUT", "e2", { body: {} }, 405],
      ["DELETE", "e2/register", {}, 405],
      ["GET", "e2/operations", {}, 405],
      ["POST", "", {}, 400],
    ];
    for (const [method, path, extra, status] of cases) {
      expect([method, path, (await device(method, path, extra)).status]).toEqual([
        method,
        path,
        status,
      ]);
    }
    const bare = await caller.call("PUT", `/${SCOPE}/registrations/e2/register`);
    expect(bare.body.message).toMatch(/api-version is missing/);
    const elsewhere = await caller.call("POST", "/0ne9/registrations/e2?api-version=1");
    expect(elsewhere.body.errorCode).toBe(404001);
  });

  test("gets a late answer (fault) when its time has come", async () => {
    emulator.hub.faults.add({ kind: "dps-delay", ms: 20, count: 1 });
    const headers = signed("e2", KEY);
    expect((await device("PUT", "e2/register", { headers, body: {} })).status).toBe(202);
  });
});

test("the state page shows what is enrolled and registered, and no key", async () => {
  const { body } = await caller.call("GET", "/control/state");
  expect(body.dps).toMatchObject({ idScope: SCOPE, groups: ["fleet"] });
  expect(body.dps.enrollments).toContain("e2");
  expect(JSON.stringify(body.dps)).not.toContain(KEY);
});
