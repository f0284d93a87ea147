// Sheet, tested: every way in which one entry, by itself, can be wrong.
// Neighbours: `src/core/sheet.ts`; `validate.test.ts` tests whole files and what spans keys.
// Invariant: the messages are written out, as a person at a serial console reads them.

import { describe, expect, test } from "bun:test";
import type { Entry } from "../../src/core/effects.ts";
import { Sheet } from "../../src/core/sheet.ts";

/** Entries of a small text of `[section] key = value` lines, numbered from 1. */
function entries(...lines: string[]): Entry[] {
  return lines.map((text, index) => {
    const [, section, key, value] = /^\[(.*)\] (.*?) =\s*(.*)$/.exec(text)!;
    return { section: section!, key: key!, value: value!, line: index + 1 };
  });
}

function problemsOf(...lines: string[]): string[] {
  return new Sheet(entries(...lines), []).problems.map(
    ({ line, section, key, text }) => `${line} [${section}] ${key}: ${text}`,
  );
}

const KEYS_OF_DATA =
  "connect.auto-on-startup, connect.retry-interval, connect.spread, " +
  "disconnect.quiesce-timeout, " +
  "in-flight-messages.max-number, in-flight-messages.republish-on-new-session, " +
  "in-flight-messages.congestion-timeout, maximum.payload.size, store.place, store.size, " +
  "store.capacity, store.when-full, store.housekeeper-interval, backlog.share, " +
  "enable.rate.limit, rate.limit.average, rate.limit.time.unit, rate.limit.burst.size, " +
  "connection.schedule.enabled, connection.schedule.expression, connection.schedule.timezone, " +
  "connection.schedule.priority.override.enable, " +
  "connection.schedule.priority.override.threshold, " +
  "connection.schedule.inactivity.interval.seconds, enable.recovery.on.connection.failure, " +
  "connection.recovery.max.failures";
const SECTIONS =
  "[endpoint], [network], [data], [telemetry], [led.NAME], [recovery], [watchdog], [metrics], " +
  "[agent]";
const LAMP_NAME = "a letter, then up to 31 letters, digits, _ or -";

describe("values", () => {
  test.each([
    ["[data] connect.retry-interval = 0", '"0" is too small', "1 .. 3600 seconds"],
    ["[data] connect.retry-interval =", "is empty", "1 .. 3600 seconds"],
    [
      "[data] connect.auto-on-startup = yes",
      '"yes" is not a boolean here, write true',
      "true or false",
    ],
    [
      "[telemetry] interval = 10s",
      '"10s" is not a whole decimal number, write the number of seconds alone',
      "0 .. 86400 seconds",
    ],
    [
      "[agent] log-level = verbose",
      '"verbose" is not one of them',
      "error, warning, notice, info or debug",
    ],
    [
      "[agent] control-socket = run.sock",
      "does not start with /",
      "an absolute path of at most 107 bytes",
    ],
    ["[endpoint] type = x509a", '"x509a" is not one of them', "sas, tpm, symmetric-key or x509"],
    ["[endpoint] mqtt-port = 0", '"0" is too small', "port 1 .. 65535"],
  ])("%s", (line, problem, allowed) => {
    const place = line.slice(0, line.indexOf(" ="));
    expect(problemsOf(line)).toEqual([`1 ${place}: ${problem}; allowed: ${allowed}`]);
  });

  test("a socket path that is one byte too long", () => {
    expect(problemsOf(`[agent] control-socket = /${"a".repeat(106)}`)).toEqual([]);
    expect(problemsOf(`[agent] control-socket = /${"a".repeat(107)}`)).toEqual([
      "1 [agent] control-socket: is 108 bytes long; " +
        "allowed: an absolute path of at most 107 bytes",
    ]);
  });
});

describe("keys", () => {
  test.each([
    ["[data] conect.retry-interval", "unknown key, did you mean connect.retry-interval"],
    ["[data] CONNECT.RETRY-INTERVAL", "unknown key, did you mean connect.retry-interval"],
    ["[data] intervall", "unknown key, did you mean interval in [telemetry]"],
    ["[data] foo", "unknown key"],
    ["[data] keep-alive", "belongs in [endpoint]"],
    ["[data] interval", "belongs in [telemetry]"],
    ["[data] active", "belongs in [led.NAME]"],
    ["[data] __proto__", "unknown key"],
    ["[data] constructor", "unknown key"],
  ])("%s", (place, problem) => {
    const expected = `1 ${place}: ${problem}; allowed: ${KEYS_OF_DATA}`;
    expect(problemsOf(`${place} = 5`)).toEqual([expected]);
  });

  test("in a lamp's section", () => {
    expect(problemsOf("[led.A] drivr = leds")).toEqual([
      "1 [led.A] drivr: unknown key, did you mean driver; " +
        "allowed: driver, target, active, initial",
    ]);
  });

  test("before the first section", () => {
    expect(problemsOf("[] interval = 5", "[] foo = 1")).toEqual([
      "1 [] interval: stands before the first section; allowed: below [telemetry]",
      `2 [] foo: stands before the first section; allowed: keys below ${SECTIONS}`,
    ]);
  });

  test("set twice: the first one counts", () => {
    const lines = ["[telemetry] interval = 5", "[telemetry] interval = 6"];
    const sheet = new Sheet(entries(...lines), []);
    expect(sheet.number("telemetry", "interval")).toBe(5);
    expect(problemsOf(...lines)).toEqual([
      "2 [telemetry] interval: set before in line 1; allowed: once",
    ]);
  });
});

describe("sections", () => {
  test.each([
    ["dta", ", did you mean [data]"],
    ["Data", ", did you mean [data]"],
    ["leds.LED1", ", did you mean [led.LED1]"],
    ["LED.LED1", ", did you mean [led.LED1]"],
    ["led", ", did you mean [led.NAME]"],
    ["wires", ""],
    ["__proto__", ""],
  ])("[%s] is unknown, told once for all its keys", (section, hint) => {
    expect(problemsOf(`[${section}] a = 1`, `[${section}] b = 2`)).toEqual([
      `1 [${section}] : unknown section${hint}; allowed: ${SECTIONS}`,
    ]);
  });

  test.each([
    ["led.", "the lamp has no name"],
    ["led.1a", '"1a" does not have the right form as a lamp\'s name'],
    ["led.a.b", '"a.b" does not have the right form as a lamp\'s name'],
    [`led.${"a-".repeat(16)}b`, '"a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-b" does not have the right form'],
  ])("[%s] is no lamp", (section, problem) => {
    const [said, ...more] = problemsOf(`[${section}] driver = leds`);
    expect(more).toEqual([]);
    expect(said).toStartWith(`1 [${section}] : ${problem}`);
    expect(said).toEndWith(`; allowed: ${LAMP_NAME}`);
  });

  test("a lamp may not be called what a twin or the agent calls something else", () => {
    const [said] = problemsOf("[led.Telemetry] driver = leds");
    expect(said).toStartWith("1 [led.Telemetry] : means something else in the twin; allowed: any");
  });

  test("one without keys is held against the table like any other, at its own line", () => {
    const sections = ["endpoint", "bogus", "led.", "led.9", "led.A", "led.A"].map((name, index) => {
      return { name, line: index + 10 };
    });
    const sheet = new Sheet(entries("[led.A] driver = leds"), [], sections);
    expect(sheet.problems.map(({ line, section }) => `${line} ${section}`)).toEqual([
      "11 bogus",
      "12 led.",
      "13 led.9",
    ]);
    expect(sheet.lamps).toEqual(["led.A"]);
    expect(sheet.line("led.A", "target")).toBe(14);
  });

  test("a faulty key in a section of a misnamed lamp is told too", () => {
    expect(problemsOf("[led.1] driver = x")).toHaveLength(2);
  });

  test("as many lamps as there may be, and one more, told once", () => {
    const lamps = Array.from({ length: 33 }, (_, n) => `[led.L${n}] driver = sysfs`);
    expect(problemsOf(...lamps.slice(0, 32))).toEqual([]);
    const sheet = new Sheet(entries(...lamps, "[led.L32] target = 5"), []);
    expect(sheet.problems).toEqual([
      { line: 33, section: "led.L32", key: "", text: "one lamp too many; allowed: 32 lamps" },
    ]);
    expect(sheet.lamps).toHaveLength(32);
  });
});

describe("look-ups", () => {
  const sheet = new Sheet(
    entries(
      "[data] connect.retry-interval = 5",
      "[data] connect.auto-on-startup = TRUE",
      "[data] in-flight-messages.max-number = 0",
      "[endpoint] ca-file =",
    ),
    [],
  );

  test("what was written, or the default where it is missing, faulty or left empty", () => {
    expect(sheet.number("data", "connect.retry-interval")).toBe(5);
    expect(sheet.isTrue("data", "connect.auto-on-startup")).toBe(true);
    expect(sheet.number("data", "in-flight-messages.max-number")).toBe(8);
    expect(sheet.number("data", "disconnect.quiesce-timeout")).toBe(10);
    expect(sheet.text("endpoint", "ca-file")).toBe("");
    expect(sheet.text("led.A", "driver")).toBe("");
  });

  test("what counts as written and sound", () => {
    expect(sheet.isSound("data", "connect.retry-interval")).toBe(true);
    expect(sheet.isSound("data", "in-flight-messages.max-number")).toBe(false);
    expect(sheet.isSound("data", "disconnect.quiesce-timeout")).toBe(false);
    expect(sheet.entry("endpoint", "ca-file")).toBeUndefined();
  });

  test("the line of a key, of its section, of neither", () => {
    expect(sheet.line("data", "connect.auto-on-startup")).toBe(2);
    expect(sheet.line("endpoint", "type")).toBe(4);
    expect(sheet.line("agent", "log-level")).toBe(0);
  });
});
