/**
 * Registration on the model: TPM, symmetric key of a device and of a group, tokens in every
 * encoding that clients use. Neighbours: `dpslab.ts` asks, `chip.ts` is the TPM.
 * Invariant: the clock stands still unless a test lets it run.
 */
import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { Chip } from "./chip.ts";
import {
  ask,
  type Body,
  challenge,
  enrollChip,
  lastReason,
  SCOPE,
  settle,
  settleChip,
  steps,
  token,
} from "./dpslab.ts";
import { HUB_NAME, KEY, Lab, SECOND_KEY } from "./lab.ts";

const chip = Chip.make();
const ID = "gw-1";

const keyBody = (id: string, primaryKey = KEY): Body => ({
  registrationId: id,
  attestation: { type: "symmetricKey", symmetricKey: { primaryKey, secondaryKey: SECOND_KEY } },
});

const groupBody = (id: string): Body => {
  const { attestation } = keyBody("", KEY);
  return { enrollmentGroupId: id, attestation };
};

const derived = (id: string, groupKey = KEY): string =>
  createHmac("sha256", Buffer.from(groupKey, "base64")).update(id).digest("base64");

describe("a TPM", () => {
  test("is challenged, registers, polls, and its device key opens the hub", () => {
    const lab = new Lab();
    enrollChip(lab, ID, chip, { deviceId: "ac:de:48:00:11:22" });
    const first = ask(lab, ID, { body: { registrationId: ID, tpm: chip.keys } });
    expect(first).toMatchObject({
      status: 401,
      retryAfterS: -1,
      body: { keyName: "registration" },
    });
    expect(first.body).not.toHaveProperty("status");
    const opened = chip.open(String(first.body.authenticationKey));
    expect(opened.uri).toBe("");

    const key = opened.key.toString("base64");
    const signed = { authorization: token(lab, ID, key) };
    const second = ask(lab, ID, { ...signed, body: { registrationId: ID, tpm: chip.keys } });
    expect(second).toMatchObject({ status: 202, retryAfterS: 3, body: { status: "assigning" } });
    const { operationId } = second;
    expect(operationId).toMatch(/^4\.[0-9a-f]{16}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(second.body).toEqual({ operationId, status: "assigning" });

    const early = ask(lab, ID, { ...signed, verb: "poll", operationId });
    expect(early).toMatchObject({ status: 202, retryAfterS: 3 });
    expect(early.body).toEqual({
      operationId,
      status: "assigning",
      registrationState: { registrationId: ID, status: "assigning" },
    });

    lab.pass(3);
    const last = ask(lab, ID, { ...signed, verb: "poll", operationId });
    expect(last).toMatchObject({ status: 200, retryAfterS: -1 });
    const state = (last.body as Body).registrationState;
    expect(state).toMatchObject({
      registrationId: ID,
      createdDateTimeUtc: "2026-01-01T00:00:00.0000000Z",
      lastUpdatedDateTimeUtc: "2026-01-01T00:00:00.5000000Z",
      assignedHub: HUB_NAME,
      deviceId: "ac:de:48:00:11:22",
      status: "assigned",
      substatus: "initialAssignment",
    });
    const identity = chip.open(state.tpm.authenticationKey);
    expect(identity.uri).toBe(HUB_NAME);
    expect(identity.key.equals(opened.key)).toBe(false);

    const device = lab.device("ac:de:48:00:11:22");
    device.connect({ password: Buffer.from(device.token(3600, identity.key.toString("base64"))) });
    expect(device.take()).toMatchObject([{ cmd: "connack", returnCode: 0 }]);
    expect(steps(lab)).toEqual(["enrolled", "challenge", "register", "poll", "assigned", "poll"]);
  });

  test("gets a new device key at every registration, and the old one is refused then", () => {
    const lab = new Lab();
    enrollChip(lab, ID, chip);
    const keys = [1, 2].map(() => {
      const { registrationState } = settleChip(lab, ID, chip);
      return chip.open(registrationState.tpm.authenticationKey).key.toString("base64");
    });
    expect(keys[0]).not.toBe(keys[1]);
    const codes = keys.map((key) => {
      const device = lab.device(ID);
      device.connect({ password: Buffer.from(device.token(3600, key)) });
      return device.take()[0]!.returnCode;
    });
    expect(codes).toEqual([5, 0]);
  });

  test("is taken by its endorsement key; the storage root key is learnt and may not change", () => {
    const lab = new Lab();
    enrollChip(lab, ID, chip);
    const tpmOf = (): Body => (lab.hub.dps.getEnrollment("device", ID).attestation as Body).tpm;
    challenge(lab, ID, chip);
    expect(tpmOf()).toEqual({ endorsementKey: chip.endorsementKey });
    settleChip(lab, ID, chip);
    expect(tpmOf()).toEqual(chip.keys);

    const cleared = chip.cleared();
    const answer = ask(lab, ID, { body: { registrationId: ID, tpm: cleared.keys } });
    expect(answer).toMatchObject({ status: 401, code: 401002 });
    expect(answer.body).not.toHaveProperty("authenticationKey");
    expect(lastReason(lab)).toMatch(/storage root key is another one/);

    const { etag } = lab.hub.dps.getEnrollment("device", ID);
    const attestation = { type: "tpm", tpm: { endorsementKey: chip.endorsementKey } };
    lab.hub.dps.putEnrollment("device", ID, { attestation }, String(etag));
    expect(settleChip(lab, ID, cleared).status).toBe("assigned");
  });

  test("with another endorsement key, or none that is enrolled, is refused", () => {
    const lab = new Lab();
    enrollChip(lab, ID, chip);
    const stranger = Chip.make();
    const refused = ask(lab, ID, { body: { registrationId: ID, tpm: stranger.keys } });
    expect([refused.code, lastReason(lab)]).toEqual([
      401002,
      "register: the endorsement key is not the one that is enrolled",
    ]);
    const unknown = ask(lab, "gw-2", { body: { registrationId: "gw-2", tpm: stranger.keys } });
    expect([unknown.status, unknown.code]).toEqual([404, 404201]);
  });

  test("must answer the newest challenge, with the keys that were challenged", () => {
    const lab = new Lab();
    enrollChip(lab, ID, chip);
    const none = ask(lab, ID, { authorization: token(lab, ID, KEY) });
    expect([none.code, lastReason(lab)]).toEqual([
      401002,
      "register: a token, but no challenge went before it",
    ]);
    const stale = challenge(lab, ID, chip);
    const fresh = challenge(lab, ID, chip);
    expect(ask(lab, ID, { authorization: token(lab, ID, stale) }).code).toBe(401002);
    const authorization = token(lab, ID, fresh);
    const body = { registrationId: ID, tpm: chip.cleared().keys };
    expect(ask(lab, ID, { authorization, body }).code).toBe(401002);
    // One client sends the keys again, another leaves them out.
    expect(ask(lab, ID, { authorization }).status).toBe(202);
  });

  test("with keys that are none is told so", () => {
    const lab = new Lab();
    enrollChip(lab, ID, chip);
    const cases: [Body, number, RegExp][] = [
      [{ ...chip.keys, storageRootKey: "AAAA" }, 400004, /tpm.storageRootKey: not a TPM2B_PUBLIC/],
      [{ endorsementKey: chip.endorsementKey }, 400004, /tpm.storageRootKey must be a string/],
      [{}, 400004, /tpm.endorsementKey must be a string/],
      [7, 401002, /neither a token nor the keys of a TPM/],
    ];
    for (const [tpm, code, reason] of cases) {
      expect(ask(lab, ID, { body: { registrationId: ID, tpm } }).code).toBe(code);
      expect(lastReason(lab)).toMatch(reason);
    }
    const poll = ask(lab, ID, { verb: "poll", operationId: "x" });
    expect([poll.code, lastReason(lab)]).toEqual([401002, "poll: no token"]);
  });

  test("registers under the id that is derived from its endorsement key, in any case", () => {
    const lab = new Lab();
    const id = chip.registrationId;
    expect(id).toMatch(/^[a-z2-7]{52}$/);
    enrollChip(lab, id, chip);
    const upper = id.toUpperCase();
    const key = challenge(lab, upper, chip);
    const body = { registrationId: upper, tpm: chip.keys };
    const done = settle(lab, upper, { authorization: token(lab, upper, key), body });
    expect(done.registrationState).toMatchObject({ registrationId: id, deviceId: id });
  });
});

describe("a symmetric key", () => {
  test("of a device registers, and is its key on the hub", () => {
    const lab = new Lab();
    lab.hub.dps.putEnrollment("device", ID, keyBody(ID));
    for (const key of [KEY, SECOND_KEY]) {
      const done = settle(lab, ID, { authorization: token(lab, ID, key) });
      expect(done.registrationState).toMatchObject({ symmetricKey: {}, status: "assigned" });
    }
    lab.connected(ID);
    expect(lab.log("connect")).toHaveLength(1);
  });

  test("of a group registers any device that derives it", () => {
    const lab = new Lab();
    lab.hub.dps.putEnrollment("group", "fleet", groupBody("fleet"));
    const done = settle(lab, "gw-7", { authorization: token(lab, "gw-7", derived("gw-7")) });
    expect(done.registrationState).toMatchObject({
      symmetricKey: { enrollmentGroupId: "fleet" },
      deviceId: "gw-7",
    });
    const device = lab.device("gw-7");
    device.connect({ password: Buffer.from(device.token(60, derived("gw-7"))) });
    expect(device.take()).toMatchObject([{ returnCode: 0 }]);
    const wrong = ask(lab, "gw-8", { authorization: token(lab, "gw-8", derived("gw-7")) });
    expect([wrong.code, lastReason(lab)]).toEqual([
      401002,
      "register: gw-8 by groups: token is signed by another key",
    ]);
  });

  test("of a group may be derived from the id in lower case, by either key", () => {
    const lab = new Lab();
    lab.hub.dps.putEnrollment("group", "fleet", groupBody("fleet"));
    const key = derived("gw-9", SECOND_KEY);
    const done = settle(lab, "GW-9", { authorization: token(lab, "GW-9", key) });
    expect(done.registrationState.deviceId).toBe("GW-9");
    const device = lab.device("GW-9");
    device.connect({ password: Buffer.from(device.token(60, key)) });
    expect(device.take()).toMatchObject([{ returnCode: 0 }]);
  });

  test("of a device goes before that of a group", () => {
    const lab = new Lab();
    lab.hub.dps.putEnrollment("group", "fleet", groupBody("fleet"));
    lab.hub.dps.putEnrollment("device", ID, keyBody(ID, SECOND_KEY));
    expect(ask(lab, ID, { authorization: token(lab, ID, derived(ID)) }).code).toBe(401002);
    expect(ask(lab, ID, { authorization: token(lab, ID, SECOND_KEY) }).status).toBe(202);
  });
});

describe("a token", () => {
  const registerWith = (make: (lab: Lab, resource: string) => string) => {
    const lab = new Lab();
    lab.hub.dps.putEnrollment("device", ID, keyBody(ID));
    const answer = ask(lab, ID, { authorization: make(lab, `${SCOPE}/registrations/${ID}`) });
    return { answer, lab };
  };
  /** Signs `resource` as it stands and writes the parts in the order given. */
  const raw = (lab: Lab, resource: string, order: string, lifeS = 60): string => {
    const se = Math.floor(lab.nowMs / 1000) + lifeS;
    const code = createHmac("sha256", Buffer.from(KEY, "base64"));
    const sig = encodeURIComponent(code.update(`${resource}\n${se}`).digest("base64"));
    const parts: Record<string, string> = { sr: resource, sig, se: `${se}`, skn: "registration" };
    const text = order.split(",").map((name) => `${name}=${parts[name]}`);
    return `SharedAccessSignature ${text.join("&")}`;
  };
  const encodings: [string, (resource: string) => string, string][] = [
    ["upper-case escapes", encodeURIComponent, "sr,sig,se,skn"],
    ["no escapes", (resource) => resource, "sr,sig,skn,se"],
    ["lower-case escapes", (resource) => resource.replaceAll("/", "%2f"), "sr,sig,se,skn"],
    [
      "all in lower case",
      (resource) => encodeURIComponent(resource).toLowerCase(),
      "skn,se,sig,sr",
    ],
  ];
  for (const [what, encode, order] of encodings) {
    test(`with ${what} is taken`, () => {
      const { answer } = registerWith((lab, resource) => raw(lab, encode(resource), order));
      expect(answer.status).toBe(202);
    });
  }

  const refusals: [string, (lab: Lab, resource: string) => string, RegExp][] = [
    ["nothing", () => "", /no token/],
    ["another scheme", () => "Bearer x", /not a SharedAccessSignature/],
    ["another id", (lab) => token(lab, "gw-2", KEY), /token is for .*gw-2/],
    ["another scope", (lab) => token(lab, ID, KEY, 60, `0ne1/registrations/${ID}`), /0ne1/],
    ["the hub", (lab) => token(lab, ID, KEY, 60, `${HUB_NAME}/devices/${ID}`), /lab.example/],
    ["no key name", (lab, to) => token(lab, ID, KEY, 60, to, ""), /skn of the token/],
    ["another key", (lab) => token(lab, ID, derived("x")), /another key/],
    ["the past", (lab) => token(lab, ID, KEY, -301), /expired 301 s ago/],
    [
      "the resource in another form",
      (lab, to) => raw(lab, to, "sr,sig,se,skn").replace("/", "%2F"),
      /another key/,
    ],
  ];
  for (const [what, make, reason] of refusals) {
    test(`for ${what} is refused; the device hears no reason, the log does`, () => {
      const { answer, lab } = registerWith(make);
      expect(answer).toMatchObject({ status: 401, code: 401002 });
      expect(answer.body).toMatchObject({ errorCode: 401002, message: "Unauthorized", info: {} });
      expect(answer.body.timestampUtc).toBe("2026-01-01T00:00:00.0000000Z");
      expect(lastReason(lab)).toMatch(reason);
    });
  }

  test("within the allowance for clocks is taken", () => {
    const { answer } = registerWith((lab) => token(lab, ID, KEY, -300));
    expect(answer.status).toBe(202);
  });
});

describe("a request", () => {
  const enrolled = () => {
    const lab = new Lab();
    lab.hub.dps.putEnrollment("device", ID, keyBody(ID));
    return { lab, signed: { authorization: token(lab, ID, KEY) } };
  };

  test("for another id scope finds no service", () => {
    const { lab, signed } = enrolled();
    expect(ask(lab, ID, { ...signed, idScope: "0ne99" })).toMatchObject({ status: 404 });
    expect(lastReason(lab)).toMatch(/id scope "0ne99" is not 0ne00000000/);
    expect(ask(lab, ID, { ...signed, idScope: SCOPE.toUpperCase() }).status).toBe(202);
  });

  test("with an id that is none, or with two ids, is malformed", () => {
    const { lab, signed } = enrolled();
    for (const id of ["", "ends.", "a b", "x".repeat(129)]) {
      expect(ask(lab, id, { ...signed, body: {} }).code).toBe(400004);
    }
    const body = { registrationId: "gw-2" };
    expect(ask(lab, ID, { ...signed, body })).toMatchObject({
      status: 400,
      body: { message: "registrationId of the body is not that of the address" },
    });
    expect(ask(lab, ID, { ...signed, body: {} }).status).toBe(202);
  });

  test("again while the first runs gives the same operation, later a new one", () => {
    const { lab, signed } = enrolled();
    const first = ask(lab, ID, signed).operationId;
    expect(ask(lab, ID, signed).operationId).toBe(first);
    lab.pass(1);
    const second = ask(lab, ID, signed).operationId;
    expect(second).not.toBe(first);
    const old = ask(lab, ID, { ...signed, verb: "poll", operationId: first });
    expect(old).toMatchObject({ status: 404, code: 404202 });
  });

  test("for the state of a registration is answered to the device alone", () => {
    const { lab, signed } = enrolled();
    expect(ask(lab, ID, { ...signed, verb: "lookup" }).code).toBe(404202);
    settle(lab, ID, signed);
    const found = ask(lab, ID, { ...signed, verb: "lookup" });
    expect(found).toMatchObject({ status: 200, body: { status: "assigned", deviceId: ID } });
    expect(ask(lab, ID, { verb: "lookup" }).code).toBe(401002);
  });

  test("that runs when the service restarts must begin anew; what was assigned is known", () => {
    const { lab, signed } = enrolled();
    settle(lab, ID, signed);
    const { operationId } = ask(lab, ID, signed);
    const kept = JSON.parse(JSON.stringify(lab.hub.snapshot()));
    const again = new Lab();
    again.hub.restore(kept);
    expect(JSON.parse(JSON.stringify(again.hub.snapshot()))).toEqual(kept);
    expect(ask(again, ID, { ...signed, verb: "poll", operationId }).code).toBe(404202);
    expect(settle(again, ID, signed).registrationState.substatus).toBe("deviceDataMigrated");
  });
});
