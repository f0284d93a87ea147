/**
 * Faults on demand: each kind, and how device, count, probability and duration bound them.
 * Neighbours: `lab.ts`; `control.test.ts` sets them over HTTPS. Invariant: what a fault does not
 * name behaves as if there were none.
 */
import { describe, expect, test } from "bun:test";
import { Lab, type LabDevice, textOf } from "./lab.ts";
import { HubCode, ServiceError } from "./model/errors.ts";

const commands = (device: LabDevice) => device.take().map((packet) => packet.cmd);

describe("kinds", () => {
  test("drop cuts now, once", () => {
    const lab = new Lab();
    const one = lab.connected("d1");
    const two = lab.connected("d2");
    lab.hub.faults.add({ kind: "drop", device: "d1" });
    expect(one.closed).toBeDefined();
    expect(two.closed).toBeUndefined();
    expect(lab.lastClose()).toMatchObject({ deviceId: "d1", reason: "fault drop" });
    expect(lab.connected("d1").closed).toBeUndefined();
    expect(lab.hub.faults.list()).toEqual([]);
  });

  test("drop with a duration cuts each new connection until it is over", () => {
    const lab = new Lab();
    lab.hub.faults.add({ kind: "drop", durationS: 30 });
    const during = lab.device("d1");
    during.connect();
    expect(during.closed).toBeDefined();
    expect(during.take()).toEqual([]);
    lab.pass(30);
    const after = lab.device("d1");
    after.connect();
    expect(commands(after)).toEqual(["connack"]);
  });

  test("drop after n publishes takes the n-th and does not acknowledge it", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    lab.hub.faults.add({ kind: "drop", after: 3 });
    for (const text of ["a", "b", "c", "d"]) device.telemetry(text);
    expect(device.take().map((packet) => packet.messageId)).toEqual([1, 2]);
    expect(lab.log("telemetry").map((event) => event.payload)).toEqual(["a", "b", "c"]);
    expect(device.closed).toBeDefined();
    const again = lab.connected("d1");
    for (const text of ["e", "f", "g", "h"]) again.telemetry(text);
    expect(commands(again)).toHaveLength(4);
  });

  test("blackhole swallows and says nothing; the socket stays when the hub has given up", () => {
    const lab = new Lab();
    const device = lab.connected("d1", { keepalive: 20 });
    device.subscribeAll();
    lab.hub.faults.add({ kind: "blackhole", device: "d1" });
    device.telemetry("lost");
    device.send({ cmd: "pingreq" });
    lab.hub.patchTwin("d1", { properties: { desired: { a: 1 } } });
    lab.pass(60);
    expect(device.take()).toEqual([]);
    expect(device.closed).toBeUndefined();
    expect(lab.log("telemetry")).toEqual([]);
    expect(lab.lastClose().reason).toMatch(/nothing heard for 30 s/);
    expect(lab.hub.getDevice("d1").connectionState).toBe("Disconnected");
    device.cut();
    expect(lab.log("close")).toHaveLength(1);
  });

  test("blackhole swallows new connections too, until it is cleared", () => {
    const lab = new Lab();
    lab.hub.faults.add({ kind: "blackhole" });
    const during = lab.device("d1");
    during.connect();
    lab.pass(120);
    expect(during.take()).toEqual([]);
    expect(during.closed).toBeUndefined();
    lab.hub.faults.clear();
    const after = lab.device("d1");
    after.connect();
    expect(commands(after)).toEqual(["connack"]);
  });

  test("no-puback", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    lab.hub.faults.add({ kind: "no-puback", count: 2 });
    for (const text of ["a", "b", "c"]) device.telemetry(text);
    expect(device.take().map((packet) => packet.messageId)).toEqual([3]);
    expect(lab.log("telemetry")).toHaveLength(3);
    expect(lab.hub.faults.list()).toEqual([]);
    const states = lab.log("fault").map((event) => event.state);
    expect(states).toEqual(["set", "fired", "fired", "cleared"]);
  });

  test("delay-puback keeps the order, also of those behind it", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    lab.hub.faults.add({ kind: "delay-puback", count: 1, ms: 5000 });
    device.telemetry("a");
    lab.pass(1);
    device.telemetry("b");
    lab.pass(3);
    expect(device.take()).toEqual([]);
    lab.pass(1);
    expect(device.take().map((packet) => packet.messageId)).toEqual([1, 2]);
    device.telemetry("c");
    expect(device.take().map((packet) => packet.messageId)).toEqual([3]);
  });

  test("refuse answers the code it is told", () => {
    const lab = new Lab();
    lab.hub.faults.add({ kind: "refuse", code: 3, count: 1 });
    const first = lab.device("d1");
    first.connect();
    expect(first.take()).toMatchObject([{ cmd: "connack", returnCode: 3 }]);
    expect(first.closed).toBeDefined();
    const second = lab.device("d1");
    second.connect();
    expect(second.take()).toMatchObject([{ returnCode: 0 }]);
  });

  test("slow-connack holds CONNACK and what the device sent behind CONNECT", () => {
    const lab = new Lab();
    lab.hub.faults.add({ kind: "slow-connack", ms: 90_000, count: 1 });
    const device = lab.device("d1");
    device.connect({ keepalive: 600 });
    device.telemetry("early");
    lab.pass(89);
    expect(device.take()).toEqual([]);
    expect(lab.log("telemetry")).toEqual([]);
    lab.pass(1);
    expect(commands(device)).toEqual(["connack", "puback"]);
    expect(lab.log("telemetry")).toHaveLength(1);
  });

  test("slow-connack of a device that gives up lets no one in", () => {
    const lab = new Lab();
    lab.hub.faults.add({ kind: "slow-connack", ms: 1000 });
    const device = lab.device("d1");
    device.connect();
    device.cut();
    lab.pass(2);
    expect(lab.log("connect")).toEqual([]);
    expect(lab.hub.getDevice("d1").connectionState).toBe("Disconnected");
  });

  test("no-suback and no-pingresp", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    lab.hub.faults.add({ kind: "no-suback", count: 1 });
    lab.hub.faults.add({ kind: "no-pingresp", count: 1 });
    device.subscribe("$iothub/twin/res/#");
    device.send({ cmd: "pingreq" });
    expect(device.take()).toEqual([]);
    device.subscribe("$iothub/twin/res/#");
    device.send({ cmd: "pingreq" });
    expect(commands(device)).toEqual(["suback", "pingresp"]);
  });

  test("lose-twin-answer", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    device.subscribeAll();
    lab.hub.faults.add({ kind: "lose-twin-answer", count: 1 });
    for (const rid of [1, 2]) device.publish(`$iothub/twin/GET/?$rid=${rid}`);
    expect(device.take().map((packet) => packet.topic)).toEqual(["$iothub/twin/res/200/?$rid=2"]);
  });

  test("throttle answers 429 with a body, or disconnects with 429002", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    device.subscribeAll();
    lab.hub.faults.add({ kind: "throttle", count: 2 });
    device.publish("$iothub/twin/GET/?$rid=1");
    device.publish("$iothub/twin/PATCH/properties/reported/?$rid=2", '{"a":1}');
    const answers = device.take();
    expect(answers.map((packet) => packet.topic)).toEqual([
      "$iothub/twin/res/429/?$rid=1",
      "$iothub/twin/res/429/?$rid=2",
    ]);
    expect(JSON.parse(textOf(answers[0])).errorCode).toBe(HubCode.ThrottlingException);
    lab.hub.faults.add({ kind: "throttle", disconnect: true });
    device.publish("$iothub/twin/GET/?$rid=3");
    expect(device.closed).toBeUndefined();
    device.telemetry("x");
    expect(lab.lastClose().code).toBe(HubCode.ThrottleBacklogLimitExceeded);
    expect(lab.log("telemetry")).toEqual([]);
  });

  test("duplicate-c2d sends the message twice", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    device.subscribeAll();
    lab.hub.faults.add({ kind: "duplicate-c2d", count: 1 });
    lab.hub.sendC2d("d1", Buffer.from("a"));
    const copies = device.take();
    expect(copies.map(textOf)).toEqual(["a", "a"]);
    expect(copies[0]!.topic).toBe(copies[1]!.topic!);
    expect(copies[0]!.messageId).not.toBe(copies[1]!.messageId);
    for (const copy of copies) device.puback(copy.messageId!);
    expect(device.closed).toBeUndefined();
    expect(lab.log("c2d").map((event) => event.state)).toEqual([
      "queued",
      "delivered",
      "completed",
    ]);
  });

  test("c2d-before-suback", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    lab.hub.sendC2d("d1", Buffer.from("a"));
    lab.hub.faults.add({ kind: "c2d-before-suback", count: 1 });
    device.subscribe("devices/d1/messages/devicebound/#", 1);
    expect(commands(device)).toEqual(["publish", "suback"]);
  });

  test("upgrade closes with 400029; during its time CONNECT is refused with 400030", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    lab.hub.faults.add({ kind: "upgrade", durationS: 10 });
    expect(device.closed).toBeDefined();
    expect(lab.lastClose().code).toBe(HubCode.ConnectionClosedForServiceUpgrade);
    const during = lab.device("d1");
    during.connect();
    expect(during.take()).toMatchObject([{ cmd: "connack", returnCode: 3 }]);
    expect(lab.log("refuse")[0]!.code).toBe(HubCode.ConnectionRefusedDuringServiceUpgrade);
    lab.pass(10);
    const after = lab.connected("d1");
    lab.hub.faults.add({ kind: "upgrade" });
    expect(after.closed).toBeDefined();
    const retry = lab.device("d1");
    retry.connect();
    expect(retry.take()).toMatchObject([{ returnCode: 0 }]);
  });
});

describe("bounds", () => {
  test("count, device and clearing by id", () => {
    const lab = new Lab();
    const one = lab.connected("d1");
    const two = lab.connected("d2");
    const { id } = lab.hub.faults.add({ kind: "no-puback", device: "d1" });
    lab.hub.faults.add({ kind: "no-pingresp", device: "d2" });
    for (const device of [one, two]) device.telemetry("a");
    expect([commands(one), commands(two)]).toEqual([[], ["puback"]]);
    expect(lab.hub.faults.clear(id)).toBe(1);
    expect(lab.hub.faults.clear(id)).toBe(0);
    one.telemetry("b");
    expect(commands(one)).toEqual(["puback"]);
    expect(lab.hub.faults.list()).toMatchObject([{ kind: "no-pingresp" }]);
  });

  test("a duration ends it and the log says so", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    lab.hub.faults.add({ kind: "no-puback", durationS: 5 });
    lab.pass(4);
    device.telemetry("a");
    lab.pass(1);
    device.telemetry("b");
    expect(device.take().map((packet) => packet.messageId)).toEqual([2]);
    expect(lab.log("fault").map((event) => event.state)).toEqual(["set", "fired", "cleared"]);
  });

  test("a probability bites some and spares some, the same in each run", () => {
    const runs = [1, 2].map(() => {
      const lab = new Lab();
      const device = lab.connected("d1");
      lab.hub.faults.add({ kind: "no-puback", probability: 0.5 });
      for (let count = 0; count < 200; count++) device.telemetry("a");
      return device.take().map((packet) => packet.messageId!);
    });
    expect(runs[0]).toEqual(runs[1]!);
    expect(runs[0]!.length).toBeGreaterThan(60);
    expect(runs[0]!.length).toBeLessThan(140);
  });

  const refused: [string, unknown][] = [
    ["kind must be one of", { kind: "ghost" }],
    ["a JSON object is needed", "drop"],
    ["no-puback has no after", { kind: "no-puback", after: 1 }],
    ["ms must be a number", { kind: "delay-puback" }],
    ["code must be a number from 1 to 5", { kind: "refuse", code: 6 }],
    ["count must be a number from 1", { kind: "drop", count: 0 }],
    ["probability must be a number from 0 to 1", { kind: "drop", probability: 2 }],
    ["device must be a string", { kind: "drop", device: 1 }],
  ];
  for (const [message, spec] of refused) {
    test(`is refused: ${message}`, () => {
      const lab = new Lab();
      expect(() => lab.hub.faults.add(spec)).toThrow(ServiceError);
      expect(() => lab.hub.faults.add(spec)).toThrow(message);
    });
  }
});
