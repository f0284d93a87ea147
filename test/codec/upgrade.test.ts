// Tests of src/codec/upgrade.ts: the request, and every way in which an answer can fall short.
// Neighbours: head.test.ts has the reading of heads; core/websocket.test.ts what follows.
// Invariant: key, accept and rules are those of RFC 6455 and of MQTT 3.1.1, section 6.

import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  acceptText,
  UpgradeAnswer,
  UpgradeOutcome,
  upgradeRequest,
  WEBSOCKET_PATH,
} from "../../src/codec/upgrade.ts";

// The example of RFC 6455, 1.3.
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const FIELDS: readonly string[] = [
  "Upgrade: websocket",
  "Connection: Upgrade",
  `Sec-WebSocket-Accept: ${ACCEPT}`,
  "Sec-WebSocket-Protocol: mqtt",
];

function answered(fields: readonly string[], status = "101 Switching Protocols"): UpgradeAnswer {
  const answer = new UpgradeAnswer(ACCEPT);
  const text = [`HTTP/1.1 ${status}`, ...fields, "", ""].join("\r\n");
  answer.feed(new Uint8Array(Buffer.from(text)));
  return answer;
}

const outcome = (answer: UpgradeAnswer): UpgradeOutcome => answer.feed(new Uint8Array(0));

test("the accept text hashes to the standard's example", () => {
  expect(createHash("sha1").update(acceptText(KEY)).digest("base64")).toBe(ACCEPT);
});

describe("the request", () => {
  test("is that of IoT Hub", () => {
    expect(upgradeRequest("hub.example", 443, WEBSOCKET_PATH, KEY)).toBe(
      [
        "GET /$iothub/websocket?iothub-no-client-cert=true HTTP/1.1",
        "Host: hub.example",
        "Upgrade: websocket",
        "Connection: Upgrade",
        `Sec-WebSocket-Key: ${KEY}`,
        "Sec-WebSocket-Protocol: mqtt",
        "Sec-WebSocket-Version: 13",
        "User-Agent: azimuth",
        "",
        "",
      ].join("\r\n"),
    );
  });

  test("names a port that is not 443, and an address in brackets", () => {
    expect(upgradeRequest("::1", 8443, "/", KEY)).toContain("\r\nHost: [::1]:8443\r\n");
    expect(upgradeRequest("::1", 443, "/", KEY)).toContain("\r\nHost: [::1]\r\n");
  });

  test.each([
    ["a b", "/"],
    ["h", "/a b"],
    ["h", "/\r\nX: y"],
    ["h", "path"],
    ["", "/"],
  ])("cannot be made to %j for %j", (host, path) => {
    expect(upgradeRequest(host, 443, path, KEY)).toBe("");
  });
});

describe("the answer", () => {
  test("is taken whole, in any case of letters, with more in its lists", () => {
    const loud = [
      "UPGRADE: WebSocket",
      "connection: keep-alive, upgrade",
      `sec-websocket-accept: ${ACCEPT}`,
      "Sec-WebSocket-Protocol: MQTT",
    ];
    for (const fields of [FIELDS, loud]) {
      expect(UpgradeOutcome[outcome(answered(fields))]).toBe("DONE");
    }
  });

  const flaws: readonly (readonly [string, number, string, string])[] = [
    ["no Upgrade", 0, "X: y", "101 without Upgrade: websocket"],
    ["another Upgrade", 0, "Upgrade: h2c", "101 without Upgrade: websocket"],
    ["two of them", 0, "Upgrade: websocket, h2c", "101 without Upgrade: websocket"],
    ["no Connection", 1, "X: y", "101 without Connection: Upgrade"],
    ["another Connection", 1, "Connection: close", "101 without Connection: Upgrade"],
    ["no Accept", 2, "X: y", "wrong Sec-WebSocket-Accept"],
    ["another Accept", 2, `Sec-WebSocket-Accept: ${KEY}`, "wrong Sec-WebSocket-Accept"],
    [
      "Accept in another case",
      2,
      `Sec-WebSocket-Accept: ${ACCEPT.toLowerCase()}`,
      "wrong Sec-WebSocket-Accept",
    ],
    ["no protocol", 3, "X: y", "subprotocol mqtt not taken"],
    ["another protocol", 3, "Sec-WebSocket-Protocol: amqp", "subprotocol mqtt not taken"],
    ["two protocols", 3, "Sec-WebSocket-Protocol: mqtt, amqp", "subprotocol mqtt not taken"],
  ];
  test.each(flaws)("with %s is broken", (_, at, instead, detail) => {
    const answer = answered(FIELDS.with(at, instead));
    expect(UpgradeOutcome[outcome(answer)]).toBe("BROKEN");
    expect(answer.detail).toBe(detail);
  });

  test("with two Accepts or an extension is broken", () => {
    const twice = answered([...FIELDS, `Sec-WebSocket-Accept: ${ACCEPT}`]);
    expect(twice.detail).toBe("wrong Sec-WebSocket-Accept");
    const extended = answered([...FIELDS, "Sec-WebSocket-Extensions: permessage-deflate"]);
    expect(extended.detail).toBe("an extension not asked for");
  });

  test("with another status is a refusal, whatever else it says", () => {
    for (const status of ["200 OK", "302 Found", "401 Unauthorized", "404 Not Found", "503 Busy"]) {
      const answer = answered(FIELDS, status);
      expect(UpgradeOutcome[outcome(answer)]).toBe("REFUSED");
      expect([answer.status, answer.detail]).toEqual([Number(status.slice(0, 3)), status]);
    }
  });

  test("of something else is broken; half of one is not decided", () => {
    const answer = new UpgradeAnswer(ACCEPT);
    expect(answer.feed(new Uint8Array(Buffer.from("HTTP/1.1 101 Yes\r\n")))).toBe(
      UpgradeOutcome.MORE,
    );
    expect(answer.feed(new Uint8Array(Buffer.from("junk\r\n\r\n")))).toBe(UpgradeOutcome.BROKEN);
    expect(answer.detail).toBe("no HTTP answer");
  });

  test("ends where frames begin", () => {
    const answer = new UpgradeAnswer(ACCEPT);
    const head = ["HTTP/1.1 101 Yes", ...FIELDS, "", ""].join("\r\n");
    expect(answer.feed(new Uint8Array(Buffer.from(`${head}\x82\x00`, "latin1")))).toBe(
      UpgradeOutcome.DONE,
    );
    expect(answer.taken).toBe(head.length);
  });
});
