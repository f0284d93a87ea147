/**
 * The small parts on their own: calendar, agenda, framer, merge patch, user name, log lines.
 * Neighbours: the other tests see them through the hub. Invariant: expected values come from
 * elsewhere (`Date`, RFC 7396), not from the code under test.
 */
import { describe, expect, test } from "bun:test";
import { Agenda } from "./model/agenda.ts";
import { isoTime, parseIso } from "./model/calendar.ts";
import { HubCode } from "./model/errors.ts";
import { Framer } from "./model/framer.ts";
import { difference, type JsonObject, merge, sizeBytes } from "./model/merge.ts";
import { Session } from "./model/session.ts";
import { parseUsername } from "./model/username.ts";
import { eventLine } from "./server/line.ts";

describe("calendar", () => {
  test("agrees with Date from year 1 to 9999, both ways", () => {
    const firstMs = -62_135_596_800_000;
    const lastMs = 253_402_300_799_999;
    for (let step = 0; step <= 3000; step++) {
      const unixMs = Math.floor(firstMs + ((lastMs - firstMs) / 3000) * step);
      const text = new Date(unixMs).toISOString();
      expect(isoTime(unixMs)).toBe(text);
      expect(parseIso(text)).toBe(unixMs);
    }
  });

  test("knows leap days and the ends of years", () => {
    for (const text of ["2024-02-29", "2000-02-29", "1900-02-28", "2023-12-31", "2100-03-01"]) {
      const unixMs = Date.parse(`${text}T23:59:59.999Z`);
      expect(isoTime(unixMs)).toBe(`${text}T23:59:59.999Z`);
      expect(parseIso(`${text}T23:59:59.999Z`)).toBe(unixMs);
    }
  });

  test("reads the forms that devices send, and refuses the rest", () => {
    expect(parseIso("2026-01-01T00:00:00Z")).toBe(1_767_225_600_000);
    expect(parseIso("2026-01-01T00:00:00.1234567Z")).toBe(1_767_225_600_123);
    expect(parseIso("2026-01-01T00:00:00+00:00")).toBe(1_767_225_600_000);
    for (const text of ["", "now", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01"]) {
      expect(parseIso(text)).toBeNaN();
    }
  });
});

describe("agenda", () => {
  test("runs in order of time, then of arrival, without the cancelled", () => {
    const agenda = new Agenda();
    const seen: number[] = [];
    const times = Array.from({ length: 200 }, (_, index) => (index * 7919) % 61);
    const entries = times.map((time, index) => agenda.at(time, () => seen.push(index)));
    for (let index = 0; index < 200; index += 3) agenda.cancel(entries[index]);
    agenda.runDue(60);
    const expected = times
      .map((time, index) => ({ time, index }))
      .filter(({ index }) => index % 3 !== 0)
      .sort((a, b) => a.time - b.time || a.index - b.index);
    expect(seen).toEqual(expected.map(({ index }) => index));
    expect(agenda.nextMs()).toBe(Number.POSITIVE_INFINITY);
  });

  test("does not collect what is cancelled", () => {
    const agenda = new Agenda();
    const seen: number[] = [];
    for (let round = 0; round < 10_000; round++) {
      const far = agenda.at(1e12 + round, () => seen.push(-1));
      if (round % 1000 === 0) agenda.at(round, () => seen.push(round));
      agenda.cancel(far);
      agenda.cancel(far);
    }
    expect(agenda.size).toBeLessThan(200);
    agenda.runDue(1e13);
    expect(seen).toEqual([0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000]);
    expect(agenda.size).toBe(0);
  });

  test("runs what a run plans for now, leaves what is later", () => {
    const agenda = new Agenda();
    const seen: string[] = [];
    agenda.at(5, () => {
      seen.push("a");
      agenda.at(5, () => seen.push("b"));
      agenda.at(6, () => seen.push("c"));
    });
    agenda.runDue(5);
    expect(seen).toEqual(["a", "b"]);
    expect(agenda.nextMs()).toBe(6);
  });
});

describe("framer", () => {
  const PINGREQ = [0xc0, 0];
  const PUBLISH = [0x30, 5, 0, 1, 97, 1, 2];

  test("cuts the same frames out of any pieces, reusing the caller's memory", () => {
    const stream = [...PINGREQ, ...PUBLISH, ...PUBLISH, ...PINGREQ];
    for (let size = 1; size <= stream.length; size++) {
      const framer = new Framer(100);
      const frames: number[][] = [];
      const chunk = new Uint8Array(size);
      for (let at = 0; at < stream.length; at += size) {
        const part = stream.slice(at, at + size);
        chunk.set(part);
        framer.feed(chunk.subarray(0, part.length));
        for (let frame = framer.next(); frame !== null; frame = framer.next()) {
          frames.push([...frame]);
        }
        framer.settle();
        chunk.fill(255);
      }
      expect(frames).toEqual([PINGREQ, PUBLISH, PUBLISH, PINGREQ]);
      expect(framer.buffered).toBe(0);
    }
  });

  test("refuses a length over its bound before the body is there", () => {
    const framer = new Framer(127);
    framer.feed(Uint8Array.from([0x30, 0x80]));
    expect(framer.next()).toBeNull();
    expect(framer.problem).toBe("");
    framer.settle();
    framer.feed(Uint8Array.from([1]));
    expect(framer.next()).toBeNull();
    expect(framer.problem).toBe("packet of 128 bytes, 127 are allowed");
    expect(framer.problemCode).toBe(HubCode.MessageTooLarge);
  });
});

describe("merge patch", () => {
  // The test cases of RFC 7396, appendix A, that have objects on both sides.
  const cases: [string, string, string][] = [
    ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
    ['{"a":"b"}', '{"a":null}', "{}"],
    ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
    ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
    ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
    ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
    ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
    ["{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
  ];
  for (const [target, patch, result] of cases) {
    test(`${target} with ${patch}`, () => {
      const given = JSON.parse(target) as JsonObject;
      expect(JSON.stringify(merge(given, JSON.parse(patch)))).toBe(result);
      expect(JSON.stringify(given)).toBe(target);
    });
  }

  test("a difference leads from one document to the other", () => {
    const from = { a: 1, b: { c: 1, d: { e: 1 } }, f: [1] };
    const to = { b: { d: {} }, f: [2], g: { h: 1 } };
    expect(JSON.parse(JSON.stringify(merge(from, difference(from, to))))).toEqual(to);
  });

  test("sizes are counted as the service counts", () => {
    const value = { ä: "ü", n: 1.5, b: true, z: null, list: [1, false, "x"], o: { k: "v" } };
    expect(sizeBytes(value)).toBe(2 + 2 + 1 + 8 + 1 + 4 + 1 + 4 + 8 + 4 + 1 + 1 + 1 + 1);
  });
});

test("packet identifiers go round, past 0 and past those in use", () => {
  const session = new Session(false);
  const used = new Set([1, 3]);
  const next = () => session.nextIdentifier((identifier) => used.has(identifier));
  expect([next(), next(), next()]).toEqual([2, 4, 5]);
  for (let count = 0; count < 65_530; count++) next();
  expect([next(), next()]).toEqual([2, 4]);
});

describe("user name", () => {
  test("parts, with the question mark or without, model id unencoded", () => {
    expect(parseUsername("h/d/?api-version=1&model-id=dtmi:a;1&DeviceClientType=x%2F1")).toEqual({
      host: "h",
      deviceId: "d",
      moduleId: "",
      apiVersion: "1",
      clientType: "x/1",
      modelId: "dtmi:a;1",
    });
    expect(parseUsername("h/d/m/api-version=1")).toMatchObject({ moduleId: "m", apiVersion: "1" });
    expect(parseUsername("h/d/?DeviceClientType=a/b&api-version=1")).toMatchObject({
      moduleId: "",
      clientType: "a/b",
    });
  });

  for (const text of ["", "h", "h/d", "h//?api-version=1", "/d/?api-version=1", "h/d/?x=1"]) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      expect(parseUsername(text)).toBeString();
    });
  }
});

test("log lines are one line each, whatever the payload holds", () => {
  const base = { at: "2026-01-01T00:00:00.000Z", deviceId: "d1" };
  const line = eventLine({
    ...base,
    type: "telemetry",
    topic: "t",
    properties: { app: { a: "b" }, system: {} },
    payload: `one\ntwo\u0007${"x".repeat(300)}`,
    encoding: "utf8",
    bytes: 308,
    qos: 1,
    dup: true,
    retain: false,
    packetId: 1,
  });
  expect(line).toStartWith("2026-01-01T00:00:00.000Z telemetry d1 308 B qos 1 dup {a=b} one\\ntwo");
  expect(line).not.toMatch(/[\u0000-\u001f]/);
  expect(line.length).toBeLessThan(200);
});
