// Machines, tested: what is built from the settings, and what a reload may change.
// Neighbours: `src/core/machines.ts`; each machine has a test of its own.
// Invariant: what was built is seen from outside: on the wire, at the signer, at the pins.

import { describe, expect, test } from "bun:test";
import { VERSION } from "../../src/kit/version.ts";
import { connack, lamp, publish, Rig, settings } from "../rig.ts";

/** The strings of a CONNECT: client id, user name, password. */
function connectOf(rig: Rig): string[] {
  const [connect] = rig.sent();
  const { body } = connect!;
  const strings: string[] = [];
  for (let at = 10; at < body.length; ) {
    const end = at + 2 + ((body[at]! << 8) | body[at + 1]!);
    strings.push(new TextDecoder().decode(body.subarray(at + 2, end)));
    at = end;
  }
  return strings;
}

describe("the identity", () => {
  const client = `DeviceClientType=azimuth%2F${VERSION}`;

  test("of a device, in client id, user name and token", () => {
    const rig = new Rig();
    rig.turn.start();
    expect(rig.take().at(-1)).toBe("sign hub.example%2Fdevices%2Fdev1 1700003600");
    rig.turn.onSigned("c2ln");
    rig.secure();
    expect(connectOf(rig)).toEqual([
      "dev1",
      `hub.example/dev1/?api-version=2021-04-12&${client}`,
      "SharedAccessSignature sr=hub.example%2Fdevices%2Fdev1&sig=c2ln&se=1700003600",
    ]);
  });

  test("of a module with a model", () => {
    const rig = new Rig(settings({ endpoint: { moduleId: "mod", modelId: "dtmi:x;1" } }));
    rig.greet();
    const [clientId, user, password] = connectOf(rig);
    expect(clientId).toBe("dev1/mod");
    expect(user).toBe(
      `hub.example/dev1/mod/?api-version=2021-04-12&${client}&model-id=dtmi%3Ax%3B1`,
    );
    expect(password).toContain("sr=hub.example%2Fdevices%2Fdev1%2Fmodules%2Fmod&");
  });

  test("behind another host, the hub's name stays in user name and token", () => {
    const rig = new Rig(settings({ endpoint: { host: "edge.local", mqttPort: 18_883 } }));
    rig.greet();
    expect(rig.target).toEqual([{ host: "edge.local", port: 18_883, roots: "" }]);
    const [, user, password] = connectOf(rig);
    expect(user).toStartWith("hub.example/dev1/");
    expect(password).toContain("sr=hub.example%2Fdevices%2Fdev1&");
  });

  test("the keep-alive of the settings goes into CONNECT", () => {
    const rig = new Rig(settings({ endpoint: { keepAliveS: 600 } }));
    rig.greet();
    const { body } = rig.sent()[0]!;
    expect((body[8]! << 8) | body[9]!).toBe(600);
  });
});

describe("a reload", () => {
  test("changes telemetry and window at once", () => {
    const rig = new Rig(settings({ data: { inFlightMax: 1 } }));
    rig.online();
    rig.sent();
    rig.turn.onSettings(settings({ telemetry: { intervalS: 1 }, data: { inFlightMax: 2 } }));
    rig.pass(5000);
    expect(rig.messages()).toHaveLength(2);
  });

  test("leaves the endpoint as it was until the next start", () => {
    const rig = new Rig();
    rig.online();
    const endpoint = { host: "other.example", hubName: "other.example", deviceId: "dev2" };
    rig.turn.onSettings(settings({ endpoint, data: { retryIntervalS: 5 } }));
    rig.close();
    rig.redial();
    expect(rig.target.at(-1)!.host).toBe("hub.example");
    const { agent } = rig.turn;
    expect(agent.settings.endpoint.deviceId).toBe("dev1");
    expect(agent.settings.data.retryIntervalS).toBe(5);
  });

  test("a new lamp while the twin is on its way is in the document that comes", () => {
    const rig = new Rig();
    rig.greet();
    rig.turn.onData(connack());
    rig.turn.onData(Uint8Array.of(0x90, 4, 0, 1, 0, 0));
    rig.turn.onSettings(settings({ lamps: [lamp("LED1"), lamp("LED2")] }));
    rig.answerGet({ LED2: true }, 1);
    expect(rig.take()).toContain("drive 1 on");
    const patches = rig.sent().filter((one) => one.topic.includes("GET"));
    expect(patches).toEqual([]);
  });

  test("in a connection that is closing it sends nothing any more", () => {
    const rig = new Rig();
    rig.online();
    rig.answerReport();
    rig.turn.onCommand(1, ["disconnect"]);
    expect(rig.sent().at(-1)!.type).toBe(14);
    rig.turn.onSettings(settings({ lamps: [lamp("LED1"), lamp("LED2")] }));
    rig.turn.onData(publish("$iothub/twin/PATCH/properties/desired/?$version=9", "{}"));
    expect(rig.sent()).toEqual([]);
  });

  test("to no lamps and back works in any state of the connection", () => {
    const rig = new Rig();
    rig.online({ LED1: true }, 3);
    rig.turn.onSettings(settings({ lamps: [] }));
    rig.answerReport();
    rig.answerReport();
    rig.turn.onSettings(settings({}));
    rig.sent();
    rig.close();
    rig.redial();
    rig.reconnect({ LED1: true }, 3);
    expect(rig.take()).toContain("drive 0 on");
  });
});
