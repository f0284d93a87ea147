// Delivery, tested: QoS 1 messages over whole connections that come and go.
// Neighbours: `session`, `outbox` and `agent` in src/core work together here.
// Invariant: what a test expects is what the hub would see on the wire, in its order.

import { expect, test } from "bun:test";
import { Cause } from "../../src/core/effects.ts";
import { Refused, WhenFull } from "../../src/core/outbox.ts";
import type { Settings } from "../../src/core/settings.ts";
import { Fate } from "../../src/core/tally.ts";
import { messageBytes } from "../../src/kit/key.ts";
import { connack, puback, publish, Rig, type Sent, SIGNATURE, settings, suback } from "../rig.ts";

/** A rig with `count` messages accepted before the first connection stands. */
function loaded(count: number, window = 8): Rig {
  const rig = new Rig(settings({ data: { inFlightMax: window } }));
  rig.greet();
  rig.accept(...Array.from({ length: count }, (_, index) => `m${index + 1}`));
  return rig;
}

function brief(messages: readonly Sent[]): string[] {
  return messages.map(({ payload, identifier, flags }) => {
    // QoS 1 without RETAIN; DUP or not.
    expect([2, 10]).toContain(flags);
    return `${payload}#${identifier}${flags === 10 ? " dup" : ""}`;
  });
}

test("the window is respected and filled again by each PUBACK", () => {
  const rig = loaded(6, 3);
  rig.turn.onData(connack());
  expect(brief(rig.messages())).toEqual(["m1#2", "m2#3", "m3#4"]);
  rig.acknowledge(2);
  expect(brief(rig.messages())).toEqual(["m4#5"]);
  rig.turn.onData(Uint8Array.from([...puback(3), ...puback(4)]));
  expect(brief(rig.messages())).toEqual(["m5#6", "m6#7"]);
});

test("PUBACKs in any order release each its message", () => {
  const rig = loaded(3);
  rig.turn.onData(connack());
  const { outbox, counters } = rig.turn.agent.machines;
  for (const identifier of [4, 2, 3]) rig.turn.onData(puback(identifier));
  const { inFlight } = outbox.window;
  expect([rig.tally(Fate.ACKNOWLEDGED), inFlight, outbox.isEmpty]).toEqual([3, 0, true]);
  rig.turn.onData(puback(2));
  expect(counters.stray).toBe(1);
  expect(rig.tally(Fate.ACKNOWLEDGED)).toBe(3);
});

test("after a loss: DUP, the same identifiers, the same order, none that was acknowledged", () => {
  const rig = loaded(5, 4);
  rig.turn.onData(connack());
  expect(brief(rig.messages())).toEqual(["m1#2", "m2#3", "m3#4", "m4#5"]);
  rig.turn.onData(puback(3));
  expect(brief(rig.messages())).toEqual(["m5#6"]);
  rig.close(Cause.TCP_RESET);
  rig.redial();
  rig.secure();
  rig.turn.onData(connack(0, true));
  expect(brief(rig.messages())).toEqual(["m1#2 dup", "m3#4 dup", "m4#5 dup", "m5#6 dup"]);
  rig.accept("m6");
  rig.turn.onData(puback(2));
  // 7 is the new SUBSCRIBE's.
  expect(brief(rig.messages())).toEqual(["m6#8"]);
});

test("redelivery over several losses keeps identifier and order", () => {
  const rig = loaded(2, 2);
  for (let round = 0; round < 4; round++) {
    rig.turn.onData(connack(0, true));
    const dup = round === 0 ? "" : " dup";
    expect(brief(rig.messages())).toEqual([`m1#2${dup}`, `m2#3${dup}`]);
    rig.close(Cause.TCP_RESET);
    rig.redial();
    rig.secure();
  }
  expect(rig.turn.agent.machines.outbox.window.redelivered).toBe(6);
});

test("messages go out before the SUBACK", () => {
  const rig = loaded(1);
  rig.turn.onData(connack());
  expect(rig.sent().map((one) => one.type)).toEqual([1, 8, 3]);
});

test("a SUBACK that does not fit ends the connection and says so", () => {
  const cases: readonly (readonly [readonly number[], string])[] = [
    [[0x80, 0], "the hub refused a subscription to the twin"],
    [[0], "the hub broke the MQTT protocol"],
    [[0, 1], "the hub broke the MQTT protocol"],
  ];
  for (const [codes, text] of cases) {
    const rig = loaded(0);
    rig.turn.onData(connack());
    rig.turn.onData(suback(1, codes));
    expect(rig.take()).toContain("abort");
    expect(rig.turn.agent.machines.verdict.text).toStartWith(text);
  }
});

test("what a full transmit buffer leaves out keeps its turn and its identifier", () => {
  const rig = new Rig(settings({ data: { inFlightMax: 100 } }));
  rig.greet();
  rig.socketRoom = 0;
  rig.turn.onData(connack());
  const big = "x".repeat(200_000);
  // The third would fit, but then the reserve would not.
  rig.accept(`1${big}`, `2${big}`, `3${big.slice(0, 100_000)}`, `4${big}`);
  expect(rig.turn.agent.machines.outbox.window.inFlight).toBe(2);
  // Acknowledgements, pings and twin requests still find room.
  rig.turn.onData(suback(1));
  rig.socketRoom = Number.POSITIVE_INFINITY;
  rig.turn.onWritable();
  const sent = rig.sent().filter((one) => one.type === 3);
  const names = sent.map((one) => `${one.payload[0] ?? "get"}#${one.identifier}`);
  expect(names).toEqual(["1#2", "2#3", "get#0", "3#4", "4#5"]);
});

test("a reload changes the window of the connection that stands", () => {
  const rig = loaded(6, 4);
  rig.turn.onData(connack());
  expect(brief(rig.messages())).toHaveLength(4);
  rig.turn.onSettings(settings({ data: { inFlightMax: 1 } }));
  rig.acknowledge(2, 3, 4);
  expect(brief(rig.messages())).toEqual([]);
  rig.turn.onSettings(settings({ data: { inFlightMax: 3 } }));
  expect(brief(rig.messages())).toEqual(["m5#6", "m6#7"]);
});

/** A rig that has asked for the signature of its renewal; nothing is in flight. */
function beforeRenewal(data: Partial<Settings["data"]> = {}): Rig {
  const rig = new Rig(settings({ data: { inFlightMax: 2, ...data } }));
  rig.online();
  rig.answerReport();
  rig.toRenewal();
  return rig;
}

test("renewal waits for what is in flight, then DISCONNECT, CONNECT; nothing is lost", () => {
  const rig = beforeRenewal();
  rig.accept("a", "b", "c");
  rig.turn.onSigned(SIGNATURE);
  // a and b are in flight, c waits; the renewal sends nothing more and does not close yet.
  const first = rig.messages();
  expect(brief(first).map((one) => one[0])).toEqual(["a", "b"]);
  expect(rig.take()).not.toContain("end");
  rig.turn.onData(puback(first[0]!.identifier));
  expect(rig.sent()).toEqual([]);
  rig.turn.onData(puback(first[1]!.identifier));
  expect(rig.sent().map((one) => one.type)).toEqual([14]);
  expect(rig.take()).toEqual(["end"]);
  rig.close();
  expect(rig.take()).toEqual(["open"]);
  rig.secure();
  rig.turn.onData(connack(0, true));
  const [message] = rig.messages();
  expect(brief([message!])[0]).toMatch(/^c#\d+$/);
});

test("renewal with a full backlog accepts what fits, refuses the rest and loses nothing", () => {
  const { data } = settings({});
  const bytesMax = 1_000_000;
  const bounds = { ...data.bounds, bytesMax, whenFull: WhenFull.REFUSE };
  const rig = beforeRenewal({ bounds });
  rig.turn.onSigned(SIGNATURE);
  expect(rig.take()).toContain("end");
  const { outbox } = rig.turn.agent.machines;
  const before = rig.tally(Fate.ACCEPTED);
  const text = "x".repeat(200_000);
  let fits = 0;
  while (rig.offer(text) === Refused.NO) fits++;
  expect(fits).toBe(Math.floor(bytesMax / messageBytes(0, text.length)));
  rig.turn.onWritable();
  rig.settle();
  rig.sent();
  rig.close();
  rig.secure();
  rig.turn.onData(connack(0, true));
  let delivered = 0;
  for (let open = rig.messages(); open.length > 0; open = rig.messages()) {
    expect(open.every((message) => message.payload.length === text.length)).toBe(true);
    delivered += open.length;
    rig.acknowledge(...open.map(({ identifier }) => identifier));
  }
  expect(delivered).toBe(fits);
  expect(outbox.isEmpty).toBe(true);
  expect(rig.tally(Fate.ACCEPTED) - before).toBe(fits);
});

test("a hub that withholds a PUBACK cannot hold up the renewal: DISCONNECT, then DUP", () => {
  const rig = beforeRenewal();
  rig.accept("a");
  rig.turn.onSigned(SIGNATURE);
  const [message] = rig.messages();
  rig.pass(10_000);
  expect(rig.sent().at(-1)!.type).toBe(14);
  rig.close();
  rig.secure();
  rig.turn.onData(connack(0, true));
  expect(brief(rig.messages())).toEqual([`a#${message!.identifier} dup`]);
});

test("a PUBACK that arrives behind our DISCONNECT still counts, a PUBLISH waits", () => {
  const rig = beforeRenewal();
  rig.accept("a");
  rig.turn.onSigned(SIGNATURE);
  const [message] = rig.messages();
  rig.pass(10_000);
  rig.sent();
  const c2d = publish("devices/dev1/messages/devicebound/%24.to=x", "hello", 9);
  rig.turn.onData(Uint8Array.from([...puback(message!.identifier), ...c2d]));
  // MQTT-3.14.4-1: nothing follows DISCONNECT, not even an acknowledgement.
  expect(rig.sent()).toEqual([]);
  expect(rig.turn.agent.machines.outbox.isEmpty).toBe(true);
  expect(rig.turn.agent.machines.counters.stray).toBe(1);
});

test("a stop gives what is in flight its time; what waits stays in the store", () => {
  const rig = loaded(3, 2);
  rig.turn.onData(connack());
  expect(brief(rig.messages())).toEqual(["m1#2", "m2#3"]);
  rig.turn.stop();
  rig.turn.onData(puback(2));
  expect(rig.sent()).toEqual([]);
  expect(rig.take()).not.toContain("exit 0");
  rig.turn.onData(puback(3));
  expect(rig.sent().map((one) => one.type)).toEqual([14]);
  rig.close();
  expect(rig.take(true)).toEqual([
    "end",
    "log 5 stopped; 1 message waits for the next start",
    "exit 0",
  ]);
  expect(rig.shelf.size).toBe(1);
});

test("nothing is sent before the disk has it, and then at once", () => {
  const rig = loaded(0);
  rig.turn.onData(connack());
  rig.offer("m1");
  rig.turn.onWritable();
  expect(rig.messages()).toEqual([]);
  rig.settle();
  expect(brief(rig.messages())).toEqual(["m1#2"]);
  rig.offer("m2");
  rig.turn.onWritable();
  rig.offer("m3");
  rig.turn.onWritable();
  expect(rig.messages()).toEqual([]);
  // m3 came while the sync of m2 was in the air, and has one of its own.
  rig.shelf.answer();
  rig.turn.onStoreSynced("");
  expect(brief(rig.messages())).toEqual(["m2#3"]);
  rig.settle();
  expect(brief(rig.messages())).toEqual(["m3#4"]);
});

test("a rate limit wakes for each message, and never while a stop waits", () => {
  const drain = { sharePercent: 20, limit: { average: 1, unitMs: 1000, burst: 1 } };
  const rig = new Rig(settings({ data: { drain } }));
  rig.greet();
  rig.accept("m1", "m2", "m3");
  rig.turn.onData(connack());
  expect(brief(rig.messages())).toEqual(["m1#2"]);
  rig.pass(1000);
  expect(brief(rig.messages())).toEqual(["m2#3"]);
  rig.turn.stop();
  const before = rig.nowMs;
  // The next thing to happen is the end of the quiesce, not a wake to send.
  rig.pass(2000);
  expect(rig.alarmMs).toBeGreaterThan(before + 2000);
  expect(rig.messages()).toEqual([]);
});
