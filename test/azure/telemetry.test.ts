/**
 * Device-to-cloud messages: topics, bags, QoS, acknowledgements (azure.md 4.3 to 4.5). Neighbours:
 * `lab.ts`; `close.test.ts` has what may not be published. Invariant: what the log shows is what
 * the device sent, decoded once.
 */
import { describe, expect, test } from "bun:test";
import { generate } from "mqtt-packet";
import { Lab } from "./lab.ts";
import { decodeBag, encodeBag } from "./model/bag.ts";

describe("message", () => {
  test("is logged with its properties", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    device.telemetry('{"t":1}', "%24.ct=application%2Fjson&$.ce=utf-8&$.mid=1.2&room=a%20b");
    expect(lab.log("telemetry")).toEqual([
      {
        type: "telemetry",
        at: "2026-01-01T00:00:00.000Z",
        deviceId: "d1",
        topic:
          "devices/d1/messages/events/%24.ct=application%2Fjson&$.ce=utf-8&$.mid=1.2&room=a%20b",
        properties: {
          app: { room: "a b" },
          system: { contentType: "application/json", contentEncoding: "utf-8", messageId: "1.2" },
        },
        payload: '{"t":1}',
        encoding: "utf8",
        bytes: 7,
        qos: 1,
        dup: false,
        retain: false,
        packetId: 1,
      },
    ]);
    expect(device.take()).toMatchObject([{ cmd: "puback", messageId: 1 }]);
  });

  test("with QoS 0 is not acknowledged, and may lack the trailing slash", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    device.publish("devices/d1/messages/events", "a");
    expect(device.take()).toEqual([]);
    expect(lab.log("telemetry")).toMatchObject([{ payload: "a", qos: 0, packetId: 0 }]);
  });

  test("that is no UTF-8 is logged in base64", () => {
    const lab = new Lab();
    lab.connected("d1").publish("devices/d1/messages/events/", Buffer.from([255, 0, 1]));
    expect(lab.log("telemetry")).toMatchObject([{ payload: "/wAB", encoding: "base64", bytes: 3 }]);
  });

  test("with DUP or RETAIN says so in its properties", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    const topic = "devices/d1/messages/events/a=b";
    const head = { cmd: "publish", topic, payload: "", qos: 1, messageId: 3 } as const;
    device.send({ ...head, dup: true, retain: true });
    const [message] = lab.log("telemetry");
    expect(message).toMatchObject({ dup: true, retain: true, packetId: 3 });
    expect(message!.properties.app).toEqual({ a: "b", "mqtt-dup": "true", "mqtt-retain": "true" });
  });

  test("many in one read are acknowledged in one write, in order", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    device.writes.length = 0;
    const topic = "devices/d1/messages/events/";
    const head = { cmd: "publish", topic, payload: "x", qos: 1 } as const;
    const ids = [7, 300, 65_535, 1];
    const packets = ids.map((messageId) =>
      generate({ ...head, messageId, dup: false, retain: false }),
    );
    device.connection.onData(Buffer.concat(packets));
    expect(device.writes).toHaveLength(1);
    expect(device.take().map((packet) => packet.messageId)).toEqual(ids);
  });

  test("arriving byte by byte is the same as arriving whole", () => {
    const lab = new Lab();
    const device = lab.connected("d1");
    const topic = "devices/d1/messages/events/a=ä";
    const head = { cmd: "publish", topic, payload: "äöü", qos: 1, messageId: 9 } as const;
    const shared = new Uint8Array(1);
    for (const byte of generate({ ...head, dup: false, retain: false })) {
      shared[0] = byte;
      device.connection.onData(shared);
    }
    const [message] = lab.log("telemetry");
    expect(message).toMatchObject({ payload: "äöü", packetId: 9 });
    expect(message!.properties.app).toEqual({ a: "ä" });
  });
});

describe("bag", () => {
  const decoded: [string, object, object][] = [
    ["", {}, {}],
    ["a=1&b=2", { a: "1", b: "2" }, {}],
    ["a&b=&c=d=e", { a: null, b: "", c: "d=e" }, {}],
    ["a=1+2", { a: "1+2" }, {}],
    ["%24.cid=x&$.ctime=y&$.exp=z", {}, { correlationId: "x", creationTime: "y", expiry: "z" }],
    ["$.unknown=1", {}, { "$.unknown": "1" }],
    ["a%26b=c%3Dd", { "a&b": "c=d" }, {}],
    ["__proto__=x", JSON.parse('{"__proto__":"x"}'), {}],
  ];
  for (const [text, app, system] of decoded) {
    test(`decodes ${JSON.stringify(text)}`, () => {
      expect(JSON.stringify(decodeBag(text))).toBe(JSON.stringify({ app, system }));
    });
  }

  for (const text of ["a=%", "%zz=1", "a=%e4", "=x", "$.mid=%f"]) {
    test(`refuses ${text}`, () => {
      expect(decodeBag(text)).toBeString();
    });
  }

  test("encodes everything but unreserved characters", () => {
    const pairs: [string, string | null][] = [
      ["$.mid", "a b"],
      ["k!'()*", "/?#[]@"],
      ["flag", null],
    ];
    expect(encodeBag(pairs, false)).toBe("%24.mid=a%20b&k%21%27%28%29%2A=%2F%3F%23%5B%5D%40&flag");
    expect(encodeBag(pairs, true)).toStartWith("$.mid=a%20b&");
  });
});
