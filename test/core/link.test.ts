// Link, tested: its table cell by cell, its deadlines, and what it remembers of how it ended.
// Neighbours: `src/core/link.ts`; what follows from an end is tested with the agent.
// Invariant: states are reached through the public methods alone.

import { describe, expect, test } from "bun:test";
import { Cause } from "../../src/core/effects.ts";
import { Link, LinkState } from "../../src/core/link.ts";
import { Broken } from "../../src/kit/assert.ts";
import { CLOSE_MS, CONNACK_MS, DIAL_MS, TLS_MS } from "../../src/limits.ts";
import { walkTable } from "./table.ts";
import { World } from "./world.ts";

const GREETING = { clientId: "dev1", username: "hub/dev1/?api-version=1", keepAliveS: 240 };

interface Subject extends World {
  link: Link;
}

function subject(): Subject {
  const world = new World();
  const link = new Link(world.effects, world.writer, world.counters, GREETING);
  return Object.assign(world, { link });
}

const PATH = ["DOWN", "DIALING", "SECURING", "GREETING", "UP", "CLOSING"];

/** A link in `state`, entered at `atMs`. */
function linkIn(state: string, atMs = 0): Subject {
  const one = subject();
  const steps = [
    () => one.link.open("token", atMs),
    () => one.link.onOpened(atMs),
    () => one.link.onSecured(atMs),
    () => one.link.onConnack(0, false, atMs),
    () => one.link.close(atMs),
  ];
  for (const step of steps.slice(0, PATH.indexOf(state))) step();
  return one;
}

/** The cause for which the link fell in this event, if it did and had one. */
function causeOf(one: Subject, event: () => void): string {
  const before = one.link.cause;
  event();
  return one.link.isDown && one.link.cause !== before ? Cause[one.link.cause]! : "";
}

walkTable<Subject>({
  file: "core/link.ts",
  states: Object.fromEntries(PATH.map((state) => [state, () => linkIn(state)])),
  stateOf: ({ link }) => LinkState[link.state]!,
  events: {
    "open()": ({ link }) => void link.open("token", 1),
    opened: ({ link }) => void link.onOpened(1),
    secured: ({ link }) => void link.onSecured(1),
    "connack 0": ({ link }) => void link.onConnack(0, true, 1),
    "connack n": ({ link }) => void link.onConnack(5, false, 1),
    closed: ({ link }) => void link.onClosed(Cause.CLOSED_BY_PEER, "", 1),
    "fail()": ({ link }) => void link.fail(Cause.PROTOCOL_VIOLATION, "", 1),
    "close()": ({ link }) => void link.close(1),
    deadline: (one) => causeOf(one, () => one.link.onDeadline(1_000_000)),
  },
  look: (one) => one.look(),
});

describe("deadlines", () => {
  const steps: readonly (readonly [string, number])[] = [
    ["DIALING", DIAL_MS],
    ["SECURING", TLS_MS],
    ["GREETING", CONNACK_MS],
    ["CLOSING", CLOSE_MS],
  ];
  for (const [state, lengthMs] of steps) {
    test(`${state} lasts its time to the millisecond`, () => {
      const { link } = linkIn(state, 500);
      expect(link.deadlineMs).toBe(500 + lengthMs);
      link.onDeadline(500 + lengthMs - 1);
      expect(LinkState[link.state]).toBe(state);
      link.onDeadline(500 + lengthMs);
      expect(link.isDown).toBe(true);
      expect(link.deadlineMs).toBe(Number.POSITIVE_INFINITY);
    });
  }

  test("down and up have none", () => {
    for (const state of ["DOWN", "UP"]) {
      expect(linkIn(state).link.deadlineMs).toBe(Number.POSITIVE_INFINITY);
    }
  });
});

describe("how it ended", () => {
  test("the cause, the words and the step of the last end stay", () => {
    const { link } = linkIn("SECURING", 100);
    link.onClosed(Cause.TLS_NAME_MISMATCH, "names a, b", 900);
    const { cause, detail, fellFrom, upMs } = link;
    expect({ cause, detail, fellFrom, upMs }).toEqual({
      cause: Cause.TLS_NAME_MISMATCH,
      detail: "names a, b",
      fellFrom: LinkState.SECURING,
      upMs: 0,
    });
  });

  test("time counts as up from CONNACK to the end, closing included", () => {
    const { link } = linkIn("UP", 1000);
    link.close(5000);
    link.onClosed(Cause.TCP_RESET, "ECONNRESET", 6000);
    expect(link.upMs).toBe(5000);
    expect(link.cause).toBe(Cause.NONE);
    expect(link.detail).toBe("");
    expect(link.fellFrom).toBe(LinkState.CLOSING);
  });

  test("each return code of CONNACK has its cause", () => {
    const causes = [1, 2, 3, 4, 5].map((code) => {
      const { link } = linkIn("GREETING");
      link.onConnack(code, false, 1);
      return link.cause;
    });
    expect(causes).toEqual([
      Cause.CONNACK_PROTOCOL,
      Cause.CONNACK_IDENTIFIER,
      Cause.CONNACK_UNAVAILABLE,
      Cause.CONNACK_CREDENTIALS,
      Cause.CONNACK_NOT_AUTHORISED,
    ]);
  });
});

test("CONNECT carries clean session 0, the identity, the keep-alive and the token", () => {
  const { writer } = linkIn("GREETING");
  const text = new TextDecoder().decode(writer.bytes.subarray(writer.start, writer.end));
  const flags = writer.bytes[writer.start + 9]!;
  expect(text).toContain("MQTT");
  expect(text).toContain("dev1");
  expect(text).toContain(GREETING.username);
  expect(text.endsWith("token")).toBe(true);
  // User name, password; clean session, will and the reserved bit clear (MQTT-3.1.2-3).
  expect(flags).toBe(0xc0);
});

test("what a connection left unsent goes with it, and so does the token", () => {
  for (const state of ["DIALING", "SECURING", "GREETING", "UP"]) {
    const one = linkIn(state);
    one.writer.reset();
    one.writer.pingreq();
    one.link.onClosed(Cause.TCP_RESET, "", 1);
    expect(one.writer.end).toBe(one.writer.start);
    expect(Object.values(one.link)).not.toContain("token");
  }
});

test("the token is kept until CONNECT and no longer", () => {
  const kept = PATH.map((state) => Object.values(linkIn(state).link).includes("token"));
  expect(kept).toEqual([false, true, true, false, false, false]);
});

test("closing without room for DISCONNECT still ends by its deadline", () => {
  const one = linkIn("UP");
  one.writer.reset();
  while (one.writer.pingreq());
  one.link.close(10);
  expect(one.link.state).toBe(LinkState.CLOSING);
  one.link.onDeadline(10 + CLOSE_MS);
  expect(one.link.isDown).toBe(true);
});

test("opens and connections are counted", () => {
  const { link, counters } = linkIn("UP");
  link.onClosed(Cause.TCP_RESET, "", 1);
  link.open("token", 2);
  expect([counters.attempts, counters.connects]).toEqual([2, 1]);
});

test("a second connection is a defect", () => {
  const { link } = linkIn("GREETING");
  expect(() => link.open("token", 2)).toThrow(Broken);
});
