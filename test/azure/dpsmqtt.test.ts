/**
 * Registration over MQTT, on the same connections as the hub's. Neighbours: `lab.ts` has the
 * device's end, `dpslab.ts` the tokens. Invariant: a refused key is a status, a refused topic is
 * the end of the connection.
 */
import { describe, expect, test } from "bun:test";
import type { IConnectPacket } from "mqtt-packet";
import { Chip } from "./chip.ts";
import { type Body, enrollChip, lastReason, SCOPE, steps, token } from "./dpslab.ts";
import { HUB_NAME, KEY, Lab, LabDevice, SECOND_KEY, textOf } from "./lab.ts";

const ID = "gw-1";
const FILTER = "$dps/registrations/res/#";
const REGISTER = "$dps/registrations/PUT/iotdps-register/";
const POLL = "$dps/registrations/GET/iotdps-get-operationstatus/";

function enrolled(): Lab {
  const lab = new Lab();
  const symmetricKey = { primaryKey: KEY, secondaryKey: SECOND_KEY };
  lab.hub.dps.putEnrollment("device", ID, { attestation: { type: "symmetricKey", symmetricKey } });
  return lab;
}

function connect(lab: Lab, changes: Partial<IConnectPacket> = {}): LabDevice {
  const device = new LabDevice(lab, ID);
  device.connect({
    clean: true,
    username: `${SCOPE}/registrations/${ID}/api-version=2019-03-31&ClientVersion=sdk%2F1`,
    password: Buffer.from(token(lab, ID, KEY)),
    ...changes,
  });
  return device;
}

/** A device that is connected and listens. */
function listening(lab: Lab, qos: 0 | 1 | 2 = 1, changes: Partial<IConnectPacket> = {}): LabDevice {
  const device = connect(lab, changes);
  device.subscribe(FILTER, qos);
  device.take();
  return device;
}

const bodyOf = (device: LabDevice): Body => JSON.parse(textOf(device.take().at(-1)));

describe("registration", () => {
  test("goes by topics and statuses as over HTTPS", () => {
    const lab = enrolled();
    const device = connect(lab);
    expect(device.take()).toMatchObject([{ cmd: "connack", returnCode: 0, sessionPresent: false }]);
    device.subscribe(FILTER, 1);
    expect(device.take()).toMatchObject([{ cmd: "suback", granted: [1] }]);

    device.publish(`${REGISTER}?$rid=r-1`, JSON.stringify({ registrationId: ID }), 1);
    const [puback, first] = device.take();
    expect(puback).toMatchObject({ cmd: "puback", messageId: 2 });
    expect(first).toMatchObject({
      topic: "$dps/registrations/res/202/?$rid=r-1&retry-after=3",
      qos: 1,
      messageId: 1,
    });
    device.puback(1);
    const { operationId, status } = JSON.parse(textOf(first));
    expect(status).toBe("assigning");

    lab.pass(3);
    device.publish(`${POLL}?$rid=r-2&operationId=${operationId}`, " ");
    const last = device.take();
    expect(last).toMatchObject([{ topic: "$dps/registrations/res/200/?$rid=r-2", messageId: 2 }]);
    expect(JSON.parse(textOf(last[0]))).toMatchObject({
      operationId,
      status: "assigned",
      registrationState: { deviceId: ID, symmetricKey: {} },
    });
    device.send({ cmd: "unsubscribe", messageId: 9, unsubscriptions: [FILTER] });
    device.send({ cmd: "pingreq" });
    expect(device.take()).toMatchObject([{ cmd: "unsuback" }, { cmd: "pingresp" }]);
    device.send({ cmd: "disconnect" });
    expect(device.closed).toMatchObject({ reason: "DISCONNECT" });
    expect(steps(lab)).toEqual(["enrolled", "connect", "register", "assigned", "poll"]);
    lab.connected(ID);
  });

  test("by QoS 0 is answered by QoS 0; QoS 2 is granted as 1", () => {
    const lab = enrolled();
    const quiet = listening(lab, 0);
    quiet.publish(`${REGISTER}?$rid=1`, "{}");
    expect(quiet.take()).toMatchObject([{ cmd: "publish", qos: 0 }]);
    const eager = connect(lab);
    eager.take();
    eager.subscribe(FILTER, 2);
    expect(eager.take()).toMatchObject([{ cmd: "suback", granted: [1] }]);
  });

  test("with a wrong key is a 401 and not the end", () => {
    const lab = enrolled();
    const password = Buffer.from(token(lab, ID, SECOND_KEY, -400));
    const device = listening(lab, 1, { password });
    device.publish(`${REGISTER}?$rid=7`, "{}", 1);
    const [, answer] = device.take();
    expect(answer!.topic).toBe("$dps/registrations/res/401/?$rid=7");
    expect(JSON.parse(textOf(answer))).toMatchObject({ errorCode: 401002 });
    expect(lastReason(lab)).toMatch(/expired 400 s ago/);
    expect(device.closed).toBeUndefined();
  });

  test("that is throttled says when to come again, and the same connection goes on", () => {
    const lab = enrolled();
    const device = listening(lab);
    lab.hub.faults.add({ kind: "dps-throttle", count: 1 });
    device.publish(`${REGISTER}?$rid=1`, "{}");
    expect(device.take()[0]!.topic).toBe("$dps/registrations/res/429/?$rid=1&retry-after=3");
    device.publish(`${REGISTER}?$rid=1`, "{}");
    expect(device.take()[0]!.topic).toBe("$dps/registrations/res/202/?$rid=1&retry-after=3");
  });

  test("with a late answer (fault) waits; a connection that is gone misses it", () => {
    const lab = enrolled();
    lab.hub.faults.add({ kind: "dps-delay", ms: 2000 });
    const [patient, hasty] = [listening(lab), listening(lab)];
    for (const device of [patient, hasty]) device.publish(`${REGISTER}?$rid=1`, "{}");
    hasty.cut();
    lab.pass(2);
    expect(patient.take()).toMatchObject([{ cmd: "publish" }]);
    expect(hasty.take()).toEqual([]);
  });

  test("with a body that is no JSON is a 400", () => {
    const device = listening(enrolled());
    device.publish(`${REGISTER}?$rid=1`, "{");
    expect(bodyOf(device)).toMatchObject({ errorCode: 400004, message: "the body is not JSON" });
  });

  test("of a TPM is refused: that goes over HTTPS only", () => {
    const lab = new Lab();
    const chip = Chip.make();
    enrollChip(lab, ID, chip);
    const device = listening(lab);
    device.publish(`${REGISTER}?$rid=1`, JSON.stringify({ tpm: chip.keys }));
    expect(bodyOf(device)).toMatchObject({ errorCode: 401002 });
    expect(lastReason(lab)).toMatch(/TPM attestation goes over HTTPS only/);
  });

  test("without a subscription is lost, and the log says so", () => {
    const lab = enrolled();
    const device = connect(lab);
    device.take();
    device.publish(`${REGISTER}?$rid=1`, "{}");
    expect(device.take()).toEqual([]);
    expect(lastReason(lab)).toMatch(/the answer is lost/);
  });
});

describe("CONNECT", () => {
  const name = (scope: string, id: string, tail: string) => `${scope}/registrations/${id}/${tail}`;
  const cases: [string, Partial<IConnectPacket>, RegExp][] = [
    ["another scope", { username: name("0ne9", ID, "api-version=1") }, /id scope "0ne9" is not/],
    ["no api-version", { username: name(SCOPE, ID, "ClientVersion=x") }, /without api-version/],
    ["another client id", { clientId: "gw-2" }, /client identifier is not the registration id/],
    ["no password", { password: Buffer.alloc(0) }, /neither a token nor a client certificate/],
  ];
  for (const [what, changes, reason] of cases) {
    test(`with ${what} is refused with 5`, () => {
      const lab = enrolled();
      const device = connect(lab, changes);
      expect(device.take()).toMatchObject([{ cmd: "connack", returnCode: 5 }]);
      expect(lab.lastClose()).toMatchObject({
        deviceId: ID,
        reason: expect.stringMatching(reason),
      });
    });
  }

  test("with a user name of the hub goes to the hub, whatever the device is called", () => {
    const lab = new Lab();
    const device = lab.device("registrations");
    device.connect();
    expect(device.take()).toMatchObject([{ cmd: "connack", returnCode: 0 }]);
    const module = lab.device("registrations");
    module.connect({ username: `${HUB_NAME}/registrations/m/?api-version=1` });
    expect(module.closed?.reason).toBe("module identities are not offered");
  });

  test("takes a client version as it is, a slash in it too", () => {
    const username = name(SCOPE, ID, "api-version=2021-06-01&ClientVersion=sdk/1.0 (x; y=z)");
    expect(connect(enrolled(), { username }).take()).toMatchObject([{ returnCode: 0 }]);
  });

  test("keeps its keep-alive and its token's end like any connection", () => {
    const lab = enrolled();
    const silent = connect(lab, { keepalive: 10 });
    lab.pass(15);
    expect(silent.closed?.reason).toMatch(/nothing heard for 15 s/);
    const old = connect(lab, { keepalive: 1000, password: Buffer.from(token(lab, ID, KEY, 60)) });
    lab.pass(360);
    expect(old.closed?.reason).toMatch(/token expired/);
  });
});

describe("the connection ends at", () => {
  const cases: [string, (device: LabDevice) => void, RegExp][] = [
    ["a topic of the hub", (device) => device.telemetry("x"), /service does not take/],
    ["QoS 2", (device) => device.publish(`${REGISTER}?$rid=1`, "{}", 2), /QoS 2 publish/],
    ["no request id", (device) => device.publish(REGISTER, "{}"), /without \$rid/],
    ["another filter", (device) => device.subscribe("$iothub/twin/res/#"), /is all there is/],
    ["a second CONNECT", (device) => device.connect(), /second CONNECT/],
    [
      "PUBREL",
      (device) => device.send({ cmd: "pubrel", messageId: 1 }),
      /PUBREL has no place here/,
    ],
  ];
  for (const [what, act, reason] of cases) {
    test(what, () => {
      const device = listening(enrolled());
      act(device);
      expect(device.closed?.reason).toMatch(reason);
    });
  }
});
