// Outbox, tested against a queue that keeps each message as an object of its own.
// Neighbours: `src/core/outbox.ts`; `session` sends from it, `delivery` tests both on the wire.
// Invariant: the model shares nothing with the byte ring; bytes are compared one by one.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Outbox, Refused } from "../../src/core/outbox.ts";
import { Broken } from "../../src/kit/assert.ts";

const NONE = new Uint8Array(0);

/** `length` bytes that nothing else has. */
function bytes(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (seed * 31 + at * 7 + 1) & 0xff);
}

/** The message at the cursor, copied. */
function next(outbox: Outbox): { topic: Uint8Array; payload: Uint8Array } {
  const { topicStart, topicEnd, payloadEnd } = outbox;
  return {
    topic: outbox.bytes.slice(topicStart, topicEnd),
    payload: outbox.bytes.slice(topicEnd, payloadEnd),
  };
}

interface Message {
  readonly topic: Uint8Array;
  readonly payload: Uint8Array;
  identifier: number;
  isSent: boolean;
  sentMs: number;
  isReleased: boolean;
}

/** The same promises, kept with plain objects. */
class Model {
  queue: Message[] = [];
  accepted = 0;
  acknowledged = 0;
  redelivered = 0;

  accept(topic: Uint8Array, payload: Uint8Array): void {
    const fresh = { identifier: 0, isSent: false, sentMs: 0, isReleased: false };
    this.queue.push({ topic, payload, ...fresh });
    this.accepted++;
  }

  get open(): Message[] {
    return this.queue.filter((message) => !message.isReleased);
  }

  get inFlight(): Message[] {
    return this.open.filter((message) => message.isSent);
  }

  get next(): Message | undefined {
    return this.open.find((message) => !message.isSent);
  }

  send(identifier: number, nowMs: number): void {
    const message = this.next!;
    if (message.identifier !== 0) this.redelivered++;
    Object.assign(message, { identifier, isSent: true, sentMs: nowMs });
  }

  release(identifier: number): boolean {
    const message = this.inFlight.find((one) => one.identifier === identifier);
    if (message === undefined) return false;
    message.isReleased = true;
    this.acknowledged++;
    while (this.queue[0]?.isReleased) this.queue.shift();
    return true;
  }

  rewind(): void {
    for (const message of this.queue) message.isSent = false;
  }
}

/** Holds everything that can be asked of an outbox against the model. */
function compare(outbox: Outbox, model: Model): void {
  const { inFlight, open } = model;
  expect(outbox.inFlight).toBe(inFlight.length);
  expect(outbox.waiting).toBe(open.length - inFlight.length);
  expect(outbox.isEmpty).toBe(open.length === 0);
  const { accepted, acknowledged, redelivered } = model;
  const { accepted: a, acknowledged: b, redelivered: c } = outbox;
  expect([a, b, c]).toEqual([accepted, acknowledged, redelivered]);
  const oldest = Math.min(...inFlight.map((message) => message.sentMs));
  expect(outbox.oldestSentMs).toBe(oldest);
  const topic = open[0]?.topic ?? NONE;
  expect(outbox.oldestTopic()).toBe(
    Array.from(topic, (byte) => String.fromCharCode(byte)).join(""),
  );
  const owners = open.filter((message) => message.identifier !== 0);
  for (const { identifier } of owners) expect(outbox.owns(identifier)).toBe(true);
  const upcoming = model.next;
  expect(outbox.hasNext()).toBe(upcoming !== undefined);
  if (upcoming === undefined) return;
  expect(outbox.identifier).toBe(upcoming.identifier);
  expect(next(outbox)).toEqual({ topic: upcoming.topic, payload: upcoming.payload });
}

const accept = fc.record({
  kind: fc.constant("accept"),
  topic: fc.integer({ min: 1, max: 12 }),
  n: fc.oneof(fc.nat(6), fc.nat(20)),
});
const other = (kind: string) =>
  fc.record({ kind: fc.constant(kind), topic: fc.nat(), n: fc.nat(9) });
const step = fc.oneof(
  { weight: 6, arbitrary: accept },
  { weight: 6, arbitrary: other("send") },
  { weight: 5, arbitrary: other("release") },
  { weight: 1, arbitrary: other("rewind") },
);

test("behaves as the model does, whatever is asked in whatever order", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 250, size: "max" }),
      fc.constantFrom(2, 8, 64),
      (steps, slots) => {
        const outbox = new Outbox(new Uint8Array(61), slots, 24);
        const model = new Model();
        let clock = 0;
        let identifier = 0;
        for (const { kind, topic, n } of steps) {
          clock++;
          if (kind === "accept") {
            const [name, payload] = [bytes(topic, clock), bytes(n, clock + 5)];
            const refused = outbox.accept(name, payload);
            if (topic + n > 24) expect(refused).toBe(Refused.TOO_LONG);
            else if (model.queue.length === 0) expect(refused).toBe(Refused.NO);
            if (refused === Refused.NO) model.accept(name, payload);
          } else if (kind === "send" && outbox.hasNext()) {
            if (outbox.identifier === 0) identifier++;
            const under = outbox.identifier === 0 ? identifier : outbox.identifier;
            outbox.sent(under, clock);
            model.send(under, clock);
          } else if (kind === "release") {
            // Now and then one that nobody has.
            const { inFlight } = model;
            const known = n < 9 ? inFlight[n % Math.max(inFlight.length, 1)] : undefined;
            const under = known?.identifier ?? 4000 + n;
            expect(outbox.release(under)).toBe(model.release(under));
            if (under < 4000) expect(outbox.owns(under)).toBe(false);
          } else if (kind === "rewind") {
            outbox.rewind();
            model.rewind();
          }
          compare(outbox, model);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("accepts whatever fits in a row, and refuses only what does not", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 30 }), {
    minLength: 1,
    maxLength: 200,
    size: "max",
  });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 6 }), (lengths, held) => {
      // A ring with `held` of the newest messages in it, as in the middle of a busy day.
      const outbox = new Outbox(new Uint8Array(256), 16, 30);
      let identifier = 0;
      let lengthsHeld: number[] = [];
      for (const length of lengths) {
        expect(outbox.accept(bytes(length, identifier), NONE)).toBe(Refused.NO);
        lengthsHeld.push(length);
        outbox.sent(++identifier, 0);
        if (lengthsHeld.length < held) continue;
        outbox.release(identifier - held + 1);
        lengthsHeld = lengthsHeld.slice(1);
      }
      expect(outbox.inFlight).toBe(lengthsHeld.length);
    }),
  );
});

describe("bounds", () => {
  test("a full ring of slots or bytes refuses, and takes again what is released", () => {
    const bySlots = new Outbox(new Uint8Array(1000), 4, 100);
    for (let at = 0; at < 4; at++) expect(bySlots.accept(bytes(1, at), NONE)).toBe(Refused.NO);
    expect(bySlots.accept(bytes(1, 9), NONE)).toBe(Refused.FULL);
    bySlots.sent(1, 0);
    bySlots.release(1);
    expect(bySlots.accept(bytes(1, 9), NONE)).toBe(Refused.NO);
    const byBytes = new Outbox(new Uint8Array(100), 64, 100);
    expect(byBytes.accept(bytes(50, 1), bytes(50, 2))).toBe(Refused.NO);
    expect(byBytes.accept(bytes(1, 3), NONE)).toBe(Refused.FULL);
    byBytes.sent(1, 0);
    byBytes.release(1);
    expect(byBytes.accept(bytes(100, 3), NONE)).toBe(Refused.NO);
    expect([bySlots.refused, byBytes.refused]).toEqual([1, 1]);
  });

  test("the last byte is of use, before the wrap and behind it", () => {
    const outbox = new Outbox(new Uint8Array(100), 8, 100);
    let identifier = 0;
    const pass = () => {
      outbox.sent(++identifier, 0);
      outbox.release(identifier);
    };
    for (const length of [60, 40]) expect(outbox.accept(bytes(length, 1), NONE)).toBe(Refused.NO);
    pass();
    expect(outbox.accept(bytes(61, 2), NONE)).toBe(Refused.FULL);
    for (const length of [30, 30]) expect(outbox.accept(bytes(length, 3), NONE)).toBe(Refused.NO);
    expect(outbox.accept(bytes(1, 4), NONE)).toBe(Refused.FULL);
    expect(next(outbox).topic).toEqual(bytes(40, 1));
    pass();
    expect(outbox.accept(bytes(40, 5), NONE)).toBe(Refused.NO);
    expect(outbox.accept(bytes(1, 6), NONE)).toBe(Refused.FULL);
    for (const [length, seed] of [
      [30, 3],
      [30, 3],
      [40, 5],
    ] as const) {
      expect(next(outbox).topic).toEqual(bytes(length, seed));
      pass();
    }
    expect(outbox.isEmpty).toBe(true);
  });

  test("a message has at most so many bytes, topic and payload together", () => {
    const outbox = new Outbox(new Uint8Array(1000), 8, 100);
    expect(outbox.accept(bytes(1, 1), bytes(100, 2))).toBe(Refused.TOO_LONG);
    expect(outbox.accept(bytes(1, 1), bytes(99, 2))).toBe(Refused.NO);
    const large = new Outbox(new Uint8Array(200_000), 8, 200_000);
    expect(large.accept(bytes(0x1_0000, 1), NONE)).toBe(Refused.TOO_LONG);
    expect(large.accept(bytes(0xffff, 1), NONE)).toBe(Refused.NO);
  });

  test("a refused message leaves everything as it was", () => {
    const outbox = new Outbox(new Uint8Array(20), 8, 20);
    outbox.accept(bytes(10, 1), NONE);
    outbox.accept(bytes(11, 2), NONE);
    expect(outbox.waiting).toBe(1);
    expect(next(outbox).topic).toEqual(bytes(10, 1));
  });

  test("a message without topic, and slots that are no power of two, are defects", () => {
    expect(() => new Outbox(new Uint8Array(10), 8, 10).accept(NONE, bytes(1, 1))).toThrow(Broken);
    expect(() => new Outbox(new Uint8Array(10), 6, 10)).toThrow(Broken);
  });
});

test("what waits is counted without what was released behind an older message", () => {
  const outbox = new Outbox(new Uint8Array(100), 8, 10);
  for (let at = 1; at <= 3; at++) {
    outbox.accept(bytes(1, at), NONE);
    outbox.sent(at, at);
  }
  outbox.release(2);
  outbox.release(3);
  expect([outbox.waiting, outbox.inFlight]).toEqual([0, 1]);
  outbox.rewind();
  expect([outbox.waiting, outbox.inFlight]).toEqual([1, 0]);
});

test("a released message does not come back after a loss", () => {
  const outbox = new Outbox(new Uint8Array(100), 8, 10);
  for (let at = 1; at <= 3; at++) {
    outbox.accept(bytes(1, at), NONE);
    outbox.sent(at, at);
  }
  outbox.release(2);
  outbox.rewind();
  const order: number[] = [];
  while (outbox.hasNext()) {
    order.push(outbox.identifier);
    outbox.sent(outbox.identifier, 9);
  }
  expect(order).toEqual([1, 3]);
});
