// Traffic, tested on a rig: each packet of the hub finds its taker, and is answered as it must be.
// Neighbours: `src/core/traffic.ts` and the machines below it, which have tests of their own.
// Invariant: the hub's packets are made by hand, what goes out is read from the socket.

import { describe, expect, test } from "bun:test";
import { Cause } from "../../src/core/effects.ts";
import { METHOD_RID_BYTES_MAX } from "../../src/limits.ts";
import { connack, packet, pingresp, puback, publish, Rig, suback } from "../rig.ts";

const BOUND = "devices/dev1/messages/devicebound/%24.to=%2Fdevices%2Fdev1";
const C2D = "a cloud-to-device message arrived; nothing here takes such messages";
const METHOD = "the direct method reboot was called; nothing here takes method calls";
const UNKNOWN = "the hub published to a topic that is none of an IoT Hub's: ";

/** Several packets in one chunk. */
function chunk(...packets: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(packets.flatMap((one) => [...one]));
}

/** Up to CONNECT, nothing sent in view. */
function greeted(): Rig {
  const rig = new Rig();
  rig.greet();
  rig.sent();
  rig.take();
  return rig;
}

/** In step, with all answered and nothing in view. */
function settled(): Rig {
  const rig = new Rig();
  rig.online();
  rig.answerReport();
  rig.sent();
  rig.take();
  return rig;
}

/** PUBACKs sent since the last look. */
function pubacks(rig: Rig): number[] {
  return rig.sent().flatMap((one) => (one.type === 4 ? [one.identifier] : []));
}

describe("cloud-to-device messages left from an earlier session", () => {
  test("right behind CONNACK, before SUBACK: acknowledged in their order", () => {
    const rig = greeted();
    rig.turn.onData(chunk(connack(0, true), publish(BOUND, "1", 7), publish(BOUND, "2", 3)));
    expect(pubacks(rig)).toEqual([7, 3]);
    expect(rig.logs().slice(1)).toEqual([C2D]);
    expect(rig.turn.agent.machines.counters.unhandled).toBe(2);
  });

  test("QoS 0 is not acknowledged", () => {
    const rig = settled();
    rig.turn.onData(publish(BOUND, "x"));
    expect(rig.sent()).toEqual([]);
    expect(rig.logs()).toEqual([C2D]);
  });

  test("a duplicate is acknowledged again", () => {
    const rig = settled();
    const again = publish(BOUND, "x", 7);
    again[0] = again[0]! | 8;
    rig.turn.onData(chunk(publish(BOUND, "x", 7), again));
    expect(pubacks(rig)).toEqual([7, 7]);
  });

  test("another device's is none of ours, but acknowledged, or it would come for ever", () => {
    const rig = settled();
    rig.turn.onData(publish("devices/dev2/messages/devicebound/", "x", 9));
    expect(pubacks(rig)).toEqual([9]);
    expect(rig.logs()).toEqual([`${UNKNOWN}devices/dev2/messages/devicebound/`]);
  });

  test("a topic is shown in plain characters, and not at any length", () => {
    const rig = settled();
    rig.turn.onData(publish(`a \u001b\u00e9/${"x".repeat(200)}`, "x"));
    expect(rig.logs()).toEqual([`${UNKNOWN}a????/${"x".repeat(94)}...`]);
  });

  test("a flood of them is one line at once, and then one a minute that counts", () => {
    const rig = settled();
    rig.turn.onData(chunk(...Array.from({ length: 500 }, () => publish(BOUND, "x"))));
    expect(rig.logs()).toEqual([C2D]);
    rig.turn.onData(publish("$iothub/methods/POST/reboot/?$rid=1", "{}"));
    expect(rig.logs()).toEqual([METHOD]);
    rig.pass(59_999);
    rig.turn.onData(publish(BOUND, "x"));
    expect(rig.logs()).toEqual([]);
    rig.pass(1);
    rig.turn.onData(publish(BOUND, "x"));
    expect(rig.logs()).toEqual([`${C2D} (and 500 more like it since the line before)`]);
    rig.pass(60_000);
    rig.turn.onData(publish(BOUND, "x"));
    expect(rig.logs()).toEqual([C2D]);
    expect(rig.turn.agent.machines.counters.unhandled).toBe(504);
  });
});

describe("method calls", () => {
  const call = (rid: string) => publish(`$iothub/methods/POST/reboot/?$rid=${rid}`, "{}");

  test("are answered 404, with the request number as it came", () => {
    const rig = settled();
    rig.turn.onData(call("1f/=%20~"));
    const [answer] = rig.sent();
    expect(answer).toMatchObject({
      type: 3,
      flags: 0,
      topic: "$iothub/methods/res/404/?$rid=1f/=%20~",
      payload: '{"message":"this device has no such method"}',
    });
    expect(rig.logs()).toEqual([METHOD]);
  });

  test("with a request number that no answer could carry get none, and do no harm", () => {
    const longest = "r".repeat(METHOD_RID_BYTES_MAX);
    for (const [rid, count] of [
      [longest, 1],
      [`${longest}r`, 0],
      ["r".repeat(65_500), 0],
      ["é".repeat(20), 0],
      ["\u007f", 0],
    ] as const) {
      const rig = settled();
      rig.turn.onData(call(rid));
      expect(rig.sent()).toHaveLength(count);
      expect(rig.logs()).toEqual([METHOD]);
      expect(rig.turn.agent.machines.link.isUp).toBe(true);
    }
  });
});

describe("answers to nothing are counted and change nothing", () => {
  const strays: readonly (readonly [string, Uint8Array])[] = [
    ["PUBACK", puback(99)],
    ["SUBACK", suback(99)],
    ["SUBACK again", suback(1)],
    ["UNSUBACK", packet(0xb0, [0, 9])],
    ["PINGRESP", pingresp()],
    ["twin answer", publish("$iothub/twin/res/200/?$rid=77", "{}")],
    ["twin answer with the number of an earlier one", publish("$iothub/twin/res/204/?$rid=1", "")],
    ["twin answer without a number", publish("$iothub/twin/res/200/?$rid=x", "{}")],
  ];
  for (const [what, bytes] of strays) {
    test(what, () => {
      const rig = settled();
      const before = rig.turn.agent.machines.counters.stray;
      rig.turn.onData(bytes);
      expect(rig.turn.agent.machines.counters.stray).toBe(before + 1);
      expect(rig.sent()).toEqual([]);
      expect(rig.take(true)).toEqual([]);
    });
  }
});

test("a desired push before the twin was asked for is in the document that comes", () => {
  const rig = greeted();
  const push = publish("$iothub/twin/PATCH/properties/desired/?$version=8", '{"LED1":true}');
  rig.turn.onData(chunk(connack(0, true), push));
  expect(rig.take()).toEqual([]);
  rig.synchronise({ LED1: true }, 8);
  expect(rig.take()).toEqual(["drive 0 on"]);
});

test("200 packets in one chunk are all taken, in order, and answered in one write", () => {
  const rig = settled();
  const packets = Array.from({ length: 200 }, (_, index) => publish(BOUND, "x", index + 1));
  const writes = rig.writes;
  rig.turn.onData(chunk(...packets));
  expect(pubacks(rig)).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
  expect(rig.writes).toBe(writes + 1);
});

test("200 desired changes in one chunk end in the last, and one report tells it", () => {
  const rig = settled();
  const pushes = Array.from({ length: 200 }, (_, index) => {
    const topic = `$iothub/twin/PATCH/properties/desired/?$version=${index + 2}`;
    return publish(topic, `{"LED1":${index % 2 === 1}}`);
  });
  rig.turn.onData(chunk(...pushes));
  expect(rig.take()).toHaveLength(200);
  const [report, ...more] = rig.sent();
  expect(more).toEqual([]);
  expect(JSON.parse(report!.payload)).toEqual({
    LED1: { value: true, ac: 200, av: 201, ad: null },
  });
});

test("a hub that floods a stalled socket with messages is left, not answered without end", () => {
  const rig = settled();
  rig.socketRoom = 0;
  const flood = chunk(...Array.from({ length: 500 }, (_, index) => publish(BOUND, "", index + 1)));
  let rounds = 0;
  while (rig.turn.agent.machines.link.isUp && rounds < 1000) {
    rig.turn.onData(flood);
    rounds++;
  }
  expect(rounds).toBeLessThan(1000);
  expect(rig.turn.agent.machines.verdict.cause).toBe(Cause.SOCKET_FAILED);
  expect(rig.take()).toContain("abort");
});

test("a link that falls in the middle of a chunk leaves the rest of it unread", () => {
  const rig = greeted();
  const bad = suback(1, [0x80, 0]);
  rig.turn.onData(chunk(connack(), bad, publish(BOUND, "x", 5), publish(BOUND, "y", 6)));
  expect(rig.turn.agent.machines.counters.packetsIn).toBe(2);
  expect(rig.take()).toEqual(["abort"]);
  rig.redial();
  rig.reconnect();
  expect(rig.turn.agent.machines.link.isUp).toBe(true);
});

test("one that falls in a chunk while the token is renewed dials at once, and reads anew", () => {
  const rig = settled();
  rig.toRenewal();
  rig.accept("m");
  rig.turn.onSigned("x");
  rig.take();
  rig.turn.onData(
    chunk(publish("$iothub/twin/res/200/?$rid=9", "{}"), packet(0x00, []), [0x20, 9] as never),
  );
  expect(rig.take()).toEqual(["abort", "open"]);
  rig.reconnect();
  expect(rig.turn.agent.machines.link.isUp).toBe(true);
});
