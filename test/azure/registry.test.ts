/**
 * Registry, query, statistics, policies, snapshots (azure.md 5). Neighbours:
 * `lab.ts`; `rest.test.ts` has the calls over HTTPS. Invariant: a refused change
 * changes nothing.
 */
import { describe, expect, test } from "bun:test";
import { HUB_NAME, KEY, Lab, START_MS } from "./lab.ts";
import { HubCode, type ServiceError } from "./model/errors.ts";
import { Right } from "./model/policy.ts";
import { makeSas } from "./model/sas.ts";

function codeOf(work: () => unknown): HubCode {
  try {
    work();
  } catch (error) {
    return (error as ServiceError).code;
  }
  return HubCode.None;
}

const withKey = (primaryKey: string) => ({
  authentication: { type: "sas", symmetricKey: { primaryKey, secondaryKey: "" } },
});

describe("registry", () => {
  test("creates with keys of its own, and shows all fields", () => {
    const lab = new Lab();
    const device = lab.hub.createDevice("d1");
    expect(device).toMatchObject({
      deviceId: "d1",
      status: "enabled",
      statusReason: null,
      connectionState: "Disconnected",
      connectionStateUpdatedTime: "0001-01-01T00:00:00",
      cloudToDeviceMessageCount: 0,
      capabilities: { iotEdge: false },
    });
    const { symmetricKey } = device.authentication as { symmetricKey: Record<string, string> };
    expect(Buffer.from(symmetricKey.primaryKey!, "base64")).toHaveLength(32);
    expect(symmetricKey.primaryKey).not.toBe(symmetricKey.secondaryKey);
    expect(lab.hub.getDevice("d1")).toEqual(device);
  });

  test("refuses a second of the same id, ids out of bounds, keys out of bounds", () => {
    const lab = new Lab();
    lab.create("d1");
    expect(codeOf(() => lab.hub.createDevice("d1"))).toBe(HubCode.DeviceAlreadyExists);
    for (const id of ["", "a b", "a/b", "a#", "ä", "x".repeat(129)]) {
      expect(codeOf(() => lab.hub.createDevice(id))).toBe(HubCode.ArgumentInvalid);
    }
    for (const size of [15, 65]) {
      const key = Buffer.alloc(size).toString("base64");
      expect(codeOf(() => lab.hub.createDevice("d2", withKey(key)))).toBe(400004);
    }
    expect(codeOf(() => lab.hub.createDevice("d2", withKey("not base64")))).toBe(400004);
    expect(codeOf(() => lab.hub.createDevice("d2", { status: "odd" }))).toBe(400004);
    expect(
      codeOf(() => lab.hub.createDevice("d2", { authentication: { type: "selfSigned" } })),
    ).toBe(HubCode.ArgumentInvalid);
    expect(lab.hub.listDevices()).toHaveLength(1);
  });

  test("updates under an etag and keeps keys that are not given", () => {
    const lab = new Lab();
    lab.create("d1");
    const before = lab.hub.getDevice("d1");
    const body = { status: "disabled", statusReason: "broken" };
    const after = lab.hub.updateDevice("d1", body, before.etag as string);
    expect(after).toMatchObject({ status: "disabled", statusReason: "broken" });
    expect(after.authentication).toEqual(before.authentication!);
    expect(after.statusUpdatedTime).toBe("2026-01-01T00:00:00.000Z");
    const stale = () => lab.hub.updateDevice("d1", {}, before.etag as string);
    expect(codeOf(stale)).toBe(HubCode.PreconditionFailed);
    expect(codeOf(() => lab.hub.deleteDevice("d1", "stale"))).toBe(HubCode.PreconditionFailed);
    expect(codeOf(() => lab.hub.updateDevice("dx", {}))).toBe(HubCode.DeviceNotFound);
    lab.hub.deleteDevice("d1", after.etag as string);
    expect(codeOf(() => lab.hub.getDevice("d1"))).toBe(HubCode.DeviceNotFound);
  });

  test("a new key locks the old one out at the next CONNECT", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    lab.hub.updateDevice("d1", withKey(Buffer.alloc(32, 1).toString("base64")));
    expect(device.closed).toBeUndefined();
    const again = lab.device("d1");
    again.connect();
    expect(again.take()).toMatchObject([{ returnCode: 5 }]);
  });

  test("counts", () => {
    const lab = new Lab();
    lab.connected("d1");
    lab.create("d2");
    lab.hub.updateDevice("d2", { status: "disabled" });
    expect(lab.hub.statistics()).toEqual({
      totalDeviceCount: 2,
      enabledDeviceCount: 1,
      disabledDeviceCount: 1,
      connectedDeviceCount: 1,
    });
  });

  test("a snapshot brings devices and twins back, keys included", () => {
    const lab = new Lab();
    lab.connected("d1").publish("$iothub/twin/PATCH/properties/reported/", '{"a":1}');
    lab.hub.patchTwin("d1", { tags: { t: 1 }, properties: { desired: { b: 2 } } });
    const kept = JSON.parse(JSON.stringify(lab.hub.snapshot()));
    const next = new Lab();
    next.hub.restore(kept);
    const { connectionState: _a, lastActivityTime: _b, ...twin } = lab.hub.getTwin("d1");
    expect(next.hub.getTwin("d1")).toMatchObject(twin);
    const device = next.device("d1");
    device.connect();
    expect(device.take()).toMatchObject([{ returnCode: 0 }]);
  });
});

test("the revision grows with what belongs into a file, and with nothing else", () => {
  const lab = new Lab();
  const changes = (work: () => unknown): boolean => {
    const before = lab.hub.revision;
    work();
    return lab.hub.revision > before;
  };
  expect(changes(() => lab.create("d1"))).toBe(true);
  const device = lab.connected("d1");
  const reported = "$iothub/twin/PATCH/properties/reported/";
  expect(changes(() => device.publish(reported, '{"a":1}'))).toBe(true);
  expect(changes(() => device.publish(reported, "no JSON"))).toBe(false);
  expect(changes(() => device.telemetry("x"))).toBe(false);
  expect(changes(() => lab.hub.patchTwin("d1", { tags: { a: 1 } }))).toBe(true);
  expect(changes(() => lab.hub.updateDevice("d1", {}))).toBe(true);
  expect(changes(() => lab.hub.deleteDevice("d1"))).toBe(true);
});

describe("query", () => {
  test("pages through all devices in order", () => {
    const lab = new Lab();
    for (const id of ["a", "b", "c"]) lab.create(id);
    const first = lab.hub.query("SELECT * FROM devices", 0, 2);
    expect(first.items.map((item) => item.deviceId)).toEqual(["a", "b"]);
    expect(first.next).toBe(2);
    const second = lab.hub.query("select * from devices;", first.next, 2);
    expect(second.items.map((item) => item.deviceId)).toEqual(["c"]);
    expect(second.next).toBe(-1);
  });

  test("compares one property", () => {
    const lab = new Lab();
    for (const id of ["a", "b"]) lab.create(id);
    lab.hub.updateDevice("b", { status: "disabled" });
    const ids = (text: string) => lab.hub.query(text).items.map((item) => item.deviceId);
    expect(ids("SELECT * FROM devices WHERE deviceId = 'b'")).toEqual(["b"]);
    expect(ids("SELECT deviceId FROM devices WHERE status='enabled'")).toEqual(["a"]);
    expect(ids("SELECT * FROM devices WHERE connectionState = 'Connected'")).toEqual([]);
  });

  test("refuses what it does not understand", () => {
    const lab = new Lab();
    for (const text of ["DROP", "SELECT * FROM jobs", "SELECT * FROM devices WHERE tags.a = 1"]) {
      expect(codeOf(() => lab.hub.query(text))).toBe(HubCode.ArgumentInvalid);
    }
  });
});

describe("policies", () => {
  const nowS = START_MS / 1000;
  const cases: [string, string, string, number, Right, boolean][] = [
    ["owner", HUB_NAME, "iothubowner", 60, Right.RegistryWrite, true],
    ["reader may read", HUB_NAME, "registryRead", 60, Right.RegistryRead, true],
    ["reader may not write", HUB_NAME, "registryRead", 60, Right.RegistryWrite, false],
    ["service may not read the registry", HUB_NAME, "service", 60, Right.RegistryRead, false],
    ["device may not serve", HUB_NAME, "device", 60, Right.ServiceConnect, false],
    ["expired", HUB_NAME, "iothubowner", -301, Right.RegistryRead, false],
    ["for another hub", "other.example", "iothubowner", 60, Right.RegistryRead, false],
    ["for a part of the hub", `${HUB_NAME}/devices/d1`, "iothubowner", 60, 1, false],
    ["for a prefix that ends within a name", HUB_NAME.slice(0, -1), "iothubowner", 60, 1, false],
    ["of no policy", HUB_NAME, "toString", 60, Right.RegistryRead, false],
  ];
  for (const [name, resource, policy, seconds, right, isAllowed] of cases) {
    test(name, () => {
      const keys = { iothubowner: KEY, registryRead: KEY, service: KEY, device: KEY };
      const lab = new Lab({ keys });
      const token = makeSas(resource, nowS + seconds, KEY, policy);
      const code = codeOf(() => lab.hub.demandRight(token, right));
      expect(code).toBe(isAllowed ? HubCode.None : HubCode.IotHubUnauthorizedAccess);
    });
  }
});
