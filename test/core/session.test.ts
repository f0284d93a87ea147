// Session, tested: its table cell by cell, identifiers, and all of it against a naive model.
// Neighbours: `src/core/session.ts`; `delivery` tests it on whole connections.
// Invariant: what went out is read from the bytes that were written.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Cause } from "../../src/core/effects.ts";
import { Session, SessionState } from "../../src/core/session.ts";
import { Fate } from "../../src/core/tally.ts";
import { PUBACK_MS, SUBACK_MS } from "../../src/limits.ts";
import { Stock, WALL_S } from "./stock.ts";
import { walkTable } from "./table.ts";
import { World } from "./world.ts";

const SUBSCRIPTIONS = { filters: ["a/#", "b/#"], qos: [0, 1] as const };

/** An outbox that tells what became of its messages. */
class Watched extends Stock {
  constructor(words: string[]) {
    super({ topic: "t" });
    const rewind = this.window.rewind.bind(this.window);
    this.window.rewind = () => {
      words.push("rewind");
      rewind();
    };
    const release = this.outbox.release.bind(this.outbox);
    this.outbox.release = (identifier) => {
      const isReleased = release(identifier);
      if (isReleased) words.push("release");
      return isReleased;
    };
  }
}

interface Subject extends World {
  stock: Stock;
  session: Session;
}

function subject(window = 8, isRepublished = true, congestionMs = 0): Subject {
  const world = new World();
  const stock = new Watched(world.words);
  const { writer, counters } = world;
  const { outbox } = stock;
  const session = new Session(
    writer,
    outbox,
    counters,
    SUBSCRIPTIONS,
    window,
    isRepublished,
    congestionMs,
  );
  return Object.assign(world, { stock, session });
}

/** Accepts a message with these two bytes. */
function accept({ stock }: Subject, number = 0): void {
  stock.outbox.offer(7, 0, "", Uint8Array.of(number >> 8, number), WALL_S);
  stock.settle();
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
  one.session.onUp(nowMs, true);
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
  one.session.pump(nowMs, WALL_S);
  return one;
}

walkTable<Subject>({
  file: "core/session.ts",
  states: { OFF: subject, SUBSCRIBING: () => upAt(0), READY: () => readyAt(0) },
  stateOf: ({ session }) => SessionState[session.state]!,
  events: {
    onUp: ({ session }) => void session.onUp(1, true),
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
    const { stock, session, writer } = one;
    const { window } = stock;
    const seen: number[] = [];
    const sent = window.sent.bind(window);
    window.sent = (identifier, nowMs) => {
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
      stock.fill();
      sent(identifier, 0);
    }
    writer.reset();
    for (let at = 0; at < 3; at++) pumped(one, 0);
    expect(seen.slice(-4)).toEqual([0xfffd, 0xfffe, 1, 3]);
  });

  test("the one of an unanswered SUBSCRIBE is not used by a message", () => {
    const one = upAt(0);
    const { stock, session, writer } = one;
    const { window } = stock;
    const used = new Set<number>();
    const sent = window.sent.bind(window);
    window.sent = (identifier, nowMs) => {
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
        one.session.onUp(0, true);
        for (const step of run) {
          if (step === "accept") {
            accept(one, count);
            model.accept(count++);
          } else if (step === "down") {
            one.session.onDown();
            model.onDown();
            one.writer.reset();
            one.session.onUp(0, true);
          } else {
            const identifier = model.release(step);
            if (identifier !== 0) one.session.onPuback(identifier);
            one.stock.settle();
          }
          one.session.pump(0, WALL_S);
          model.sent(published(one));
        }
        expect(one.counters.stray).toBe(0);
      },
    ),
  );
});

describe("a new session", () => {
  /** Two in flight and a third in the window when the connection falls. */
  function fallen(isRepublished: boolean): Subject {
    const one = subject(2, isRepublished);
    one.session.onUp(0, false);
    for (let number = 1; number <= 3; number++) accept(one, number);
    one.session.pump(0, WALL_S);
    published(one);
    one.session.onDown();
    return one;
  }

  test("gets what was in flight once more", () => {
    const one = fallen(true);
    one.session.onUp(0, false);
    one.session.pump(0, WALL_S);
    expect(published(one).map(({ number, dup }) => [number, dup])).toEqual([
      [1, true],
      [2, true],
    ]);
  });

  test("does not, when that is what the settings say; what was never sent goes out", () => {
    const one = fallen(false);
    one.session.onUp(0, false);
    one.session.pump(0, WALL_S);
    expect(published(one).map(({ number, dup }) => [number, dup])).toEqual([[3, false]]);
    expect(one.stock.outbox.tally.of(7, Fate.UNCONFIRMED)).toBe(2);
  });

  test("but a session that the hub has kept gets all", () => {
    const one = fallen(false);
    one.session.onUp(0, true);
    one.session.pump(0, WALL_S);
    expect(published(one).map(({ number }) => number)).toEqual([1, 2]);
  });
});

describe("congestion", () => {
  test("is a window that stays full without an acknowledgement", () => {
    const one = subject(2, true, 5000);
    one.session.onUp(0, true);
    suback1(one, [0, 1]);
    for (let number = 1; number <= 4; number++) accept(one, number);
    one.session.pump(100, WALL_S);
    expect(one.session.nextMs).toBe(5100);
    expect(one.session.onDeadline(5099)).toBe(Cause.NONE);
    // An acknowledgement, though its place is taken at once, begins the time anew.
    one.session.onPuback(2);
    one.stock.settle();
    one.session.pump(5000, WALL_S);
    expect(one.session.onDeadline(9999)).toBe(Cause.NONE);
    expect(one.session.onDeadline(10_000)).toBe(Cause.CONGESTED);
  });

  test("is none while there is room, with 0, and after the connection fell", () => {
    const roomy = subject(2, true, 5000);
    roomy.session.onUp(0, true);
    suback1(roomy, [0, 1]);
    pumped(roomy, 0);
    expect(roomy.session.onDeadline(20_000)).toBe(Cause.NONE);
    const off = subject(1);
    off.session.onUp(0, true);
    suback1(off, [0, 1]);
    pumped(off, 0);
    expect(off.session.onDeadline(20_000)).toBe(Cause.NONE);
    const fallen = subject(1, true, 5000);
    fallen.session.onUp(0, true);
    pumped(fallen, 0);
    fallen.session.onDown();
    expect(fallen.session.nextMs).toBe(Number.POSITIVE_INFINITY);
  });
});
