// Turn, tested: sockets that take little, chunks of any cut, everything a hub may do wrong.
// Neighbours: `src/turn.ts` with all machines; `rig` is its world; `disorder` adds chance.
// Invariant: the same story told through a bad socket ends in the same bytes.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AgentState } from "../src/core/agent.ts";
import { Cause } from "../src/core/effects.ts";
import { Fate } from "../src/core/tally.ts";
import { EFFECT_SLOTS, LAMPS_MAX, PACKET_BYTES_MAX } from "../src/limits.ts";
import {
  connack,
  lamp,
  packet,
  pingresp,
  puback,
  publish,
  Rig,
  SIGNATURE,
  settings,
  suback,
} from "./rig.ts";

const BOUND = "devices/dev1/messages/devicebound/";
const WIDE = settings({ data: { inFlightMax: 100 } });

/** A story with messages, acknowledgements, twin and reports, all answered. */
function story(rig: Rig, between: (rig: Rig) => void): number[] {
  const step = (act: () => void): void => {
    act();
    between(rig);
  };
  step(() => rig.greet());
  rig.accept("before", "x".repeat(5000));
  step(() => rig.turn.onData(connack()));
  step(() => rig.turn.onData(suback(1)));
  step(() => rig.turn.onData(publish(BOUND, "hello", 21)));
  step(() => rig.answerGet({ LED1: true }, 1));
  step(() => rig.answerReport());
  for (let at = 0; at < 20; at++) {
    step(() => rig.accept(`${at}`.repeat(at * 7 + 1)));
    step(() => rig.turn.onData(puback(at + 2)));
  }
  return rig.stream;
}

describe("a socket that takes little at a time", () => {
  const whole = story(new Rig(WIDE), () => {});

  test("gets every byte, in order, once", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1 }), (rooms) => {
        const rig = new Rig(WIDE);
        rig.socketRoom = rooms[0]!;
        let turn = 0;
        const bytes = story(rig, () => {
          // Until all is out: the world waits here, so that the story stays the same.
          for (let before = -1; before !== rig.stream.length; ) {
            before = rig.stream.length;
            rig.socketRoom = rooms[++turn % rooms.length]!;
            rig.turn.onWritable();
          }
        });
        expect(bytes).toEqual(whole);
      }),
      { numRuns: 30 },
    );
  });

  test("or nothing for a while, gets all when it takes bytes again", () => {
    const rig = new Rig(WIDE);
    rig.greet();
    rig.socketRoom = 0;
    rig.turn.onData(connack());
    rig.accept("a", "b", "c");
    rig.turn.onData(suback(1));
    expect(rig.messages()).toEqual([]);
    rig.socketRoom = Number.POSITIVE_INFINITY;
    rig.turn.onWritable();
    const texts = rig.sent().filter((one) => one.type === 3);
    // The twin was asked for in the same turn, behind what waited already.
    expect(texts.map((one) => one.payload)).toEqual(["a", "b", "c", ""]);
  });

  test("gets DISCONNECT whole before its end", () => {
    const rig = new Rig();
    rig.online();
    rig.answerReport();
    rig.socketRoom = 1;
    rig.take();
    rig.turn.stop();
    expect(rig.take()).toEqual([]);
    rig.socketRoom = 1;
    rig.turn.onWritable();
    expect(rig.take()).toEqual(["end"]);
    expect(rig.stream.slice(-2)).toEqual([0xe0, 0]);
  });

  test("what it did not take of an old connection never reaches the next", () => {
    const rig = new Rig();
    rig.online();
    rig.answerReport();
    rig.socketRoom = 3;
    rig.accept("lost in part");
    rig.close(Cause.TCP_RESET);
    rig.socketRoom = Number.POSITIVE_INFINITY;
    rig.redial();
    rig.sent();
    rig.secure();
    rig.turn.onData(connack());
    expect(rig.sent().map((one) => one.type)).toEqual([1, 8, 3]);
  });
});

test("all that one input causes leaves in one write", () => {
  const rig = new Rig(WIDE);
  rig.greet();
  rig.accept(...Array.from({ length: 50 }, (_, index) => `m${index}`));
  const { writes } = rig;
  rig.turn.onData(connack());
  expect(rig.writes).toBe(writes + 1);
  expect(rig.messages()).toHaveLength(50);
});

describe("what comes in", () => {
  test("may be cut anywhere", () => {
    const hub = [
      connack(0, true),
      publish(BOUND, "stored", 4),
      suback(1),
      publish("$iothub/twin/res/200/?$rid=1", '{"desired":{"LED1":true,"$version":3}}'),
      publish("$iothub/twin/res/204/?$rid=2&$version=2", ""),
      publish("$iothub/twin/PATCH/properties/desired/?$version=4", '{"LED1":false}'),
      publish(BOUND, "x".repeat(300), 5),
      pingresp(),
    ];
    const bytes = Uint8Array.from(hub.flatMap((one) => [...one]));
    const run = (cuts: readonly number[]) => {
      const rig = new Rig();
      rig.greet();
      rig.take();
      let from = 0;
      for (const to of [...cuts, bytes.length]) {
        rig.turn.onData(bytes.slice(from, to));
        from = to;
      }
      const out = rig.sent().filter((one) => one.topic !== "" || one.type === 4);
      return [rig.take(), out.map((one) => one.topic || one.identifier), rig.stream.length];
    };
    // One packet a chunk: between two chunks a turn ends, which is when reports are made.
    const sizes = hub.map((one) => one.length);
    const ends = sizes.map((_, at) => sizes.slice(0, at + 1).reduce((a, b) => a + b, 0));
    const expected = run(ends);
    const cut = fc.nat(bytes.length);
    fc.assert(
      fc.property(fc.array(cut, { maxLength: 20, size: "max" }), (cuts) => {
        expect(run([...cuts, ...ends].sort((a, b) => a - b))).toEqual(expected);
      }),
    );
  });

  test("before TLS stands, or after the end, is dropped", () => {
    const rig = new Rig();
    rig.turn.start();
    rig.turn.onData(connack());
    rig.turn.onSigned(SIGNATURE);
    rig.turn.onData(connack());
    rig.turn.onOpened();
    rig.turn.onData(connack());
    expect(rig.turn.agent.state).toBe(AgentState.LINKING);
    rig.close(Cause.TCP_RESET);
    rig.turn.onData(connack());
    expect(rig.turn.agent.machines.counters.packetsIn).toBe(0);
  });
});

describe("a packet that no hub may send ends the connection and is named", () => {
  const long = Uint8Array.of(0x30, 0x80, 0x80, 0x80, 0x01, 0, 1, 0x61);
  const cases: readonly (readonly [string, Uint8Array, string])[] = [
    ["reserved type 0", packet(0x00, []), "reserved type 0 or 15"],
    ["reserved type 15", packet(0xf0, []), "reserved type 0 or 15"],
    ["CONNECT", packet(0x10, [0]), "only a client may send"],
    ["SUBSCRIBE", packet(0x82, [0]), "only a client may send"],
    ["PINGREQ", packet(0xc0, []), "only a client may send"],
    ["DISCONNECT", packet(0xe0, []), "only a client may send"],
    ["PUBREC", packet(0x50, [0, 1]), "no QoS 2 exchange"],
    ["PUBACK with flags", packet(0x42, [0, 1]), "reserved flag bits"],
    ["QoS 3", packet(0x36, [0, 1, 0x61, 0, 1]), "QoS 3"],
    ["QoS 2", packet(0x34, [0, 1, 0x61, 0, 1]), "QoS 2"],
    ["DUP at QoS 0", packet(0x38, [0, 1, 0x61]), "DUP at QoS 0"],
    ["a second CONNACK", connack(), "second CONNACK"],
    ["a long length", Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0xff, 1), "more than four bytes"],
    ["a padded length", Uint8Array.of(0xd0, 0x80, 0), "not in its shortest form"],
    ["PINGRESP with a body", packet(0xd0, [1]), "cannot have"],
    ["an empty topic", packet(0x30, [0, 0, 1]), "empty topic"],
    ["a topic beyond its packet", packet(0x30, [0, 9, 0x61]), "longer than the packet"],
    ["a topic that is no UTF-8", packet(0x30, [0, 1, 0xff]), "not well-formed UTF-8"],
    ["U+0000", packet(0x30, [0, 1, 0]), "U+0000"],
    ["a wildcard", packet(0x30, [0, 1, 0x23]), "wildcard"],
    ["identifier 0", packet(0x32, [0, 1, 0x61, 0, 0]), "identifier 0"],
    ["a reserved SUBACK code", packet(0x90, [0, 1, 3]), "reserved return code"],
    ["too long", long, "packet larger than the receive buffer"],
  ];
  for (const [what, bytes, text] of cases) {
    test(what, () => {
      const rig = new Rig();
      rig.online();
      rig.take();
      rig.turn.onData(bytes);
      const { verdict } = rig.turn.agent.machines;
      expect(verdict.text).toContain(text);
      expect(rig.take()).toEqual(["abort"]);
      expect(rig.turn.agent.state).toBe(AgentState.WAITING);
    });
  }

  test("before CONNACK anything but CONNACK, and one that refuses and remembers", () => {
    for (const bytes of [
      pingresp(),
      suback(1),
      packet(0x20, [2, 0]),
      packet(0x20, [0, 6]),
      connack(5, true),
    ]) {
      const rig = new Rig();
      rig.greet();
      rig.turn.onData(bytes);
      expect(rig.turn.agent.machines.verdict.cause).toBe(Cause.PROTOCOL_VIOLATION);
    }
  });

  test("the largest packet that fits is taken, and one byte more is not", () => {
    for (const more of [0, 1]) {
      const rig = new Rig();
      rig.online();
      const overhead = 1 + 4 + 2 + BOUND.length;
      const payload = "x".repeat(PACKET_BYTES_MAX - overhead + 1 + more);
      rig.turn.onData(publish(BOUND, payload));
      expect(rig.turn.agent.state === AgentState.ONLINE).toBe(more === 0);
    }
  });
});

describe("effects", () => {
  test("of the largest document stay within their slots, whatever pins and wishes do", () => {
    const lamps = Array.from({ length: LAMPS_MAX }, (_, index) => lamp(`LED${index}`));
    const rig = new Rig(settings({ lamps }));
    rig.online();
    let version = 1;
    for (const fault of ["gone", "", "gone again", ""]) {
      for (const value of [true, false, "wrong"]) {
        rig.pinFault = fault;
        const desired = Object.fromEntries(lamps.map(({ name }) => [name, value]));
        expect(() => rig.push(desired, ++version)).not.toThrow();
        expect(() => rig.turn.onSettings(rig.given)).not.toThrow();
      }
    }
    expect(rig.take(true).length).toBeGreaterThan(EFFECT_SLOTS);
  });

  test("a port that calls back from inside a call is a defect", () => {
    const rig = new Rig();
    rig.turn.start();
    const push = rig.calls.push.bind(rig.calls);
    rig.calls.push = (...calls: string[]) => {
      if (calls[0]!.startsWith("reload")) rig.turn.onSettings(rig.given);
      return push(...calls);
    };
    expect(() => rig.turn.onCommand(1, ["reload"])).toThrow("calls back from inside");
  });

  test("the probe names the device as a path can carry it", () => {
    const rig = new Rig(settings({ endpoint: { deviceId: "a/b#1", httpsPort: 8443 } }));
    rig.greet();
    rig.turn.onData(connack(5));
    expect(rig.take().at(-1)).toBe(
      "probe hub.example:8443/devices/a%2Fb%231/messages/devicebound/0?api-version=2021-04-12",
    );
  });
});

test("each input happens at its own time, and leaves the alarm at what is due next", () => {
  const rig = new Rig(settings({ telemetry: { intervalS: 10 } }));
  const { turn } = rig;
  const inputs: readonly (() => void)[] = [
    () => turn.start(),
    () => turn.onSignFailed("locked"),
    () => turn.onAlarm(),
    () => turn.onCommand(1, ["connect"]),
    () => turn.onSigned(SIGNATURE),
    () => turn.onOpened(),
    () => turn.onSecured(),
    () => turn.onData(connack(5)),
    () => turn.onProbed({ dateS: rig.wallS, status: 401, errorCode: "" }),
    () => turn.onCommand(1, ["connect"]),
    () => turn.onSigned(SIGNATURE),
    () => rig.secure(),
    () => turn.onData(connack()),
    () => turn.onWritable(),
    () => turn.onSettings(rig.given),
    () => turn.onClosed(Cause.TCP_RESET, ""),
    () => turn.stop(),
  ];
  for (const input of inputs) {
    rig.nowMs += 7;
    rig.wallS += 0.007;
    rig.alarmMs = -1;
    input();
    expect([turn.agent.nowMs, turn.agent.wallS]).toEqual([rig.nowMs, rig.wallS]);
    expect(rig.alarmMs).toBe(turn.agent.nextMs);
  }
});

test("CONNECT leaves as soon as TLS stands", () => {
  const rig = new Rig();
  rig.greet();
  expect(rig.sent().map((one) => one.type)).toEqual([1]);
});

test("an alarm that rings too early does no harm", () => {
  const rig = new Rig(settings({ telemetry: { intervalS: 10 } }));
  rig.online();
  const before = rig.alarmMs;
  for (let at = 0; at < 100; at++) rig.turn.onAlarm();
  expect(rig.alarmMs).toBe(before);
  expect(rig.tally(Fate.ACCEPTED)).toBe(0);
});
