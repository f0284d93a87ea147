// Twin, tested: its table cell by cell, versions in every order, documents of every shape.
// Neighbours: `src/core/twin.ts`; what lamps make of desired properties is tested with them.
// Invariant: what was applied is what the sink was given, nothing else.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Backoff } from "../../src/core/backoff.ts";
import { Cause } from "../../src/core/effects.ts";
import { objectIn, type Properties, Twin, TwinState } from "../../src/core/twin.ts";
import { TWIN_ANSWER_MS, TWIN_TRIES } from "../../src/limits.ts";
import { connack, publish, Rig } from "../rig.ts";
import { walkTable } from "./table.ts";
import { World } from "./world.ts";

const utf8 = new TextEncoder();

interface Subject extends World {
  twin: Twin;
  applied: string[];
}

function off(): Subject {
  const world = new World();
  const applied: string[] = [];
  const sink = {
    onDesired(document: Properties, _reported: Properties, version: number) {
      world.words.push("apply");
      applied.push(`${version} ${JSON.stringify(document)}`);
    },
    onDesiredPatch(patch: Properties, version: number) {
      world.words.push("apply");
      applied.push(`${version}+${JSON.stringify(patch)}`);
    },
  };
  const { effects, writer, counters, rids, prng } = world;
  const twin = new Twin(effects, writer, counters, rids, new Backoff(prng), sink);
  return Object.assign(world, { twin, applied });
}

/** The hub's answer to the GET under way. */
function answer({ twin }: Subject, status: number, body: string, nowMs = 1): void {
  const bytes = utf8.encode(body);
  twin.onAnswer(status, bytes, 0, bytes.length, nowMs);
}

function document(one: Subject, version: number, desired: object = {}, nowMs = 1): void {
  answer(one, 200, JSON.stringify({ desired: { ...desired, $version: version } }), nowMs);
}

function push({ twin }: Subject, version: number, body: string, nowMs = 1): void {
  const bytes = utf8.encode(body);
  twin.onPush(version, bytes, 0, bytes.length, nowMs);
}

/** In step at version 5. */
function synced(): Subject {
  const one = off();
  one.twin.onReady(0);
  document(one, 5);
  return one;
}

/** Asking again since a push of version 9 came behind version 5. */
function getting(): Subject {
  const one = synced();
  push(one, 9, "{}");
  return one;
}

function delayed(): Subject {
  const one = getting();
  answer(one, 429, "");
  return one;
}

walkTable<Subject>({
  file: "core/twin.ts",
  states: {
    OFF: () => {
      const one = synced();
      one.twin.onDown();
      return one;
    },
    GETTING: getting,
    SYNCED: synced,
    DELAYED: delayed,
  },
  stateOf: ({ twin }) => TwinState[twin.state]!,
  events: {
    onReady: ({ twin }) => void twin.onReady(1),
    "answer 200": (one) => void document(one, 9),
    "answer older": (one) => void document(one, 6),
    "answer other": (one) => void answer(one, 500, ""),
    deadline: ({ twin }) => {
      const cause = twin.onDeadline(1_000_000);
      return cause === Cause.NONE ? "" : Cause[cause]!;
    },
    "push next": (one) => void push(one, 6, "{}"),
    "push gap": (one) => void push(one, 7, "{}"),
    "push known": (one) => void push(one, 5, "{}"),
    refresh: ({ twin }) => void twin.refresh(1),
    onDown: ({ twin }) => void twin.onDown(),
  },
  look: (one) => one.look(),
});

describe("versions", () => {
  test("a push that overtakes the document makes it ask again, then both are there", () => {
    const one = off();
    one.twin.onReady(0);
    push(one, 4, '{"a":4}');
    document(one, 3, { a: 3 });
    expect(one.look()).toEqual(["GET", "GET"]);
    document(one, 4, { a: 4 });
    push(one, 5, '{"a":5}');
    expect(one.applied).toEqual(['4 {"a":4,"$version":4}', '5+{"a":5}']);
  });

  test("a push that the document already has is dropped", () => {
    const one = off();
    one.twin.onReady(0);
    push(one, 4, '{"a":4}');
    document(one, 6);
    push(one, 5, '{"a":5}');
    push(one, 6, '{"a":6}');
    expect(one.applied).toHaveLength(1);
    expect(one.counters.desiredStale).toBe(2);
    expect(one.twin.state).toBe(TwinState.SYNCED);
  });

  test("a gap asks for the document; what came meanwhile is in it", () => {
    const one = synced();
    push(one, 7, '{"a":7}');
    push(one, 8, '{"a":8}');
    expect(one.counters.desiredGaps).toBe(1);
    document(one, 8, { a: 8 });
    expect(one.applied.slice(1)).toEqual(['8 {"a":8,"$version":8}']);
    expect(one.twin.version).toBe(8);
  });

  test("without a version in the topic the one in the body counts, without any it is a gap", () => {
    const one = synced();
    push(one, -1, '{"a":1,"$version":6}');
    expect(one.twin.version).toBe(6);
    push(one, -1, '{"a":2}');
    expect(one.twin.state).toBe(TwinState.GETTING);
  });

  test("a push that is no JSON object asks for the document", () => {
    for (const body of ["", "{", "[]", "null", "7", '"x"', "\ufffe\uffff"]) {
      const one = synced();
      push(one, 6, body);
      expect(one.twin.state).toBe(TwinState.GETTING);
      expect(one.applied).toHaveLength(1);
    }
  });

  test("a document that stays older is asked for with pauses, and in the end believed", () => {
    const one = synced();
    push(one, 9, "{}", 1000);
    document(one, 6, {}, 1000);
    expect(one.twin.state).toBe(TwinState.GETTING);
    for (let round = 2; round <= TWIN_TRIES; round++) {
      document(one, 6, {}, 1000);
      expect(one.twin.state).toBe(TwinState.DELAYED);
      expect(one.twin.deadlineMs).toBeGreaterThanOrEqual(2000);
      one.twin.onDeadline(one.twin.deadlineMs);
    }
    document(one, 6, { a: 6 }, 1000);
    expect(one.twin.state).toBe(TwinState.SYNCED);
    expect(one.applied.at(-1)).toBe('6 {"a":6,"$version":6}');
    push(one, 7, "{}");
    expect(one.twin.version).toBe(7);
    // Believed once, the push of version 9 is forgotten, and patience begins anew.
    one.twin.refresh(1000);
    document(one, 8, {}, 1000);
    expect(one.twin.version).toBe(8);
    push(one, 12, "{}", 1000);
    document(one, 8, {}, 1000);
    expect(one.twin.state).toBe(TwinState.GETTING);
  });

  test("a device made anew at the hub starts again at version 1", () => {
    const one = synced();
    push(one, 6, "{}");
    one.twin.onDown();
    one.twin.onReady(0);
    push(one, 2, '{"a":2}');
    document(one, 1);
    expect(one.twin.state).toBe(TwinState.GETTING);
    document(one, 2, { a: 2 });
    push(one, 3, '{"a":3}');
    expect(one.applied.slice(-2)).toEqual(['2 {"a":2,"$version":2}', '3+{"a":3}']);
  });

  test("in whatever order pushes and documents come, the last state is the hub's", () => {
    const order = fc.array(fc.record({ late: fc.nat(3), lost: fc.nat(9) }), {
      maxLength: 30,
      size: "max",
    });
    fc.assert(
      fc.property(order, (changes) => {
        const one = synced();
        let hub = 5;
        const queue: number[] = [];
        for (const { late, lost } of changes) {
          hub++;
          if (lost > 0) queue.splice(Math.max(queue.length - late, 0), 0, hub);
          if (queue.length > 2) push(one, queue.shift()!, "{}");
          if (one.twin.state === TwinState.GETTING && late === 0) document(one, hub);
        }
        for (const version of queue) push(one, version, "{}");
        push(one, ++hub, "{}");
        while (one.twin.state === TwinState.GETTING) document(one, hub);
        expect(one.twin.state).toBe(TwinState.SYNCED);
        expect(one.twin.version).toBe(hub);
        const versions = one.applied.map((text) => Number.parseInt(text, 10));
        expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
      }),
    );
  });
});

describe("documents", () => {
  test("without a usable desired part are asked for again later", () => {
    const bodies = [
      "",
      "[]",
      "{}",
      '{"desired":null}',
      '{"desired":[]}',
      '{"desired":"x"}',
      '{"desired":{}}',
      '{"desired":{"$version":-1}}',
      '{"desired":{"$version":1.5}}',
      '{"desired":{"$version":"1"}}',
    ];
    for (const body of bodies) {
      const one = getting();
      answer(one, 200, body);
      expect(one.twin.state).toBe(TwinState.DELAYED);
      expect(one.applied).toHaveLength(1);
    }
  });

  test("may lack the reported part or hold nonsense there", () => {
    for (const reported of ["", ',"reported":null', ',"reported":7', ',"reported":"x"']) {
      const one = getting();
      answer(one, 200, `{"desired":{"$version":9}${reported}}`);
      expect(one.twin.state).toBe(TwinState.SYNCED);
    }
  });
});

describe("answers", () => {
  test("wait TWIN_ANSWER_MS each; the third silence means a dead link", () => {
    const one = off();
    one.twin.onReady(0);
    for (let round = 1; round < TWIN_TRIES; round++) {
      expect(one.twin.deadlineMs).toBe(round * TWIN_ANSWER_MS);
      expect(one.twin.onDeadline(round * TWIN_ANSWER_MS - 1)).toBe(Cause.NONE);
      expect(one.twin.onDeadline(round * TWIN_ANSWER_MS)).toBe(Cause.NONE);
    }
    expect(one.twin.onDeadline(TWIN_TRIES * TWIN_ANSWER_MS)).toBe(Cause.TWIN_TIMEOUT);
    expect(one.look()).toEqual(["GET", "GET", "GET"]);
  });

  test("of any kind end a series of silences", () => {
    const one = off();
    one.twin.onReady(0);
    for (let round = 0; round < 3 * TWIN_TRIES; round++) {
      expect(one.twin.onDeadline(one.twin.deadlineMs)).toBe(Cause.NONE);
      answer(one, 503, "");
      expect(one.twin.onDeadline(one.twin.deadlineMs)).toBe(Cause.NONE);
    }
    expect(one.twin.state).toBe(TwinState.GETTING);
  });

  test("a new connection, and a document, make the next wait a first one", () => {
    for (const renew of ["down", "document"]) {
      const one = off();
      one.twin.onReady(0);
      for (let round = 0; round < 8; round++) {
        answer(one, 429, "", 0);
        one.twin.onDeadline(one.twin.deadlineMs);
      }
      if (renew === "down") {
        one.twin.onDown();
        one.twin.onReady(0);
      } else {
        document(one, 1);
        one.twin.refresh(0);
      }
      answer(one, 429, "", 0);
      expect(one.twin.deadlineMs).toBeLessThanOrEqual(2000);
    }
  });

  test("a new connection counts its silences and old documents anew", () => {
    const one = off();
    for (let round = 0; round < 4; round++) {
      one.twin.onReady(0);
      expect(one.twin.onDeadline(TWIN_ANSWER_MS)).toBe(Cause.NONE);
      push(one, 9, "{}");
      for (let older = 0; older < 2; older++) {
        document(one, 8, {}, 0);
        expect(one.twin.state).toBe(older === 0 ? TwinState.GETTING : TwinState.DELAYED);
      }
      one.twin.onDown();
    }
  });

  test("of an old connection are not waited for on a new one, nor believed", () => {
    const one = off();
    for (let round = 1; round <= 5; round++) {
      one.twin.onReady(0);
      expect(one.twin.isMine(round * 2 - 1)).toBe(true);
      expect(one.twin.onDeadline(TWIN_ANSWER_MS)).toBe(Cause.NONE);
      one.twin.onDown();
      expect(one.twin.isMine(round * 2)).toBe(false);
    }
  });

  test("that are of no use are said", () => {
    const one = off();
    one.twin.onReady(0);
    answer(one, 404, "");
    expect(one.logs()).toEqual(["the hub answered the twin request with status 404"]);
  });

  test("other than 200 make it wait longer and longer, a minute at most", () => {
    const one = off();
    one.twin.onReady(0);
    let longestMs = 0;
    for (let round = 0; round < 40; round++) {
      answer(one, 429, "", 0);
      const waitMs = one.twin.deadlineMs;
      expect(waitMs).toBeGreaterThanOrEqual(1000);
      expect(waitMs).toBeLessThanOrEqual(60_000);
      longestMs = Math.max(longestMs, waitMs);
      one.twin.onDeadline(waitMs);
    }
    expect(longestMs).toBeGreaterThan(30_000);
  });

  test("to an earlier request are nobody's", () => {
    const rig = new Rig();
    rig.greet();
    rig.turn.onData(connack());
    const subscribe = rig.sent().find((one) => one.type === 8)!;
    rig.turn.onData(Uint8Array.of(0x90, 4, 0, subscribe.identifier, 0, 0));
    rig.pass(TWIN_ANSWER_MS - 1);
    rig.turn.onData(Uint8Array.of(0xd0, 0));
    rig.pass(1);
    const late = '{"desired":{"$version":1}}';
    rig.turn.onData(publish("$iothub/twin/res/200/?$rid=1", late));
    const { twin } = rig.turn.agent.machines.traffic;
    expect(twin.state).toBe(TwinState.GETTING);
    rig.turn.onData(publish("$iothub/twin/res/200/?$rid=2", late));
    expect(twin.state).toBe(TwinState.SYNCED);
  });
});

test("objectIn takes JSON objects in UTF-8 and nothing else", () => {
  const read = (bytes: Uint8Array) => objectIn(bytes, 0, bytes.length);
  expect(read(utf8.encode('{"a":"é"}'))).toEqual({ a: "é" });
  for (const text of ["", " ", "1", "[]", "null", '"a"', "{", "{}{}"]) {
    expect(read(utf8.encode(text))).toBeUndefined();
  }
  expect(read(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d))).toBeUndefined();
  expect(objectIn(utf8.encode('xx{"a":1}yy'), 2, 9)).toEqual({ a: 1 });
});
