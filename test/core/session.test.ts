// Session, tested: its table cell by cell, identifiers, and all of it against a naive model.
// Neighbours: `src/core/session.ts`; `delivery` tests it on whole connections.
// Invariant: what went out is read from the bytes that were written.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Cause } from "../../src/core/effects.ts";
import { Outbox } from "../../src/core/outbox.ts";
import { Session, SessionState } from "../../src/core/session.ts";
import { PUBACK_MS, SUBACK_MS } from "../../src/limits.ts";
import { walkTable } from "./table.ts";
import { World } from "./world.ts";

const SUBSCRIPTIONS = { filters: ["a/#", "b/#"], qos: [0, 1] as const };
const TOPIC = new TextEncoder().encode("t");

/** An outbox that tells what became of its messages. */
class Watched extends Outbox {
  constructor(private readonly words: string[]) {
    super(new Uint8Array(1024 * 1024), 1024, 1000);
  }
  override rewind(): void {
    this.words.push("rewind");
    super.rewind();
  }
  override release(identifier: number): boolean {
    const released = super.release(identifier);
    if (released) this.words.push("release");
    return released;
  }
}

interface Subject extends World {
  outbox: Outbox;
  session: Session;
}

function subject(window = 8): Subject {
  const world = new World();
  const outbox = new Watched(world.words);
  const { writer, counters } = world;
  const session = new Session(writer, outbox, counters, SUBSCRIPTIONS, window);
  return Object.assign(world, { outbox, session });
}

function accept({ outbox }: Subject, count = 1): void {
  for (let at = 0; at < count; at++) outbox.accept(TOPIC, new Uint8Array([at]));
}

/** The identifier of our SUBSCRIBE is the first there is. */
function suback1({ session }: Subject, codes: readonly number[]): string {
  const bytes = Uint8Array.from(codes);
  return nameOf(session.onSuback(1, bytes, 0, bytes.length));
}

function nameOf(cause: Cause): string {
  return cause === Cause.NONE ? "" : Cause[cause]!;
}

function upAt(nowMs: number): Subject {
  const one = subject();
  one.session.onUp(nowMs);
  return one;
}

function readyAt(nowMs: number): Subject {
  const one = upAt(nowMs);
  suback1(one, [0, 1]);
  return one;
}

/** With message 2 in flight on this connection since `nowMs`. */
function pumped(one: Subject, nowMs: number): Subject {
  accept(one);
  one.session.pump(nowMs);
  return one;
}

walkTable<Subject>({
  file: "core/session.ts",
  states: { OFF: subject, SUBSCRIBING: () => upAt(0), READY: () => readyAt(0) },
  stateOf: ({ session }) => SessionState[session.state]!,
  events: {
    onUp: ({ session }) => void session.onUp(1),
    "suback ok": (one) => suback1(one, [0, 0]),
    "suback refused": (one) => suback1(one, [0, 0x80]),
    "suback odd": (one) => suback1(one, [0]),
    "suback overdue": ({ session }) => nameOf(session.onDeadline(SUBACK_MS)),
    "puback overdue": (one) => {
      pumped(one, 0).look();
      return nameOf(one.session.onDeadline(PUBACK_MS));
    },
    puback: (one) => {
      pumped(one, 0).look();
      one.session.onPuback(2);
      return undefined;
    },
    pump: (one) => void pumped(one, 1),
    onDown: ({ session }) => void session.onDown(),
  },
  look: (one) => one.look(),
});

describe("SUBACK", () => {
  const cases: readonly (readonly [readonly number[], string])[] = [
    [[0, 0], "granting less than asked"],
    [[0, 1], "granting what was asked"],
  ];
  for (const [codes, what] of cases) {
    test(`${what} is taken`, () => expect(suback1(upAt(0), codes)).toBe(""));
  }

  test("granting more than asked, or too few or too many, breaks the protocol", () => {
    for (const codes of [[1, 1], [0, 2], [0], [0, 0, 0], []]) {
      expect(suback1(upAt(0), codes)).toBe("PROTOCOL_VIOLATION");
    }
  });

  test("0x80 for any filter is a refusal", () => {
    for (const codes of [
      [0x80, 0],
      [0, 0x80],
    ]) {
      expect(suback1(upAt(0), codes)).toBe("SUBSCRIBE_REFUSED");
    }
  });

  test("of another identifier is counted, and the right one still taken", () => {
    const one = upAt(0);
    expect(one.session.onSuback(9, new Uint8Array([0, 0]), 0, 2)).toBe(Cause.NONE);
    expect(one.session.state).toBe(SessionState.SUBSCRIBING);
    expect(one.counters.stray).toBe(1);
    expect(suback1(one, [0, 0])).toBe("");
    expect(one.session.state).toBe(SessionState.READY);
  });
});

describe("deadlines", () => {
  test("SUBACK and PUBACK each have their time to the millisecond", () => {
    const one = upAt(100);
    expect(one.session.nextMs).toBe(100 + SUBACK_MS);
    expect(one.session.onDeadline(100 + SUBACK_MS - 1)).toBe(Cause.NONE);
    expect(one.session.onDeadline(100 + SUBACK_MS)).toBe(Cause.SUBACK_TIMEOUT);
    const two = pumped(readyAt(0), 200);
    expect(two.session.nextMs).toBe(200 + PUBACK_MS);
    expect(two.session.onDeadline(200 + PUBACK_MS - 1)).toBe(Cause.NONE);
    expect(two.session.onDeadline(200 + PUBACK_MS)).toBe(Cause.PUBACK_TIMEOUT);
  });

  test("the oldest message counts, and the next one when it is acknowledged", () => {
    const one = pumped(pumped(readyAt(0), 10), 20);
    one.session.onPuback(2);
    expect(one.session.nextMs).toBe(20 + PUBACK_MS);
    one.session.onPuback(3);
    expect(one.session.nextMs).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("identifiers", () => {
  test("count from 1, wrap from 65535 to 1 and pass over those of messages in flight", () => {
    const one = readyAt(0);
    const { outbox, session, writer } = one;
    const seen: number[] = [];
    const sent = outbox.sent.bind(outbox);
    outbox.sent = (identifier, nowMs) => {
      seen.push(identifier);
      sent(identifier, nowMs);
    };
    for (let at = 0; at < 0xfffc; at++) {
      writer.reset();
      pumped(one, 0);
      session.onPuback(seen.at(-1)!);
    }
    expect(seen.slice(0, 3)).toEqual([2, 3, 4]);
    // As if left in flight by an earlier connection.
    for (const identifier of [2, 0xffff]) {
      accept(one);
      sent(identifier, 0);
    }
    writer.reset();
    for (let at = 0; at < 3; at++) pumped(one, 0);
    expect(seen.slice(-4)).toEqual([0xfffd, 0xfffe, 1, 3]);
  });

  test("the one of an unanswered SUBSCRIBE is not used by a message", () => {
    const one = upAt(0);
    const { outbox, session, writer } = one;
    const used = new Set<number>();
    const sent = outbox.sent.bind(outbox);
    outbox.sent = (identifier, nowMs) => {
      used.add(identifier);
      sent(identifier, nowMs);
      session.onPuback(identifier);
    };
    for (let at = 0; at < 0x1_0002; at++) {
      writer.reset();
      pumped(one, 0);
    }
    expect(used.size).toBe(0xfffe);
    expect(used.has(1)).toBe(false);
  });
});

interface Message {
  readonly number: number;
  identifier: number;
}

/** The PUBLISH packets written since the last call; the payload is the message's number. */
function published({ writer }: Subject): { dup: boolean; identifier: number; number: number }[] {
  const found = [];
  const { bytes, end } = writer;
  for (let at = writer.start; at < end; at += 2 + bytes[at + 1]!) {
    if (bytes[at]! >> 4 !== 3) continue;
    const identifier = (bytes[at + 5]! << 8) | bytes[at + 6]!;
    const number = (bytes[at + 7]! << 8) | bytes[at + 8]!;
    found.push({ dup: (bytes[at]! & 8) !== 0, identifier, number });
  }
  writer.reset();
  return found;
}

/** What a session has to do, the long way round. */
class Model {
  private readonly queue: Message[] = [];
  private sentHere = new Set<Message>();

  constructor(private readonly window: number) {}

  accept(number: number): void {
    this.queue.push({ number, identifier: 0 });
  }

  onDown(): void {
    this.sentHere = new Set();
  }

  /** Holds what was sent against what should have been. */
  sent(got: ReturnType<typeof published>): void {
    for (const { dup, identifier, number } of got) {
      const next = this.queue.find((message) => !this.sentHere.has(message))!;
      expect(number).toBe(next.number);
      expect(dup).toBe(next.identifier !== 0);
      if (dup) expect(identifier).toBe(next.identifier);
      else expect(this.queue.map((message) => message.identifier)).not.toContain(identifier);
      expect(identifier).toBeGreaterThan(0);
      next.identifier = identifier;
      this.sentHere.add(next);
    }
    const isMore = this.queue.some((message) => !this.sentHere.has(message));
    const inFlight = this.queue.filter((message) => this.sentHere.has(message)).length;
    expect(inFlight).toBeLessThanOrEqual(this.window);
    if (isMore) expect(inFlight).toBe(this.window);
  }

  /** The identifier of the n-th message in flight, which leaves; 0 when there is none. */
  release(n: number): number {
    const inFlight = this.queue.filter((message) => this.sentHere.has(message));
    const message = inFlight[n % Math.max(inFlight.length, 1)];
    if (message === undefined) return 0;
    this.queue.splice(this.queue.indexOf(message), 1);
    return message.identifier;
  }
}

test("window, order, identifiers and DUP are right, whatever comes when", () => {
  const accepted = fc.constant("accept" as const);
  const event = fc.oneof(
    { weight: 3, arbitrary: accepted },
    fc.constant("down" as const),
    fc.nat(9),
  );
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 120, size: "max" }),
      fc.integer({ min: 1, max: 5 }),
      (run, window) => {
        const one = subject(window);
        const model = new Model(window);
        let count = 0;
        one.session.onUp(0);
        for (const step of run) {
          if (step === "accept") {
            one.outbox.accept(TOPIC, Uint8Array.of(count >> 8, count));
            model.accept(count++);
          } else if (step === "down") {
            one.session.onDown();
            model.onDown();
            one.writer.reset();
            one.session.onUp(0);
          } else {
            const identifier = model.release(step);
            if (identifier !== 0) one.session.onPuback(identifier);
          }
          one.session.pump(0);
          model.sent(published(one));
        }
        expect(one.counters.stray).toBe(0);
      },
    ),
  );
});
