/**
 * The control interface: events, messages, faults, state, all over HTTPS.
 * Neighbours: `caller.ts` calls, `wire.ts` is the device.
 * Invariant: nothing here shows a key.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Caller, Lines } from "./caller.ts";
import { KEY, SECOND_KEY, textOf } from "./lab.ts";
import { type Emulator, startEmulator } from "./server/emulator.ts";
import { History } from "./server/history.ts";
import { WireDevice } from "./wire.ts";

let emulator: Emulator;
let caller: Caller;

beforeAll(() => {
  emulator = startEmulator();
  caller = new Caller(emulator.ready);
  const symmetricKey = { primaryKey: KEY, secondaryKey: SECOND_KEY };
  for (const id of ["d1", "d2"]) {
    emulator.hub.createDevice(id, { authentication: { type: "sas", symmetricKey } });
  }
});

afterAll(() => emulator.stop());

async function connected(id: string): Promise<WireDevice> {
  const device = await WireDevice.open(emulator.ready, id);
  await device.connect(KEY);
  return device;
}

describe("events", () => {
  test("are replayed from a number on, then followed, for one device", async () => {
    const device = await connected("d1");
    const other = await connected("d2");
    device.publish("devices/d1/messages/events/", "old", 1);
    await device.next();
    const all = new Lines(await caller.fetch("GET", "/control/events"));
    const isTelemetry = (event: Record<string, unknown>) => event.type === "telemetry";
    const old = await all.next(isTelemetry);
    expect(old.payload).toBe("old");
    const since = old.sequence as number;
    const path = `/control/events?since=${since}&device=d1`;
    const later = new Lines(await caller.fetch("GET", path));
    other.publish("devices/d2/messages/events/", "other", 1);
    await other.next();
    device.publish("devices/d1/messages/events/", "new", 1);
    const event = await later.next(isTelemetry);
    expect(event).toMatchObject({ deviceId: "d1", payload: "new" });
    expect(event.sequence as number).toBeGreaterThan(since + 1);
    expect((await all.next(isTelemetry)).payload).toBe("other");
    await all.stop();
    await later.stop();
    for (const one of [device, other]) one.destroy();
  });

  test("a follower that goes away is forgotten", () => {
    const history = new History();
    const seen: string[] = [];
    const stop = history.follow((line) => seen.push(line));
    const event = {
      type: "device",
      at: "",
      deviceId: "d1",
      change: "created",
      status: "",
    } as const;
    history.add(event);
    stop();
    history.add(event);
    expect(seen).toHaveLength(1);
    expect(history.after(1, "")).toHaveLength(1);
  });

  test("a reader that hangs up is forgotten as well", async () => {
    const lines = new Lines(await caller.fetch("GET", "/control/events"));
    await lines.next((event) => event.type === "device");
    const followers = async () => (await caller.call("GET", "/control/state")).body.followers;
    expect(await followers()).toBe(1);
    await lines.stop();
    // The end of the connection reaches the server some round trips later.
    for (let count = 0; count < 1000 && (await followers()) > 0; count++) await Bun.sleep(1);
    expect(await followers()).toBe(0);
  });

  test("the history is bounded and numbers go on", () => {
    const history = new History();
    for (let count = 0; count < 25_000; count++) {
      history.add({ type: "device", at: "", deviceId: "d1", change: "updated", status: "" });
    }
    const lines = history.after(0, "d1");
    expect(lines).toHaveLength(5_000);
    expect(JSON.parse(lines[0]!).sequence).toBe(20_001);
    expect(history.last).toBe(25_000);
  });

  test("a since that is no number is refused", async () => {
    expect((await caller.call("GET", "/control/events?since=x")).status).toBe(400);
  });
});

describe("messages", () => {
  test("go to the device with the bag as given", async () => {
    const device = await connected("d1");
    await device.subscribe("devices/d1/messages/devicebound/#", 1, 1);
    const path = "/control/c2d/d1?bag=%24.mid=m1&%24.ct=text%2Fplain&room=a%20b";
    const answer = await caller.call("POST", path, { body: "hello" });
    expect(answer.body).toEqual({ messageId: "m1", sequence: 1 });
    const mail = await device.next();
    expect(textOf(mail)).toBe("hello");
    expect(mail!.topic).toEndWith("&%24.ct=text%2Fplain&room=a%20b");
    device.send({ cmd: "puback", messageId: mail!.messageId! });
    device.destroy();
  });

  test("to nobody are 404, with a broken bag 400", async () => {
    expect((await caller.call("POST", "/control/c2d/nobody", { body: "x" })).status).toBe(404);
    for (const bag of ["a=%zz", "%zz"]) {
      const path = `/control/c2d/d1?bag=${bag}`;
      expect((await caller.call("POST", path, { body: "x" })).status).toBe(400);
    }
  });
});

describe("faults", () => {
  test("are set, shown, take effect and are cleared", async () => {
    const device = await connected("d1");
    const set = await caller.call("POST", "/control/fault", {
      body: { kind: "no-puback", device: "d1" },
    });
    expect(set.status).toBe(200);
    expect((await caller.call("GET", "/control/state")).body.faults).toMatchObject([
      { id: set.body.id, kind: "no-puback" },
    ]);
    device.publish("devices/d1/messages/events/", "a", 1);
    device.send({ cmd: "pingreq" });
    expect(await device.next()).toMatchObject({ cmd: "pingresp" });
    expect((await caller.call("DELETE", "/control/fault")).status).toBe(204);
    device.publish("devices/d1/messages/events/", "b", 2);
    expect(await device.next()).toMatchObject({ cmd: "puback", messageId: 2 });
    await caller.call("POST", "/control/fault", { body: { kind: "drop", device: "d1" } });
    expect(await device.next()).toBeUndefined();
  });

  test("delayed acknowledgements run on the real clock", async () => {
    const device = await connected("d1");
    await caller.call("POST", "/control/fault", {
      body: { kind: "delay-puback", ms: 50, count: 1 },
    });
    device.publish("devices/d1/messages/events/", "a", 7);
    expect(await device.next()).toMatchObject({ cmd: "puback", messageId: 7 });
    device.destroy();
  });

  test("that are none are refused with a reason", async () => {
    const answer = await caller.call("POST", "/control/fault", { body: { kind: "ghost" } });
    expect(answer.status).toBe(400);
    expect(answer.body.Message).toMatch(/kind must be one of drop, blackhole/);
    expect((await caller.call("DELETE", "/control/fault/x")).status).toBe(400);
  });
});

test("the state shows devices and ports, and no key", async () => {
  const { body } = await caller.call("GET", "/control/state");
  expect(body).toMatchObject({ hubName: "localhost", mqttPort: emulator.ready.mqttPort });
  expect(body.devices.map((row: { deviceId: string }) => row.deviceId)).toEqual(["d1", "d2"]);
  const text = JSON.stringify(body);
  for (const secret of [KEY, SECOND_KEY, emulator.ready.serviceKey])
    expect(text).not.toContain(secret);
});

test("an unknown control call is 404", async () => {
  expect((await caller.call("GET", "/control/nothing")).status).toBe(404);
});
