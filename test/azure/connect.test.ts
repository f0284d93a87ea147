/**
 * CONNECT: what comes in, what is refused, and what the log says about it (azure.md 4.1, 4.2).
 * Neighbours: `close.test.ts` for what ends a connection later, `session.test.ts` for sessions.
 * Invariant: nearly every refusal is CONNACK 5 on the wire and a code with a reason in the log.
 */
import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import type { IConnectPacket } from "mqtt-packet";
import { HUB_NAME, KEY, Lab, SECOND_KEY, START_MS } from "./lab.ts";
import { HubCode } from "./model/errors.ts";
import { makeSas } from "./model/sas.ts";

const NOW_S = START_MS / 1000;
const password = (text: string) => ({ password: Buffer.from(text) });
const sas = (resource: string, seconds: number, key = KEY, policy = "") =>
  password(makeSas(resource, NOW_S + seconds, key, policy));
const RESOURCE = `${HUB_NAME}/devices/d1`;

type Case = [string, Partial<IConnectPacket>, number, HubCode, RegExp];

const REFUSED: Case[] = [
  ["an expired token", sas(RESOURCE, -301), 5, HubCode.IotHubUnauthorizedAccess, /expired 301 s/],
  [
    "another key",
    sas(RESOURCE, 60, Buffer.alloc(32, 1).toString("base64")),
    5,
    HubCode.IotHubUnauthorizedAccess,
    /signed by neither key/,
  ],
  [
    "a token for another device",
    sas(`${HUB_NAME}/devices/d2`, 60),
    5,
    HubCode.IotHubUnauthorizedAccess,
    /token is for "lab.example\/devices\/d2"/,
  ],
  ["a password that is no token", password("secret"), 5, HubCode.IotHubUnauthorizedAccess, /not a/],
  ["a token without se", password("SharedAccessSignature sr=a&sig=b"), 5, 401003, /without sr/],
  [
    "a token with an se of letters",
    password("SharedAccessSignature sr=a&sig=b&se=soon"),
    5,
    HubCode.IotHubUnauthorizedAccess,
    /se is not a Unix time/,
  ],
  ["an unknown policy", sas(HUB_NAME, 60, KEY, "ghost"), 5, 401003, /policy "ghost"/],
  [
    "a policy that may not connect",
    sas(HUB_NAME, 60, KEY, "service"),
    5,
    HubCode.IotHubUnauthorizedAccess,
    /no right DeviceConnect/,
  ],
  [
    "a policy token for a device whose id begins alike",
    sas(`${HUB_NAME}/devices/d`, 60, KEY, "device"),
    5,
    HubCode.IotHubUnauthorizedAccess,
    /token is for another resource/,
  ],
  ["another client id", { clientId: "d2" }, 5, 401003, /client identifier is not/],
  ["a client id in other case", { clientId: "D1" }, 5, 401003, /client identifier is not/],
  [
    "another host",
    { username: "other.example/d1/?api-version=2021-04-12" },
    5,
    HubCode.IotHubUnauthorizedAccess,
    /for host other.example/,
  ],
  ["no api-version", { username: `${HUB_NAME}/d1/` }, 5, 401003, /without api-version/],
  ["a bare user name", { username: "d1" }, 5, 401003, /not \{host\}/],
  [
    "a module",
    { username: `${HUB_NAME}/d1/m/?api-version=2021-04-12` },
    5,
    HubCode.IotHubUnauthorizedAccess,
    /module identities/,
  ],
  [
    "an unknown device",
    { clientId: "dx", username: `${HUB_NAME}/dx/?api-version=2021-04-12` },
    5,
    HubCode.DeviceNotFound,
    /dx is not registered/,
  ],
  ["an empty client id", { clientId: "", clean: true }, 2, HubCode.ArgumentInvalid, /3.1.3-8/],
  [
    "a will elsewhere",
    { will: { topic: "devices/d2/messages/events/", payload: "x", qos: 0, retain: false } },
    5,
    HubCode.ArgumentInvalid,
    /will topic/,
  ],
  [
    "a will with QoS 2",
    { will: { topic: "devices/d1/messages/events/", payload: "x", qos: 2, retain: false } },
    5,
    HubCode.ArgumentInvalid,
    /will with QoS 2/,
  ],
];

describe("refused", () => {
  for (const [name, changes, returnCode, code, reason] of REFUSED) {
    test(name, () => {
      const lab = new Lab({ keys: { service: KEY, device: KEY } });
      const device = lab.device("d1");
      device.connect(changes);
      expect(device.take()).toMatchObject([{ cmd: "connack", returnCode, sessionPresent: false }]);
      expect(device.closed).toBeDefined();
      const refusal = lab.log("refuse")[0]!;
      expect(refusal.code).toBe(code);
      expect(refusal.reason).toMatch(reason);
      expect(lab.lastClose().code).toBe(code);
    });
  }

  test("no user name, no password", () => {
    const lab = new Lab();
    const device = lab.device("d1");
    // Flags without user name: written by hand, for the codec package insists on one.
    const body = [0, 4, ...Buffer.from("MQTT"), 4, 0, 0, 60, 0, 2, ...Buffer.from("d1")];
    device.raw(0x10, body.length, ...body);
    expect(device.take()).toMatchObject([{ cmd: "connack", returnCode: 5 }]);
    expect(lab.log("refuse")[0]!.reason).toBe("no user name");
  });

  test("a disabled device", () => {
    const lab = new Lab();
    const device = lab.device("d1");
    lab.hub.updateDevice("d1", { status: "disabled" });
    device.connect();
    expect(device.take()).toMatchObject([{ cmd: "connack", returnCode: 5 }]);
    expect(lab.log("refuse")[0]!.code).toBe(HubCode.DeviceDisabled);
  });

  for (const level of [3, 5, 0x84]) {
    test(`protocol level ${level} gets CONNACK 1`, () => {
      const lab = new Lab();
      const device = lab.device("d1");
      const body = [0, 4, ...Buffer.from("MQTT"), level, 2, 0, 60, 0, 0];
      device.raw(0x10, body.length, ...body);
      expect(device.take()).toMatchObject([{ cmd: "connack", returnCode: 1 }]);
      expect(lab.lastClose().reason).toMatch(new RegExp(`level ${level}, 4 is allowed`));
    });
  }

  test("no secret of a refused token is in the log", () => {
    const lab = new Lab();
    const device = lab.device("d1");
    const token = device.token(3600, Buffer.alloc(32, 1).toString("base64"));
    device.connect({ password: Buffer.from(token) });
    const signature = /sig=([^&]*)/.exec(token)![1]!;
    expect(JSON.stringify(lab.events)).not.toContain(signature);
    expect(JSON.stringify(lab.events)).not.toContain(KEY);
  });
});

/** CONNECT bodies after the protocol level that are malformed: closed without a CONNACK. */
const MALFORMED: [string, number[], RegExp][] = [
  ["the reserved flag", [0x01, 0, 60, 0, 1, 97], /MQTT-3.1.2-3/],
  ["will QoS without a will", [0x0a, 0, 60, 0, 1, 97], /MQTT-3.1.2-13/],
  ["will QoS 3", [0x1e, 0, 60, 0, 1, 97, 0, 1, 97, 0, 0], /MQTT-3.1.2-14/],
  ["a password alone", [0x42, 0, 60, 0, 1, 97, 0, 1, 97], /MQTT-3.1.2-22/],
  ["bytes behind the end", [0x02, 0, 60, 0, 1, 97, 1], /bytes behind/],
  ["a field beyond the end", [0x02, 0, 60, 0, 9, 97], /client identifier is missing or longer/],
  ["U+0000", [0x02, 0, 60, 0, 1, 0], /U\+0000 in the client identifier/],
  ["overlong UTF-8", [0x02, 0, 60, 0, 2, 0xc0, 0x80], /ill-formed UTF-8/],
];

describe("malformed", () => {
  for (const [name, rest, reason] of MALFORMED) {
    test(name, () => {
      const lab = new Lab();
      const device = lab.device("d1");
      const body = [0, 4, ...Buffer.from("MQTT"), 4, ...rest];
      device.raw(0x10, body.length, ...body);
      expect(device.closed).toBeDefined();
      expect(device.take()).toEqual([]);
      expect(lab.lastClose().reason).toMatch(reason);
    });
  }

  test("another protocol name", () => {
    const lab = new Lab();
    const device = lab.device("d1");
    device.raw(0x10, 13, 0, 4, ...Buffer.from("AMQP"), 4, 2, 0, 60, 0, 1, 97);
    expect(device.take()).toEqual([]);
    expect(lab.lastClose().reason).toMatch(/MQTT-3.1.2-1/);
  });
});

describe("let in", () => {
  const accepted: [string, Partial<IConnectPacket>][] = [
    ["the secondary key", sas(RESOURCE, 60, SECOND_KEY)],
    ["a token that ended 300 s ago, within the allowance", sas(RESOURCE, -300)],
    ["a token for ten years", sas(RESOURCE, 315_360_000)],
    ["a resource in other case", sas(RESOURCE.toUpperCase(), 60)],
    ["a policy of devices", sas(HUB_NAME, 60, KEY, "device")],
    ["a policy for this device only", sas(RESOURCE, 60, KEY, "device")],
    ["api-version without question mark", { username: `${HUB_NAME}/d1/api-version=2018-06-30` }],
    ["host in other case", { username: `${HUB_NAME.toUpperCase()}/d1/?api-version=2018-06-30` }],
    ["a second api-version", { username: `${HUB_NAME}/d1/?api-version=a&api-version=` }],
  ];
  for (const [name, changes] of accepted) {
    test(name, () => {
      const lab = new Lab({ keys: { device: KEY } });
      const device = lab.device("d1");
      device.connect(changes);
      expect(lab.log("refuse")).toEqual([]);
      expect(device.take()).toMatchObject([{ cmd: "connack", returnCode: 0 }]);
    });
  }

  test("a resource that is not encoded, parts in another order", () => {
    const lab = new Lab();
    const device = lab.device("d1");
    const expiry = `${NOW_S + 60}`;
    const hmac = createHmac("sha256", Buffer.from(KEY, "base64"));
    const signature = hmac.update(`${RESOURCE}\n${expiry}`).digest("base64");
    const encoded = encodeURIComponent(signature);
    const token = `SharedAccessSignature se=${expiry}&sig=${encoded}&sr=${RESOURCE}`;
    device.connect(password(token));
    expect(device.take()).toMatchObject([{ cmd: "connack", returnCode: 0 }]);
  });

  test("the log tells the fields of the user name", () => {
    const lab = new Lab();
    const query = "api-version=2021-04-12&model-id=dtmi:a:b;1&DeviceClientType=my%20agent%2F1";
    lab.connected("d1", { username: `${HUB_NAME}/d1/?${query}`, keepalive: 240 });
    expect(lab.log("connect")[0]).toEqual({
      type: "connect",
      at: "2026-01-01T00:00:00.000Z",
      deviceId: "d1",
      remote: "10.0.0.9",
      sessionPresent: false,
      clean: false,
      keepAlive: 240,
      apiVersion: "2021-04-12",
      clientType: "my agent/1",
      modelId: "dtmi:a:b;1",
    });
    expect(lab.hub.getDevice("d1").connectionState).toBe("Connected");
  });
});
