/**
 * Everything that must end a connection, each with the reason in the log (azure.md 4.12, MQTT
 * 3.1.1). Neighbours: `connect.test.ts` for refusals of CONNECT, `lab.ts` for the glass.
 * Invariant: each case checks that the socket was closed and which code the log names.
 */
import { describe, expect, test } from "bun:test";
import { generate } from "mqtt-packet";
import { Lab } from "./lab.ts";
import { HubCode } from "./model/errors.ts";

/** The socket is closed by the hub and the log says why. */
function expectClose(lab: Lab, closed: unknown, code: HubCode, reason: RegExp): void {
  expect(closed).toBeDefined();
  const close = lab.lastClose();
  expect(close.by).toBe("hub");
  expect(close.code).toBe(code);
  expect(close.reason).toMatch(reason);
}

/** Bytes that a client may not send first, and what the log says. */
const FIRST: [string, number[], RegExp][] = [
  ["PINGREQ", [0xc0, 0], /first packet is PINGREQ, not CONNECT/],
  ["text of HTTP", [...Buffer.from("GET / HTTP/1.1\r\n\r\n")], /first packet is PUBACK/],
  ["a packet type of servers", [0x20, 2, 0, 0], /first packet is CONNACK/],
  ["a reserved type", [0xf0, 0], /first packet is type 15/],
  ["CONNECT with reserved flags", [0x11, 12], /reserved flags of CONNECT/],
  ["a CONNECT too short to be one", [0x10, 3], /CONNECT of 3 bytes/],
];

describe("before CONNECT", () => {
  for (const [name, bytes, reason] of FIRST) {
    test(`${name} closes`, () => {
      const lab = new Lab();
      const device = lab.device("d1");
      device.raw(...bytes);
      expectClose(lab, device.closed, HubCode.ArgumentInvalid, reason);
      expect(device.packets).toEqual([]);
    });
  }

  test("the first byte alone is enough to close", () => {
    const lab = new Lab();
    const device = lab.device("d1");
    device.raw(0x30);
    expectClose(lab, device.closed, HubCode.ArgumentInvalid, /first packet is PUBLISH/);
  });

  test("silence for a minute closes", () => {
    const lab = new Lab();
    const device = lab.device("d1");
    lab.pass(59);
    expect(device.closed).toBeUndefined();
    lab.pass(1);
    const code = HubCode.DeviceConnectionClosedRemotely;
    expectClose(lab, device.closed, code, /no CONNECT within 60 s/);
  });
});

/** Packets that end a connection which is up. */
const UP: [string, number[] | Buffer, HubCode, RegExp][] = [
  ["CONNACK from a client", [0x20, 2, 0, 0], HubCode.ArgumentInvalid, /CONNACK is sent by servers/],
  ["PINGREQ with a body", [0xc0, 1, 0], HubCode.ArgumentInvalid, /PINGREQ of 1 bytes/],
  ["PUBACK of three bytes", [0x40, 3, 0, 1, 0], HubCode.ArgumentInvalid, /PUBACK of 3 bytes/],
  ["PUBACK with identifier 0", [0x40, 2, 0, 0], HubCode.ArgumentInvalid, /identifier 0/],
  ["PUBREL", [0x62, 2, 0, 1], HubCode.ArgumentInvalid, /PUBREL belongs to QoS 2/],
  ["QoS 3", [0x36, 6, 0, 1, 97, 0, 1, 0], HubCode.ArgumentInvalid, /QoS 3 .MQTT-3.3.1-4/],
  ["DUP at QoS 0", [0x38, 3, 0, 1, 97], HubCode.ArgumentInvalid, /DUP at QoS 0/],
  ["an empty topic", [0x30, 4, 0, 0, 97, 97], HubCode.ArgumentInvalid, /empty topic/],
  ["a topic beyond its packet", [0x30, 3, 0, 9, 97], HubCode.ArgumentInvalid, /topic longer/],
  ["U+0000 in a topic", [0x30, 3, 0, 1, 0], HubCode.ArgumentInvalid, /U\+0000/],
  ["a surrogate", [0x30, 5, 0, 3, 0xed, 0xa0, 0x80], HubCode.ArgumentInvalid, /ill-formed UTF-8/],
  ["a wildcard topic", [0x30, 3, 0, 1, 0x23], HubCode.ArgumentInvalid, /wildcard in a PUBLISH/],
  ["identifier 0", [0x32, 5, 0, 1, 97, 0, 0], HubCode.ArgumentInvalid, /identifier 0/],
  ["SUBSCRIBE flags", [0x80, 6], HubCode.ArgumentInvalid, /reserved flags of SUBSCRIBE/],
  ["SUBSCRIBE without filter", [0x82, 2, 0, 1], HubCode.ArgumentInvalid, /MQTT-3.8.3-3/],
  ["an empty filter", [0x82, 6, 0, 1, 0, 0, 0, 0], HubCode.ArgumentInvalid, /empty topic filter/],
  ["QoS bits", [0x82, 6, 0, 1, 0, 1, 97, 4], HubCode.ArgumentInvalid, /MQTT-3.8.3-4/],
  ["five length bytes", [0x30, 255, 255, 255, 255, 1], HubCode.ArgumentInvalid, /more than 4/],
  ["a length over 256 KB", [0x30, 0x81, 0x80, 0x10], HubCode.MessageTooLarge, /262145 bytes/],
];

describe("while connected", () => {
  for (const [name, bytes, code, reason] of UP) {
    test(`${name} closes`, () => {
      const lab = new Lab();
      const device = lab.connected("d1");
      device.raw(...bytes);
      expectClose(lab, device.closed, code, reason);
      expect(device.take()).toEqual([]);
    });
  }

  test("a packet of exactly 256 KB is taken, arriving in any pieces", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    const topic = "devices/d1/messages/events/";
    const payload = Buffer.alloc(262_144 - 2 - topic.length - 2, 97);
    const head = { cmd: "publish", topic, payload, qos: 1, messageId: 1 } as const;
    const bytes = generate({ ...head, dup: false, retain: false });
    for (let at = 0; at < bytes.length; at += 4099) {
      device.connection.onData(bytes.subarray(at, at + 4099));
    }
    expect(device.closed).toBeUndefined();
    expect(device.take().map((packet) => packet.cmd)).toEqual(["puback"]);
    expect(lab.log("telemetry")[0]!.bytes).toBe(payload.length);
  });

  test("a length written longer than need be moves nothing", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    device.raw(0x40, 0x82, 0x00, 0x00, 0x01);
    device.raw(0x82, 0x96, 0x00, 0, 9, 0, 17, ...Buffer.from("$iothub/twin/res/#".slice(0, 17)), 0);
    expect(lab.lastClose().reason).toMatch(/off the list/);
    const other = lab.connected("d2");
    other.raw(0x40, 0x82, 0x00, 0x01, 0x00);
    other.raw(0xc0, 0x80, 0x00);
    expect(other.take().map((packet) => packet.cmd)).toEqual(["pingresp"]);
    other.raw(0x40, 0x82, 0x00, 0x00, 0x00);
    expectClose(lab, other.closed, HubCode.ArgumentInvalid, /PUBACK with identifier 0/);
  });

  test("a second CONNECT closes", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    device.connect();
    expectClose(lab, device.closed, HubCode.ArgumentInvalid, /second CONNECT/);
  });

  test("a QoS 2 publish closes and is not taken", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    device.publish("devices/d1/messages/events/", "x", 2);
    expectClose(lab, device.closed, HubCode.ArgumentInvalid, /QoS 2 publish/);
    expect(lab.log("telemetry")).toEqual([]);
  });

  for (const topic of [
    "hello",
    "devices/d2/messages/events/",
    "devices/d1/messages/eventsmore",
    "devices/d1/messages/devicebound/",
    "$iothub/twin/res/200/?$rid=1",
  ]) {
    test(`a publish to ${topic} closes without a word`, () => {
      const lab = new Lab();
      const device = lab.connected("d1");
      device.publish(topic, "x", 1);
      expectClose(lab, device.closed, HubCode.ArgumentInvalid, /off the hub's list/);
      expect(device.take()).toEqual([]);
    });
  }

  test("a bag with a broken percent sign closes", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    device.telemetry("x", "a=%zz");
    expectClose(lab, device.closed, HubCode.ArgumentInvalid, /percent sign/);
  });

  test("a subscription off the list closes", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    device.subscribe("devices/d2/messages/devicebound/#", 1);
    expectClose(lab, device.closed, HubCode.ArgumentInvalid, /off the list/);
  });

  test("as an option, a subscription off the list is refused with 0x80", () => {
    const lab = new Lab({ unknownFilter: "refuse" });
    const device = lab.connected("d1");
    device.subscribe("#", 1);
    expect(device.closed).toBeUndefined();
    expect(device.take()[0]!.granted).toEqual([128]);
  });

  test("as an option, it is granted and stays silent, five in all", () => {
    const lab = new Lab({ unknownFilter: "grant" });
    const device = lab.connected("d1");
    for (const name of ["a", "b", "c", "d", "e"]) device.subscribe(name, 2);
    expect(device.take().map((packet) => packet.granted)).toEqual([[1], [1], [1], [1], [1]]);
    device.subscribe("f");
    expectClose(lab, device.closed, HubCode.ArgumentInvalid, /more than 5 subscriptions/);
  });

  test("twin GET without a request id closes", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    device.publish("$iothub/twin/GET/", " ");
    expectClose(lab, device.closed, HubCode.ArgumentInvalid, /twin GET without \$rid/);
  });

  test("a method answer without status closes", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    device.publish("$iothub/methods/res/", "{}");
    expectClose(lab, device.closed, HubCode.ArgumentInvalid, /without a status or \$rid/);
  });
});

describe("deadlines", () => {
  test("silence of 1.5 times the keep-alive closes, any packet puts it off", () => {
    const lab = new Lab();
    const device = lab.connected("d1", { keepalive: 20 });
    lab.pass(29);
    device.send({ cmd: "pingreq" });
    expect(device.take()[0]!.cmd).toBe("pingresp");
    lab.pass(29.9);
    expect(device.closed).toBeUndefined();
    lab.pass(0.1);
    const code = HubCode.DeviceConnectionClosedRemotely;
    expectClose(lab, device.closed, code, /nothing heard for 30 s/);
  });

  test("keep-alive 0 means the service's longest", () => {
    const lab = new Lab();
    const password = Buffer.from(lab.device("d1").token(86_400));
    const device = lab.connected("d1", { keepalive: 0, password });
    lab.pass(1765);
    expect(device.closed).toBeUndefined();
    lab.pass(1);
    expect(lab.lastClose().reason).toMatch(/nothing heard for 1765.5 s/);
  });

  test("token expiry plus grace closes a connection that is busy", () => {
    const lab = new Lab({ graceS: 120 });
    const sample = lab.device("d1");
    const device = lab.connected("d1", { password: Buffer.from(sample.token(60)) });
    for (let second = 0; second < 179; second++) {
      lab.pass(1);
      device.telemetry("x");
    }
    expect(device.closed).toBeUndefined();
    lab.pass(1);
    expectClose(lab, device.closed, HubCode.IotHubUnauthorizedAccess, /token expired 120 s ago/);
  });

  test("with grace 0 the connection ends with its token", () => {
    const lab = new Lab({ graceS: 0 });
    const sample = lab.device("d1");
    const device = lab.connected("d1", { password: Buffer.from(sample.token(5)) });
    lab.pass(4);
    expect(device.closed).toBeUndefined();
    lab.pass(1);
    expectClose(lab, device.closed, HubCode.IotHubUnauthorizedAccess, /token expired/);
  });
});

describe("from elsewhere", () => {
  test("a new connection takes over", () => {
    const lab = new Lab();
    const first = lab.connected("d1");
    const second = lab.connected("d1");
    const code = HubCode.ConnectionForcefullyClosedOnNewConnection;
    expectClose(lab, first.closed, code, /409002 LinkCreationConflict/);
    expect(second.closed).toBeUndefined();
    second.telemetry("x");
    expect(second.take()[0]!.cmd).toBe("puback");
  });

  test("disabling the device closes", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    lab.hub.updateDevice("d1", { status: "disabled" });
    expectClose(lab, device.closed, HubCode.DeviceDisabled, /disabled/);
  });

  test("deleting the device closes", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    lab.hub.deleteDevice("d1");
    expectClose(lab, device.closed, HubCode.DeviceNotFound, /deleted/);
  });

  test("PUBACK out of order closes, unless the option allows it", () => {
    for (const strictAckOrder of [true, false]) {
      const lab = new Lab({ strictAckOrder });
      const device = lab.connected("d1");
      device.subscribeAll();
      for (const text of ["a", "b"]) lab.hub.sendC2d("d1", Buffer.from(text));
      const [, second] = device.take();
      device.puback(second!.messageId!);
      if (strictAckOrder) {
        expectClose(
          lab,
          device.closed,
          HubCode.ArgumentInvalid,
          /PUBACK 2 out of order, 1 was due/,
        );
      } else {
        expect(device.closed).toBeUndefined();
      }
    }
  });

  test("sustained overload closes as an option, a burst does not", () => {
    const lab = new Lab({ overloadPerS: 10 });
    const device = lab.connected("d1");
    for (let count = 0; count < 100; count++) device.telemetry("x");
    expect(device.closed).toBeUndefined();
    lab.pass(1);
    for (let count = 0; count < 11; count++) device.telemetry("x");
    const code = HubCode.ThrottleBacklogLimitExceeded;
    expectClose(lab, device.closed, code, /more than 10 messages a second/);
  });
});

describe("by the device", () => {
  test("DISCONNECT closes cleanly, what follows it is not read", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    const more = generate({ cmd: "pingreq" });
    device.connection.onData(Buffer.concat([generate({ cmd: "disconnect" }), more]));
    expect(device.closed).toBeDefined();
    expect(lab.lastClose()).toMatchObject({ by: "device", reason: "DISCONNECT" });
    expect(device.take()).toEqual([]);
  });

  test("a cut socket is logged as closed remotely, once", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    device.cut();
    device.cut();
    expect(lab.log("close")).toHaveLength(1);
    expect(lab.lastClose().codeName).toBe("DeviceConnectionClosedRemotely");
  });

  test("acknowledgements of the same read leave before the close", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    const head = { cmd: "publish", payload: "x", qos: 1, dup: false, retain: false } as const;
    const good = generate({ ...head, topic: "devices/d1/messages/events/", messageId: 9 });
    const bad = generate({ ...head, topic: "nowhere", messageId: 10 });
    device.connection.onData(Buffer.concat([good, bad]));
    expect(device.closed).toBeDefined();
    expect(device.take()).toMatchObject([{ cmd: "puback", messageId: 9 }]);
  });
});
