// Telemetry, tested: schedule, content, ids, and what it says when the queue is full.
// Neighbours: `src/core/telemetry.ts`, outbox and lamps; the wire is tested with `delivery`.
// Invariant: messages are read back from the outbox or from the packets sent.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Lamps } from "../../src/core/lamps.ts";
import { type Bounds, WhenFull } from "../../src/core/outbox.ts";
import { Fate } from "../../src/core/tally.ts";
import { Telemetry } from "../../src/core/telemetry.ts";
import { lamp, puback, Rig, settings } from "../rig.ts";
import { Stock } from "./stock.ts";
import { World } from "./world.ts";

const TEXT = new TextDecoder();

interface Subject extends World {
  stock: Stock;
  telemetry: Telemetry;
}

const QUIET = { intervalS: 0, priority: 7, ttlS: 0 };

function telemetry(intervalS: number, bounds: Partial<Bounds> = {}, more = {}): Subject {
  const world = new World();
  const { effects } = world;
  const stock = new Stock({ effects, bounds });
  const lamps = new Lamps(effects, [lamp("LED1"), lamp("LED2", true)]);
  const given = { ...QUIET, intervalS, ...more };
  const one = new Telemetry(effects, stock.outbox, lamps, "b00t", given);
  return Object.assign(world, { stock, telemetry: one });
}

/** Takes the messages that wait, acknowledged at once. */
function taken({ stock }: Subject): { topic: string; body: Record<string, unknown> }[] {
  const messages = [];
  const { window, outbox } = stock;
  stock.settle();
  for (stock.fill(); window.hasNext(); stock.fill()) {
    const { bytes, topicStart, topicEnd, payloadEnd } = window;
    const topic = TEXT.decode(bytes.subarray(topicStart, topicEnd));
    const body = JSON.parse(TEXT.decode(bytes.subarray(topicEnd, payloadEnd)));
    messages.push({ topic, body });
    window.sent(1, 0);
    outbox.release(1);
  }
  return messages;
}

test("a message says what, when and for how long; its topic carries id and type", () => {
  const one = telemetry(10);
  one.telemetry.start(5000);
  one.telemetry.onDeadline(15_000, 1_700_000_000.9);
  expect(taken(one)).toEqual([
    {
      topic: "devices/dev1/messages/events/%24.mid=b00t.1&%24.ct=application%2Fjson&%24.ce=utf-8",
      body: { sequence: 1, time: "2023-11-14T22:13:20Z", uptimeS: 10, LED1: false, LED2: true },
    },
  ]);
});

test("priority and time to live are those of the settings", () => {
  const one = telemetry(10, {}, { priority: 2, ttlS: 60 });
  one.telemetry.start(0);
  one.telemetry.onDeadline(10_000, 1_700_000_000.9);
  one.stock.settle();
  const [message] = one.stock.outbox.journal.ledger.load(2, 0, 1);
  expect(message?.expiresS).toBe(1_700_000_060);
});

describe("schedule", () => {
  test("every interval from the start, not a millisecond early", () => {
    const one = telemetry(10);
    one.telemetry.start(3);
    expect(one.telemetry.deadlineMs).toBe(10_003);
    one.telemetry.onDeadline(10_002, 0);
    expect(taken(one)).toEqual([]);
    one.telemetry.onDeadline(10_003, 0);
    expect(one.telemetry.deadlineMs).toBe(20_003);
  });

  test("a stall makes one message late, never a burst, and the rhythm stays", () => {
    const late = fc.nat(10_000_000);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 86_400 }), late, (intervalS, lateMs) => {
        const intervalMs = 1000 * intervalS;
        const one = telemetry(intervalS);
        one.telemetry.start(0);
        const nowMs = intervalMs + lateMs;
        one.telemetry.onDeadline(nowMs, 0);
        expect(one.telemetry.sequence).toBe(1);
        expect(one.telemetry.deadlineMs).toBeGreaterThan(nowMs);
        expect(one.telemetry.deadlineMs - nowMs).toBeLessThanOrEqual(intervalMs);
        expect(one.telemetry.deadlineMs % intervalMs).toBe(0);
      }),
    );
  });

  test("0 makes none, and a new interval counts from its coming", () => {
    const one = telemetry(0);
    one.telemetry.start(0);
    expect(one.telemetry.deadlineMs).toBe(Number.POSITIVE_INFINITY);
    one.telemetry.onDeadline(1e12, 0);
    expect(one.telemetry.sequence).toBe(0);
    one.telemetry.configure({ ...QUIET, intervalS: 2 }, 500);
    expect(one.telemetry.deadlineMs).toBe(2500);
    one.telemetry.configure(QUIET, 600);
    expect(one.telemetry.deadlineMs).toBe(Number.POSITIVE_INFINITY);
  });

  test("a reload that leaves the interval as it was puts no message off", () => {
    const rig = new Rig(settings({ telemetry: { intervalS: 10 } }));
    rig.turn.start();
    for (let at = 0; at < 10; at++) {
      rig.pass(4000);
      rig.turn.onSettings(rig.given);
    }
    expect(rig.tally(Fate.ACCEPTED)).toBe(4);
  });
});

test("offline messages are made and kept, then sent in order, each with its own id", () => {
  const rig = new Rig(settings({ telemetry: { intervalS: 1 }, data: { inFlightMax: 100 } }));
  rig.turn.start();
  rig.pass(5000);
  rig.turn.onSigned("x");
  rig.secure();
  rig.turn.onData(Uint8Array.of(0x20, 2, 0, 0));
  const ids = rig.messages().map((one) => /mid=(.*?)&/.exec(one.topic)![1]);
  expect(ids).toEqual(["b00t.1", "b00t.2", "b00t.3", "b00t.4", "b00t.5"]);
});

test("a full queue is complained of once, and once it is over that is said", () => {
  const one = telemetry(1, { countMax: 2, whenFull: WhenFull.REFUSE });
  one.telemetry.start(0);
  for (let at = 1; at <= 5; at++) one.telemetry.onDeadline(at * 1000, 0);
  expect(one.logs()).toEqual(["telemetry is refused: the queue is full"]);
  taken(one);
  one.effects.count = 0;
  one.telemetry.onDeadline(6000, 0);
  one.telemetry.onDeadline(7000, 0);
  expect(one.logs()).toEqual(["telemetry is accepted again"]);
  // Refused ones have their numbers, too: a consumer sees the gap.
  expect(taken(one).map(({ body }) => body.sequence)).toEqual([6, 7]);
});

test("a message that is too long is told from a full queue", () => {
  const one = telemetry(1, { messageBytesMax: 50 });
  one.telemetry.start(0);
  one.telemetry.onDeadline(1000, 0);
  expect(one.logs()).toEqual(["telemetry is refused: the message is too long"]);
});

test("lamps show as their pins are", () => {
  const rig = new Rig(settings({ telemetry: { intervalS: 10 } }));
  rig.online();
  rig.pinFault = "LED1: broken";
  rig.push({ LED1: true }, 2);
  rig.sent();
  rig.pass(10_000);
  const [message] = rig.messages();
  expect(JSON.parse(message!.payload)).toMatchObject({ LED1: false });
  rig.turn.onData(puback(message!.identifier));
});
