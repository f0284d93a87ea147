// Window, tested against a queue that keeps each message as an object of its own.
// Neighbours: `src/core/window.ts`; `session` sends from it, `delivery` tests both on the wire.
// Invariant: the model shares nothing with the byte ring; bytes are compared one by one.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Message as Stored } from "../../src/core/effects.ts";
import { Window } from "../../src/core/window.ts";
import { Broken } from "../../src/kit/assert.ts";

const NONE = new Uint8Array(0);

/** `length` bytes that nothing else has. */
function bytes(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (seed * 31 + at * 7 + 1) & 0xff);
}

/** Stages topic and body; the bag is what comes behind the first byte of the topic. */
function stage(window: Window, topic: Uint8Array, body: Uint8Array, sequence = 1): boolean {
  const bag = String.fromCharCode(...topic.subarray(1));
  const message: Stored = { sequence, priority: 7, acceptedS: 0, expiresS: 0, bag, body };
  return window.stage(topic.subarray(0, 1), message);
}

/** The message at the cursor, copied. */
function next(window: Window): { topic: Uint8Array; payload: Uint8Array } {
  const { topicStart, topicEnd, payloadEnd } = window;
  return {
    topic: window.bytes.slice(topicStart, topicEnd),
    payload: window.bytes.slice(topicEnd, payloadEnd),
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
  redelivered = 0;

  accept(topic: Uint8Array, payload: Uint8Array): void {
    const fresh = { identifier: 0, isSent: false, sentMs: 0, isReleased: false };
    this.queue.push({ topic, payload, ...fresh });
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

  release(identifier: number): Message | undefined {
    const message = this.inFlight.find((one) => one.identifier === identifier);
    if (message === undefined) return undefined;
    message.isReleased = true;
    while (this.queue[0]?.isReleased) this.queue.shift();
    return message;
  }

  rewind(): void {
    for (const message of this.queue) message.isSent = false;
  }
}

/** Holds everything that can be asked of an window against the model. */
function compare(window: Window, model: Model): void {
  const { inFlight, open } = model;
  expect(window.inFlight).toBe(inFlight.length);
  expect(window.waiting).toBe(open.length - inFlight.length);
  expect(window.isEmpty).toBe(open.length === 0);
  expect(window.count).toBe(open.length);
  expect(window.redelivered).toBe(model.redelivered);
  expect(window.open.map(({ body }) => body)).toEqual(open.map(({ payload }) => payload));
  const oldest = Math.min(...inFlight.map((message) => message.sentMs));
  expect(window.oldestSentMs).toBe(oldest);
  const topic = open[0]?.topic ?? NONE;
  expect(window.oldestTopic()).toBe(
    Array.from(topic, (byte) => String.fromCharCode(byte)).join(""),
  );
  const owners = open.filter((message) => message.identifier !== 0);
  for (const { identifier } of owners) expect(window.owns(identifier)).toBe(true);
  const upcoming = model.next;
  expect(window.hasNext()).toBe(upcoming !== undefined);
  if (upcoming === undefined) return;
  expect(window.identifier).toBe(upcoming.identifier);
  expect(next(window)).toEqual({ topic: upcoming.topic, payload: upcoming.payload });
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
        const window = new Window(new Uint8Array(61), slots);
        const model = new Model();
        let clock = 0;
        let identifier = 0;
        for (const { kind, topic, n } of steps) {
          clock++;
          if (kind === "accept") {
            const [name, payload] = [bytes(topic, clock), bytes(n, clock + 5)];
            const isStaged = stage(window, name, payload);
            if (model.queue.length === 0) expect(isStaged).toBe(true);
            if (isStaged) model.accept(name, payload);
          } else if (kind === "send" && window.hasNext()) {
            if (window.identifier === 0) identifier++;
            const under = window.identifier === 0 ? identifier : window.identifier;
            window.sent(under, clock);
            model.send(under, clock);
          } else if (kind === "release") {
            // Now and then one that nobody has.
            const { inFlight } = model;
            const known = n < 9 ? inFlight[n % Math.max(inFlight.length, 1)] : undefined;
            const under = known?.identifier ?? 4000 + n;
            const released = window.release(under);
            expect(released?.body).toEqual(model.release(under)?.payload);
            if (under < 4000) expect(window.owns(under)).toBe(false);
          } else if (kind === "rewind") {
            window.rewind();
            model.rewind();
          }
          compare(window, model);
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
      const window = new Window(new Uint8Array(256), 16);
      let identifier = 0;
      let lengthsHeld: number[] = [];
      for (const length of lengths) {
        expect(stage(window, bytes(length, identifier), NONE)).toBe(true);
        lengthsHeld.push(length);
        window.sent(++identifier, 0);
        if (lengthsHeld.length < held) continue;
        window.release(identifier - held + 1);
        lengthsHeld = lengthsHeld.slice(1);
      }
      expect(window.inFlight).toBe(lengthsHeld.length);
    }),
  );
});

describe("bounds", () => {
  test("a full ring of slots or bytes refuses, and takes again what is released", () => {
    const bySlots = new Window(new Uint8Array(1000), 4);
    for (let at = 0; at < 4; at++) expect(stage(bySlots, bytes(1, at), NONE)).toBe(true);
    expect(stage(bySlots, bytes(1, 9), NONE)).toBe(false);
    bySlots.sent(1, 0);
    bySlots.release(1);
    expect(stage(bySlots, bytes(1, 9), NONE)).toBe(true);
    const byBytes = new Window(new Uint8Array(100), 64);
    expect(stage(byBytes, bytes(50, 1), bytes(50, 2))).toBe(true);
    expect(stage(byBytes, bytes(1, 3), NONE)).toBe(false);
    byBytes.sent(1, 0);
    byBytes.release(1);
    expect(stage(byBytes, bytes(100, 3), NONE)).toBe(true);
  });

  test("the last byte is of use, before the wrap and behind it", () => {
    const window = new Window(new Uint8Array(100), 8);
    let identifier = 0;
    const pass = () => {
      window.sent(++identifier, 0);
      window.release(identifier);
    };
    for (const length of [60, 40]) expect(stage(window, bytes(length, 1), NONE)).toBe(true);
    pass();
    expect(stage(window, bytes(61, 2), NONE)).toBe(false);
    for (const length of [30, 30]) expect(stage(window, bytes(length, 3), NONE)).toBe(true);
    expect(stage(window, bytes(1, 4), NONE)).toBe(false);
    expect(next(window).topic).toEqual(bytes(40, 1));
    pass();
    expect(stage(window, bytes(40, 5), NONE)).toBe(true);
    expect(stage(window, bytes(1, 6), NONE)).toBe(false);
    for (const [length, seed] of [
      [30, 3],
      [30, 3],
      [40, 5],
    ] as const) {
      expect(next(window).topic).toEqual(bytes(length, seed));
      pass();
    }
    expect(window.isEmpty).toBe(true);
  });

  test("a topic may be as long as MQTT has it, and no longer", () => {
    const window = new Window(new Uint8Array(200_000), 8);
    const message = { sequence: 1, priority: 7, acceptedS: 0, expiresS: 0, body: NONE };
    const bag = (length: number) => "x".repeat(length - 1);
    expect(() => window.stage(bytes(1, 1), { ...message, bag: bag(0x1_0000) })).toThrow(Broken);
    expect(window.stage(bytes(1, 1), { ...message, bag: bag(0xffff) })).toBe(true);
  });

  test("a refused message leaves everything as it was", () => {
    const window = new Window(new Uint8Array(20), 8);
    stage(window, bytes(10, 1), NONE);
    stage(window, bytes(11, 2), NONE);
    expect(window.waiting).toBe(1);
    expect(next(window).topic).toEqual(bytes(10, 1));
  });

  test("a message without topic, and slots that are no power of two, are defects", () => {
    const message = { sequence: 1, priority: 7, acceptedS: 0, expiresS: 0, bag: "", body: NONE };
    expect(() => new Window(new Uint8Array(10), 8).stage(NONE, message)).toThrow(Broken);
    expect(() => new Window(new Uint8Array(10), 6)).toThrow(Broken);
  });
});

test("what waits is counted without what was released behind an older message", () => {
  const window = new Window(new Uint8Array(100), 8);
  for (let at = 1; at <= 3; at++) {
    stage(window, bytes(1, at), NONE);
    window.sent(at, at);
  }
  window.release(2);
  window.release(3);
  expect([window.waiting, window.inFlight]).toEqual([0, 1]);
  window.rewind();
  expect([window.waiting, window.inFlight]).toEqual([1, 0]);
});

test("a released message does not come back after a loss", () => {
  const window = new Window(new Uint8Array(100), 8);
  for (let at = 1; at <= 3; at++) {
    stage(window, bytes(1, at), NONE);
    window.sent(at, at);
  }
  window.release(2);
  window.rewind();
  const order: number[] = [];
  while (window.hasNext()) {
    order.push(window.identifier);
    window.sent(window.identifier, 9);
  }
  expect(order).toEqual([1, 3]);
});

test("what is taken back comes from the last to the first, with whether it was ever sent", () => {
  const window = new Window(new Uint8Array(100), 8);
  for (let at = 1; at <= 4; at++) stage(window, bytes(1, at), NONE, at);
  for (let at = 1; at <= 3; at++) window.sent(at, at);
  window.release(2);
  expect(() => window.clear(() => {})).toThrow(Broken);
  window.rewind();
  const taken: string[] = [];
  window.clear(({ sequence }, wasSent) => taken.push(`${sequence} ${wasSent}`));
  expect(taken).toEqual(["4 false", "3 true", "1 true"]);
  expect([window.count, window.isEmpty, window.hasNext(), window.owns(1)]).toEqual([
    0,
    true,
    false,
    false,
  ]);
  expect(stage(window, bytes(1, 5), NONE)).toBe(true);
  expect(window.identifier).toBe(0);
});
