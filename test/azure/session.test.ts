/**
 * Stored sessions, cloud-to-device messages and wills (azure.md 4.3, 4.6). Neighbours: `lab.ts`;
 * `close.test.ts` has acknowledgements out of order. Invariant: an unacknowledged message comes
 * again with DUP and the same identifier in a stored session; nothing is delivered twice otherwise.
 */
import { describe, expect, test } from "bun:test";
import { Lab, type LabDevice, type Seen, textOf } from "./lab.ts";
import { HubCode, type ServiceError } from "./model/errors.ts";

const MAIL = "devices/d1/messages/devicebound/#";
const send = (lab: Lab, text: string, app = {}, system = {}) =>
  lab.hub.sendC2d("d1", Buffer.from(text), { app, system });
const texts = (packets: Seen[]) =>
  packets.filter((packet) => packet.cmd === "publish").map((packet) => textOf(packet));
const states = (lab: Lab) => lab.log("c2d").map((event) => event.state);

/** A device with a stored subscription to its mail. */
function subscriber(lab: Lab, qos: 0 | 1 = 1): LabDevice {
  const device = lab.connected("d1");
  device.subscribe(MAIL, qos);
  device.take();
  return device;
}

function refusal(work: () => unknown): ServiceError {
  try {
    work();
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error("nothing was refused");
}

describe("session", () => {
  test("is new at first, present after clean session 0, gone after clean session 1", () => {
    const lab = new Lab();
    const seen: (boolean | undefined)[] = [];
    for (const clean of [false, false, true, false, false]) {
      const device = lab.device("d1");
      device.connect({ clean });
      seen.push(device.take()[0]!.sessionPresent);
      device.send({ cmd: "disconnect" });
    }
    expect(seen).toEqual([false, true, false, false, true]);
  });

  test("keeps subscriptions: a reconnect without SUBSCRIBE hears desired changes", () => {
    const lab = new Lab();
    const first = lab.connected("d1");
    first.subscribeAll();
    first.cut();
    const second = lab.connected("d1");
    lab.hub.patchTwin("d1", { properties: { desired: { LED1: true } } });
    expect(textOf(second.take()[0])).toBe('{"LED1":true,"$version":2}');
  });

  test("clean session 1 forgets them", () => {
    const lab = new Lab();
    lab.connected("d1").subscribeAll();
    lab.connected("d1", { clean: true });
    const third = lab.connected("d1");
    lab.hub.patchTwin("d1", { properties: { desired: { LED1: true } } });
    expect(third.take()).toEqual([]);
  });

  test("QoS 2 is granted as 1, each filter gets its code in order", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    const subscriptions = [
      { topic: MAIL, qos: 2 as const },
      { topic: "$iothub/twin/res/#", qos: 0 as const },
      { topic: "$iothub/methods/POST/#", qos: 1 as const },
    ];
    device.send({ cmd: "subscribe", messageId: 77, subscriptions });
    expect(device.take()).toMatchObject([{ cmd: "suback", messageId: 77, granted: [1, 0, 1] }]);
  });

  test("UNSUBSCRIBE ends a subscription and is always answered", () => {
    const lab = new Lab();
    const device = subscriber(lab);
    device.send({ cmd: "unsubscribe", messageId: 5, unsubscriptions: [MAIL, "unknown"] });
    expect(device.take()).toMatchObject([{ cmd: "unsuback", messageId: 5 }]);
    send(lab, "a");
    expect(device.take()).toEqual([]);
  });
});

describe("mail", () => {
  test("carries its properties in the bag, encoded", () => {
    const lab = new Lab();
    const device = subscriber(lab);
    send(lab, "on", { "a b": "c/d", none: null }, { messageId: "m1", contentType: "text/plain" });
    const [packet] = device.take();
    expect(packet).toMatchObject({ qos: 1, dup: false, messageId: 1 });
    expect(packet!.topic).toBe(
      "devices/d1/messages/devicebound/%24.mid=m1&%24.to=%2Fdevices%2Fd1%2Fmessages%2Fdevicebound" +
        "&%24.ct=text%2Fplain&a%20b=c%2Fd&none",
    );
  });

  test("as an option the dollar is raw", () => {
    const lab = new Lab({ rawDollar: true });
    const device = subscriber(lab);
    send(lab, "on", {}, { messageId: "m1" });
    expect(device.take()[0]!.topic).toContain("devicebound/$.mid=m1&$.to=%2Fdevices");
  });

  test("is completed by PUBACK", () => {
    const lab = new Lab();
    const device = subscriber(lab);
    send(lab, "a", { "iothub-ack": "full" }, { messageId: "m1" });
    device.puback(device.take()[0]!.messageId!);
    expect(states(lab)).toEqual(["queued", "delivered", "completed"]);
    expect(lab.hub.state().feedback).toEqual([
      {
        originalMessageId: "m1",
        deviceId: "d1",
        deviceGenerationId: lab.hub.getDevice("d1").generationId!,
        enqueuedTimeUtc: "2026-01-01T00:00:00.000Z",
        statusCode: "Success",
        description: "Success",
      },
    ]);
  });

  test("to a QoS 0 subscription is completed when sent", () => {
    const lab = new Lab();
    const device = subscriber(lab, 0);
    send(lab, "a");
    expect(device.take()).toMatchObject([{ qos: 0 }]);
    expect(states(lab)).toEqual(["queued", "delivered", "completed"]);
  });

  test("waits for a subscription, then follows SUBACK in order", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    for (const text of ["a", "b"]) send(lab, text);
    expect(device.take()).toEqual([]);
    device.subscribe(MAIL, 1);
    expect(device.take().map((packet) => packet.cmd)).toEqual(["suback", "publish", "publish"]);
  });

  test("for a stored session comes right behind CONNACK, in the same write", () => {
    const lab = new Lab();
    subscriber(lab).cut();
    for (const text of ["a", "b"]) send(lab, text);
    const device = lab.device("d1");
    device.connect();
    expect(device.writes).toHaveLength(1);
    expect(device.take().map((packet) => packet.cmd)).toEqual(["connack", "publish", "publish"]);
  });

  test("unacknowledged comes again with DUP and the same identifier, in order", () => {
    const lab = new Lab();
    const first = subscriber(lab);
    for (const text of ["a", "b", "c"]) send(lab, text);
    const before = first.take();
    first.puback(before[0]!.messageId!);
    first.cut();
    send(lab, "d");
    const second = lab.device("d1");
    second.connect();
    const after = second.take().slice(1);
    expect(texts(after)).toEqual(["b", "c", "d"]);
    expect(after.map((packet) => packet.dup)).toEqual([true, true, false]);
    expect(after[0]!.messageId).toBe(before[1]!.messageId!);
    expect(after[1]!.messageId).toBe(before[2]!.messageId!);
    expect([before[1]!.messageId, before[2]!.messageId]).not.toContain(after[2]!.messageId);
  });

  test("clean session 1 drops what waits", () => {
    const lab = new Lab();
    subscriber(lab).cut();
    send(lab, "a");
    const device = lab.connected("d1", { clean: true });
    device.subscribe(MAIL, 1);
    expect(texts(device.take())).toEqual([]);
    expect(states(lab)).toEqual(["queued", "purged"]);
  });

  test("returns to the queue when its lock ends, up to ten deliveries", () => {
    const lab = new Lab();
    const device = subscriber(lab);
    send(lab, "a", { "iothub-ack": "negative" });
    for (let delivery = 1; delivery <= 10; delivery++) {
      expect(device.take()).toMatchObject([{ dup: delivery > 1, messageId: 1 }]);
      device.send({ cmd: "pingreq" });
      lab.pass(30);
      device.send({ cmd: "pingreq" });
      device.take();
      lab.pass(30);
    }
    expect(device.take()).toEqual([]);
    expect(states(lab).at(-1)).toBe("exceeded");
    expect(lab.hub.state().feedback).toMatchObject([{ statusCode: "DeliveryCountExceeded" }]);
  });

  test("expires after an hour, or when its $.exp says so", () => {
    const lab = new Lab();
    lab.create("d1");
    send(lab, "a");
    send(lab, "b", {}, { expiry: "2026-01-01T00:10:00Z" });
    lab.pass(599);
    expect(lab.hub.getDevice("d1").cloudToDeviceMessageCount).toBe(2);
    lab.pass(1);
    expect(lab.hub.getDevice("d1").cloudToDeviceMessageCount).toBe(1);
    lab.pass(3000);
    expect(lab.hub.getDevice("d1").cloudToDeviceMessageCount).toBe(0);
    expect(states(lab)).toEqual(["queued", "queued", "expired", "expired"]);
  });

  test("the 51st is refused with 403004", () => {
    const lab = new Lab();
    lab.create("d1");
    for (let count = 0; count < 50; count++) send(lab, "a");
    const error = refusal(() => send(lab, "a"));
    expect(error.code).toBe(HubCode.DeviceMaximumQueueDepthExceeded);
    expect(error.status).toBe(403);
  });

  test("64 KB pass, one byte more is refused", () => {
    const lab = new Lab();
    lab.create("d1");
    send(lab, "x".repeat(65_536));
    expect(refusal(() => send(lab, "x".repeat(65_537))).code).toBe(HubCode.MessageTooLarge);
    expect(refusal(() => send(lab, "a", { k: "/".repeat(30_000) })).status).toBe(413);
    expect(refusal(() => send(lab, "a", { "iothub-ack": "maybe" })).status).toBe(400);
    expect(refusal(() => send(lab, "a", {}, { expiry: "yesterday" })).status).toBe(400);
  });

  test("REST locks, completes, gives back, and knows no stale lock", () => {
    const lab = new Lab();
    lab.create("d1");
    for (const text of ["a", "b"]) send(lab, text);
    const first = lab.hub.receiveC2d("d1")!;
    const second = lab.hub.receiveC2d("d1")!;
    expect([first, second].map((mail) => mail.body.toString())).toEqual(["a", "b"]);
    expect(lab.hub.receiveC2d("d1")).toBeUndefined();
    lab.hub.settleC2d("d1", second.lock, "completed");
    lab.hub.settleC2d("d1", first.lock, "requeued");
    expect(lab.hub.receiveC2d("d1")!.body.toString()).toBe("a");
    const stale = refusal(() => lab.hub.settleC2d("d1", "nothing", "completed"));
    expect(stale.code).toBe(HubCode.DeviceMessageLockLost);
  });
});

describe("will", () => {
  const will = { topic: "devices/d1/messages/events/a=b", payload: "gone", qos: 1, retain: true };

  test("is telemetry when the socket goes away", () => {
    const lab = new Lab();
    lab.connected("d1", { will: will as never }).cut();
    const [message] = lab.log("telemetry");
    expect(message).toMatchObject({ payload: "gone", retain: true });
    expect(message!.properties.app).toEqual({
      a: "b",
      "mqtt-retain": "true",
      "iothub-MessageType": "Will",
    });
  });

  test("is sent on silence, on a protocol error and on takeover", () => {
    const endings: ((lab: Lab, device: LabDevice) => unknown)[] = [
      (lab) => lab.pass(90),
      (_lab, device) => device.publish("nowhere"),
      (lab) => lab.connected("d1"),
    ];
    for (const ending of endings) {
      const lab = new Lab();
      ending(lab, lab.connected("d1", { will: will as never }));
      expect(lab.log("telemetry")).toHaveLength(1);
    }
  });

  test("is not sent after DISCONNECT", () => {
    const lab = new Lab();
    lab.connected("d1", { will: will as never }).send({ cmd: "disconnect" });
    expect(lab.log("telemetry")).toEqual([]);
  });
});
