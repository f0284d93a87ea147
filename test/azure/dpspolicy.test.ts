/**
 * What an enrollment decides: hub, device id, twin, what a second registration does, who is
 * disabled. Neighbours: `dpslab.ts` asks; `model/dps/assignment.ts` obeys.
 * Invariant: the hub is looked at from outside, by its registry, twins and connections.
 */
import { describe, expect, test } from "bun:test";
import { Chip } from "./chip.ts";
import { ask, type Body, enrollChip, lastReason, settle, settleChip, token } from "./dpslab.ts";
import { HUB_NAME, KEY, Lab, LabDevice, SECOND_KEY } from "./lab.ts";
import type { JsonObject } from "./model/merge.ts";
import { makeSas } from "./model/sas.ts";

const ID = "gw-1";
const OTHER_HUB = "other.example";
const TWIN = { tags: { site: "a" }, properties: { desired: { LED1: true } } };
const POLICIES = {
  migrate: { updateHubAssignment: true, migrateDeviceData: true },
  reset: { updateHubAssignment: true, migrateDeviceData: false },
  keep: { updateHubAssignment: false },
};

/** A device with a symmetric key, enrolled and able to register. */
class Site {
  readonly lab = new Lab({ dps: { moreHubs: [OTHER_HUB] } });

  constructor(more: JsonObject = {}) {
    this.enroll(more);
  }

  enroll(more: JsonObject): void {
    const symmetricKey = { primaryKey: KEY, secondaryKey: SECOND_KEY };
    const attestation = { type: "symmetricKey", symmetricKey };
    const exists = this.lab.hub.dps.listEnrollments("device").items.length > 0;
    const body = { attestation, ...more };
    this.lab.hub.dps.putEnrollment("device", ID, body, exists ? "*" : undefined);
  }

  /** Registration state after a registration. */
  register(): Body {
    const done = settle(this.lab, ID, { authorization: token(this.lab, ID, KEY) });
    return done.registrationState;
  }

  twin(id = ID): Body {
    return this.lab.hub.getTwin(id);
  }

  /** CONNACK of a connection under a host name. */
  connack(host: string, id = ID): number {
    const device = new LabDevice(this.lab, id);
    const expiryS = Math.floor(this.lab.nowMs / 1000) + 60;
    device.connect({
      username: `${host}/${id}/?api-version=2021-04-12`,
      password: Buffer.from(makeSas(`${host}/devices/${id}`, expiryS, KEY)),
    });
    return device.take()[0]!.returnCode!;
  }
}

describe("a first registration", () => {
  test("makes a device with the id and the twin as enrolled", () => {
    const site = new Site({
      deviceId: "ac:de:48",
      initialTwin: TWIN,
      capabilities: { iotEdge: true },
    });
    expect(site.register()).toMatchObject({ deviceId: "ac:de:48", substatus: "initialAssignment" });
    const twin = site.twin("ac:de:48");
    expect(twin.tags).toEqual({ site: "a" });
    expect(twin.properties.desired.LED1).toBe(true);
    expect(twin.capabilities).toEqual({ iotEdge: true });
  });

  test("takes the registration id for want of a device id", () => {
    const site = new Site();
    expect(site.register().deviceId).toBe(ID);
    expect(site.twin().tags).toEqual({});
  });

  test("gives new keys to a device that somebody made by hand, and leaves the rest", () => {
    const site = new Site({ initialTwin: TWIN });
    site.lab.hub.createDevice(ID, { status: "disabled" });
    site.lab.hub.patchTwin(ID, { tags: { mine: 1 } });
    site.register();
    const made = site.lab.hub.getDevice(ID) as Body;
    expect(made.authentication.symmetricKey.primaryKey).toBe(KEY);
    expect(made.status).toBe("disabled");
    expect(site.twin().tags).toEqual({ mine: 1 });
  });
});

describe("a second registration", () => {
  const changed = (policy: JsonObject, hub: string): { site: Site; state: Body } => {
    const site = new Site({ initialTwin: TWIN, reprovisionPolicy: policy });
    site.register();
    site.lab.hub.patchTwin(ID, { properties: { desired: { LED1: null, added: 1 } } });
    const device = site.lab.connected(ID);
    device.subscribeAll();
    device.publish("$iothub/twin/PATCH/properties/reported/?$rid=1", '{"seen":1}');
    site.enroll({ initialTwin: TWIN, reprovisionPolicy: policy, iotHubHostName: hub });
    const state = site.register();
    return { site, state };
  };

  test("with migrate takes the twin along to another hub, and the old one is closed", () => {
    const { site, state } = changed(POLICIES.migrate, OTHER_HUB);
    expect(state).toMatchObject({ assignedHub: OTHER_HUB, substatus: "deviceDataMigrated" });
    const { desired, reported } = site.twin().properties;
    expect(desired).toMatchObject({ added: 1, $version: 3 });
    expect(reported.seen).toBe(1);
    expect(site.lab.lastClose().reason).toBe("the device was deleted");
    expect([site.connack(HUB_NAME), site.connack(OTHER_HUB)]).toEqual([5, 0]);
    expect(site.lab.log("refuse")[0]).toMatchObject({
      codeName: "DeviceNotFound",
      reason: `device ${ID} is not registered on ${HUB_NAME}, it is on ${OTHER_HUB}`,
    });
  });

  test("with reset starts the twin anew, on whatever hub", () => {
    for (const hub of [HUB_NAME, OTHER_HUB]) {
      const { site, state } = changed(POLICIES.reset, hub);
      expect(state).toMatchObject({ assignedHub: hub, substatus: "deviceDataReset" });
      const { desired, reported } = site.twin().properties;
      expect(desired).toMatchObject({ LED1: true, $version: 2 });
      expect(desired.added).toBeUndefined();
      expect(reported.seen).toBeUndefined();
      expect(site.connack(hub)).toBe(0);
    }
  });

  test("with keep stays where it was, whatever the enrollment says now", () => {
    const { site, state } = changed(POLICIES.keep, OTHER_HUB);
    expect(state).toMatchObject({
      assignedHub: HUB_NAME,
      substatus: "reprovisionedToInitialAssignment",
    });
    expect(site.twin().properties.desired.added).toBe(1);
    expect(site.connack(HUB_NAME)).toBe(0);
  });

  test("with migrate on the same hub changes nothing but the keys; the connection goes on", () => {
    const { site, state } = changed(POLICIES.migrate, HUB_NAME);
    expect(state.substatus).toBe("deviceDataMigrated");
    expect(site.twin().properties.desired).toMatchObject({ added: 1, $version: 3 });
    expect(site.lab.hub.statistics().connectedDeviceCount).toBe(1);
  });

  test("with another device id moves the device to it", () => {
    const site = new Site();
    site.register();
    site.lab.hub.patchTwin(ID, { tags: { kept: 1 } });
    site.enroll({ deviceId: "new" });
    expect(site.register().deviceId).toBe("new");
    expect(site.twin("new").tags).toEqual({ kept: 1 });
    expect(() => site.twin(ID)).toThrow(/not registered/);
  });

  test("makes the device again when somebody has deleted it", () => {
    for (const reprovisionPolicy of Object.values(POLICIES)) {
      const site = new Site({ initialTwin: TWIN, reprovisionPolicy });
      site.register();
      site.lab.hub.deleteDevice(ID);
      expect(site.register().status).toBe("assigned");
      expect(site.twin().properties.desired.LED1).toBe(true);
    }
  });

  test("is a first one again after the registration was deleted", () => {
    const site = new Site();
    site.register();
    site.lab.hub.dps.deleteRegistration(ID);
    expect(site.register().substatus).toBe("initialAssignment");
  });
});

describe("allocation", () => {
  test("hashed spreads devices over the linked hubs, each to the same one every time", () => {
    const lab = new Lab({ dps: { moreHubs: [OTHER_HUB], registrationsPerMinute: 0 } });
    const chosen: string[] = [];
    for (let index = 0; index < 16; index++) {
      const id = `gw-${index}`;
      const symmetricKey = { primaryKey: KEY, secondaryKey: SECOND_KEY };
      const attestation = { type: "symmetricKey", symmetricKey };
      lab.hub.dps.putEnrollment("device", id, { attestation, allocationPolicy: "hashed" });
      const twice = [1, 2].map(() => {
        return settle(lab, id, { authorization: token(lab, id, KEY) }).registrationState;
      });
      expect(twice[0].assignedHub).toBe(twice[1].assignedHub);
      chosen.push(twice[0].assignedHub);
    }
    expect(new Set(chosen)).toEqual(new Set([HUB_NAME, OTHER_HUB]));
  });

  test("to a hub that is not linked fails with 400208 and leaves the device where it is", () => {
    const site = new Site();
    site.register();
    site.enroll({ iotHubs: ["nowhere.example"] });
    expect(site.register()).toMatchObject({
      status: "failed",
      errorCode: 400208,
      errorMessage: "none of nowhere.example is linked to this service",
    });
    expect(site.lab.log("dps").at(-2)).toMatchObject({ step: "failed", code: 400208 });
    expect(site.connack(HUB_NAME)).toBe(0);
    site.enroll({});
    expect(site.register().status).toBe("assigned");
  });

  test("takes the first of those enrolled that is linked", () => {
    const site = new Site({ iotHubs: ["nowhere.example", OTHER_HUB.toUpperCase(), HUB_NAME] });
    expect(site.register().assignedHub).toBe(OTHER_HUB);
  });
});

describe("a disabled enrollment", () => {
  test("ends in status disabled; enabled again, the device registers", () => {
    const site = new Site({ provisioningStatus: "disabled" });
    const state = site.register();
    expect(state).toMatchObject({ status: "disabled" });
    expect(state).not.toHaveProperty("assignedHub");
    expect(site.lab.hub.listDevices()).toEqual([]);
    site.enroll({ provisioningStatus: "enabled" });
    expect(site.register().status).toBe("assigned");
  });

  test("of one device keeps it out of its group", () => {
    const site = new Site({ provisioningStatus: "disabled" });
    const symmetricKey = { primaryKey: KEY, secondaryKey: SECOND_KEY };
    const attestation = { type: "symmetricKey", symmetricKey };
    site.lab.hub.dps.putEnrollment("group", "fleet", { attestation });
    expect(site.register().status).toBe("disabled");
  });
});

describe("an enrollment that is changed while a device registers", () => {
  test("to another attestation lets the device in by the old one, for this once", () => {
    const site = new Site();
    const chip = Chip.make();
    const authorization = token(site.lab, ID, KEY);
    const { operationId } = ask(site.lab, ID, { authorization });
    const attestation = { type: "tpm", tpm: { endorsementKey: chip.endorsementKey } };
    site.enroll({ attestation });
    site.lab.pass(3);
    expect(site.lab.hub.dps.getRegistration(ID).status).toBe("assigned");
    expect(site.connack(HUB_NAME)).toBe(0);
    expect(ask(site.lab, ID, { authorization, verb: "poll", operationId }).code).toBe(401002);
  });

  test("to disabled ends in status disabled", () => {
    const site = new Site();
    ask(site.lab, ID, { authorization: token(site.lab, ID, KEY) });
    site.enroll({ provisioningStatus: "disabled" });
    site.lab.pass(3);
    expect(site.lab.hub.dps.getRegistration(ID).status).toBe("disabled");
  });
});

describe("an enrollment that is deleted", () => {
  test("takes the registration with it, and the device is not let in", () => {
    const chip = Chip.make();
    const lab = new Lab();
    enrollChip(lab, ID, chip);
    settleChip(lab, ID, chip);
    lab.hub.dps.deleteEnrollment("device", ID);
    expect(() => lab.hub.dps.getRegistration(ID)).toThrow(/does not exist/);
    expect(ask(lab, ID, { body: { tpm: chip.keys } }).code).toBe(404201);
    expect(lab.hub.getDevice(ID).status).toBe("enabled");
    enrollChip(lab, ID, chip);
    expect(ask(lab, ID, { authorization: token(lab, ID, KEY) }).code).toBe(401002);
    expect(lastReason(lab)).toMatch(/no challenge went before it/);
  });

  test("while a device of a group registers fails the registration", () => {
    const lab = new Lab();
    const symmetricKey = { primaryKey: KEY, secondaryKey: SECOND_KEY };
    lab.hub.dps.putEnrollment("group", "fleet", {
      attestation: { type: "symmetricKey", symmetricKey },
    });
    const hmac = new Bun.CryptoHasher("sha256", Buffer.from(KEY, "base64")).update(ID);
    ask(lab, ID, { authorization: token(lab, ID, hmac.digest("base64")) });
    lab.hub.dps.deleteEnrollment("group", "fleet");
    lab.pass(3);
    expect(lab.hub.dps.getRegistration(ID)).toMatchObject({ status: "failed", errorCode: 404201 });
  });
});
