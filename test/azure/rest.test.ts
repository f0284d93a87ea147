/**
 * Service REST and device REST over HTTPS (azure.md 5.1, 5.2). Neighbours: `caller.ts`; the rules
 * are tested on the model. Invariant: statuses, headers and error bodies are those the SDKs
 * parse.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Caller } from "./caller.ts";
import { KEY } from "./lab.ts";
import { type Emulator, startEmulator } from "./server/emulator.ts";
import { WireDevice } from "./wire.ts";

let emulator: Emulator;
let caller: Caller;

const HUB = "unit.example";
const body = {
  authentication: { type: "sas", symmetricKey: { primaryKey: KEY, secondaryKey: "" } },
};

beforeAll(async () => {
  emulator = startEmulator({ hubName: HUB });
  caller = new Caller(emulator.ready);
  await caller.service("PUT", "/devices/d1", { body: { deviceId: "d1", ...body } });
});

afterAll(() => emulator.stop());

describe("registry", () => {
  test("create, get, list, update, delete", async () => {
    const made = await caller.service("PUT", "/devices/r1", { body: { deviceId: "r1" } });
    expect(made.status).toBe(200);
    expect(made.headers.get("etag")).toBe(`"${made.body.etag}"`);
    expect(made.body.authentication.symmetricKey.primaryKey).toHaveLength(44);
    expect((await caller.service("GET", "/devices/r1")).body).toEqual(made.body);
    const list = await caller.service("GET", "/devices/");
    expect(list.body.map((row: { deviceId: string }) => row.deviceId)).toEqual(["d1", "r1"]);
    const changed = await caller.service("PUT", "/devices/r1", {
      headers: { "if-match": '"*"' },
      body: { ...made.body, status: "disabled" },
    });
    expect(changed.body.status).toBe("disabled");
    const counts = await caller.service("GET", "/statistics/devices");
    expect(counts.body).toEqual({
      totalDeviceCount: 2,
      enabledDeviceCount: 1,
      disabledDeviceCount: 1,
    });
    const gone = await caller.service("DELETE", "/devices/r1", { headers: { "if-match": '"*"' } });
    expect([gone.status, gone.body]).toEqual([204, ""]);
  });

  test("errors have the body that the SDKs take apart", async () => {
    const missing = await caller.service("GET", "/devices/nobody");
    expect(missing.status).toBe(404);
    expect(missing.headers.get("iothub-errorcode")).toBe("DeviceNotFound");
    expect(missing.body.Message).toStartWith("ErrorCode:DeviceNotFound;");
    expect(missing.body.ExceptionMessage).toMatch(/^Tracking ID:[0-9a-f-]{36}-TimeStamp:/);
    const twice = await caller.service("PUT", "/devices/d1", { body: {} });
    expect([twice.status, twice.body.Message.split(";")[0]]).toEqual([
      409,
      "ErrorCode:DeviceAlreadyExists",
    ]);
    const stale = await caller.service("DELETE", "/devices/d1", { headers: { "if-match": '"x"' } });
    expect([stale.status, stale.body.Message.split(";")[0]]).toEqual([
      412,
      "ErrorCode:PreconditionFailed",
    ]);
    const broken = await caller.service("PUT", "/devices/x1", { body: "{" });
    expect([broken.status, broken.body.Message]).toEqual([
      400,
      "ErrorCode:ArgumentInvalid;the body is not JSON",
    ]);
    expect((await caller.service("PUT", "/devices/x1", { body: "[]" })).status).toBe(400);
  });

  test("ids are decoded from the path", async () => {
    const id = "a%b:c'(1)";
    const path = `/devices/${encodeURIComponent(id)}`;
    const made = await caller.service("PUT", path, { body: { deviceId: id } });
    expect(made.body.deviceId).toBe(id);
    expect((await caller.service("DELETE", path)).status).toBe(204);
    expect((await caller.service("GET", "/devices/%zz")).status).toBe(400);
  });

  test("bulk changes name each refusal", async () => {
    const answer = await caller.service("POST", "/devices", {
      body: [
        { id: "b1", importMode: "create", status: "enabled" },
        { id: "d1", importMode: "create" },
        { id: "b1", importMode: "Delete" },
        { id: "b2", importMode: "odd" },
      ],
    });
    expect(answer.status).toBe(200);
    expect(answer.body.isSuccessful).toBe(false);
    expect(answer.body.errors).toMatchObject([
      { deviceId: "d1", errorCode: "DeviceAlreadyExists" },
      { deviceId: "b2", errorCode: "ArgumentInvalid" },
    ]);
    expect((await caller.service("POST", "/devices", { body: [] })).status).toBe(400);
  });

  test("query pages with continuation headers", async () => {
    await caller.service("PUT", "/devices/q1", { body: {} });
    const query = { query: "SELECT * FROM devices" };
    const one = { "x-ms-max-item-count": "1" };
    const first = await caller.service("POST", "/devices/query", { body: query, headers: one });
    expect(first.body).toHaveLength(1);
    const more = first.headers.get("x-ms-continuation")!;
    const headers = { ...one, "x-ms-continuation": more };
    const second = await caller.service("POST", "/devices/query", { body: query, headers });
    expect(second.body[0].deviceId).toBe("q1");
    expect(second.headers.get("x-ms-continuation")).toBeNull();
    await caller.service("DELETE", "/devices/q1");
  });
});

describe("authorization", () => {
  test("is demanded, with the right policy, key and host", async () => {
    const { serviceKey } = emulator.ready;
    const wrongKey = Buffer.alloc(32, 1).toString("base64");
    for (const authorization of [
      "",
      "Bearer x",
      caller.token(HUB, wrongKey, "iothubowner"),
      caller.token(HUB, serviceKey, "ghost"),
      caller.token("other.example", serviceKey, "iothubowner"),
      caller.token(HUB, serviceKey, "iothubowner", -301),
    ]) {
      const answer = await caller.service("GET", "/devices/d1", { authorization });
      expect(answer.status).toBe(401);
      expect(answer.body.Message).toStartWith("ErrorCode:IotHubUnauthorizedAccess;");
    }
  });

  test("a resource that is not encoded passes, as the SDKs send it", async () => {
    const encoded = caller.token(HUB, emulator.ready.serviceKey, "iothubowner");
    expect(encoded).toContain(`sr=${HUB}&`);
    const answer = await caller.service("GET", "/devices/d1", { authorization: encoded });
    expect(answer.status).toBe(200);
  });

  test("api-version is demanded", async () => {
    expect((await caller.call("GET", "/devices/d1")).status).toBe(400);
  });
});

describe("twins and methods", () => {
  test("get, patch under an etag, replace", async () => {
    const twin = await caller.service("GET", "/twins/d1");
    expect(twin.body.properties.desired.$version).toBe(1);
    const patch = { properties: { desired: { LED1: true } } };
    const headers = { "if-match": `"${twin.body.etag}"` };
    const patched = await caller.service("PATCH", "/twins/d1", { headers, body: patch });
    expect(patched.body.properties.desired).toMatchObject({ LED1: true, $version: 2 });
    expect(patched.body.properties.desired.$metadata.LED1.$lastUpdatedVersion).toBe(2);
    const stale = await caller.service("PATCH", "/twins/d1", { headers, body: patch });
    expect(stale.status).toBe(412);
    const replaced = await caller.service("PUT", "/twins/d1", { body: { tags: { a: 1 } } });
    expect(replaced.body.tags).toEqual({ a: 1 });
    expect(replaced.body.properties.desired.LED1).toBeUndefined();
    expect((await caller.service("GET", "/twins/nobody")).status).toBe(404);
  });

  test("a method reaches a device on a socket; without one it is 404 DeviceNotOnline", async () => {
    const call = { methodName: "blink", payload: { n: 1 }, responseTimeoutInSeconds: 30 };
    const away = await caller.service("POST", "/twins/d1/methods", { body: call });
    expect([away.status, away.body.Message.split(";")[0]]).toEqual([
      404,
      "ErrorCode:DeviceNotOnline",
    ]);
    const device = await WireDevice.open(emulator.ready, "d1");
    await device.connect(KEY);
    await device.subscribe("$iothub/methods/POST/#", 1);
    const answer = caller.service("POST", "/twins/d1/methods", { body: call });
    const request = await device.next();
    const rid = /\$rid=(.*)$/.exec(request!.topic!)![1];
    device.publish(`$iothub/methods/res/201/?$rid=${rid}`, '{"ok":true}');
    expect(await answer).toMatchObject({
      status: 200,
      body: { status: 201, payload: { ok: true } },
    });
    device.destroy();
  });
});

describe("deadlines of a method", () => {
  test("hold though nothing else happens at the hub", async () => {
    const quiet = startEmulator({ hubName: HUB });
    const other = new Caller(quiet.ready);
    await other.service("PUT", "/devices/d1", { body: { deviceId: "d1" } });
    const call = { methodName: "blink", connectTimeoutInSeconds: 1 };
    const away = await other.service("POST", "/twins/d1/methods", { body: call });
    expect(away.status).toBe(404);
    quiet.stop();
  }, 5000);
});

describe("device REST", () => {
  const path = "/devices/d1/messages/devicebound";
  const token = (key: string, seconds = 60, id = "d1") => ({
    authorization: caller.token(`${HUB}/devices/${id}`, key, "", seconds),
  });

  test("tells key, clock and device apart", async () => {
    const wrong = await caller.service("GET", path, token(Buffer.alloc(32, 1).toString("base64")));
    expect(wrong.status).toBe(401);
    expect(wrong.body.Message).toMatch(/^ErrorCode:IotHubUnauthorizedAccess;.*neither key/);
    const late = await caller.service("GET", path, token(KEY, -3600));
    expect(late.status).toBe(401);
    expect(late.body.Message).toMatch(/expired 3\d\d\d s ago/);
    const unknown = "/devices/nobody/messages/devicebound";
    expect((await caller.service("GET", unknown, token(KEY, 60, "nobody"))).status).toBe(404);
    await caller.service("PUT", "/devices/off", { body: { ...body, status: "disabled" } });
    const off = "/devices/off/messages/devicebound";
    const disabled = await caller.service("GET", off, token(KEY, 60, "off"));
    expect([disabled.status, disabled.body.Message.split(";")[0]]).toEqual([
      403,
      "ErrorCode:DeviceDisabled",
    ]);
    expect((await caller.service("GET", path, token(KEY))).status).toBe(204);
  });

  test("receives, gives back and completes; an unknown lock is 412", async () => {
    const bag = { app: { room: "a b" }, system: { messageId: "m/1" } };
    emulator.hub.sendC2d("d1", Buffer.from("hello"), bag);
    const first = await caller.service("GET", path, token(KEY));
    expect([first.status, first.body]).toEqual([200, "hello"]);
    expect(first.headers.get("iothub-messageid")).toBe("m%2F1");
    expect(first.headers.get("iothub-app-room")).toBe("a%20b");
    expect((await caller.service("GET", path, token(KEY))).status).toBe(204);
    const lock = (answer: { headers: Headers }) => answer.headers.get("etag")!.slice(1, -1);
    const abandon = `${path}/${lock(first)}/abandon`;
    expect((await caller.service("POST", abandon, token(KEY))).status).toBe(204);
    const second = await caller.service("GET", path, token(KEY));
    expect(second.headers.get("iothub-deliverycount")).toBe("1");
    expect((await caller.service("DELETE", `${path}/${lock(first)}`, token(KEY))).status).toBe(412);
    expect((await caller.service("DELETE", `${path}/${lock(second)}`, token(KEY))).status).toBe(
      204,
    );
    expect((await caller.service("DELETE", path, token(KEY))).status).toBe(412);
  });
});

describe("every answer", () => {
  test("has one Date, of now", async () => {
    for (const [method, target] of [
      ["GET", "/devices/d1"],
      ["GET", "/nothing"],
      ["GET", "/control/state"],
    ] as const) {
      const { headers } = await caller.call(method, target);
      const skewMs = Math.abs(Date.parse(headers.get("date")!) - Date.now());
      expect(headers.get("date")).toMatch(/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
      expect(skewMs).toBeLessThan(60_000);
      expect(headers.get("x-ms-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  test("the date-skew fault shifts it", async () => {
    const { body: fault } = await caller.call("POST", "/control/fault", {
      body: { kind: "date-skew", skewS: -86_400 },
    });
    const { headers } = await caller.call("GET", "/devices/d1");
    const skewS = (Date.parse(headers.get("date")!) - Date.now()) / 1000;
    expect(Math.abs(skewS + 86_400)).toBeLessThan(60);
    expect((await caller.call("DELETE", `/control/fault/${fault.id}`)).status).toBe(204);
  });
});
