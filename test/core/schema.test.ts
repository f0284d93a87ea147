// Schema, tested: the table is sound in itself and says what the settings' readers rely on.
// Neighbours: `src/core/schema.ts`; `test/conf.test.ts` holds `conf/azimuth.ini` against it.
// Invariant: the list of keys and defaults is written out here a second time, by hand.

import { describe, expect, test } from "bun:test";
import * as schema from "../../src/core/schema.ts";
import { allowed, fault, Kind } from "../../src/core/value.ts";

const DEFAULTS: Record<string, string | null> = {
  "endpoint type": "sas",
  "endpoint connection-string": "",
  "endpoint connection-string-file": "",
  "endpoint id-scope": "",
  "endpoint registration-id": "",
  "endpoint dps-host": "global.azure-devices-provisioning.net",
  "endpoint dps-port": "443",
  "endpoint symmetric-key": "",
  "endpoint symmetric-key-file": "",
  "endpoint group-key-file": "",
  "endpoint certificate-file": "",
  "endpoint private-key-file": "",
  "endpoint tpm": "/dev/tpmrm0",
  "endpoint tpm-parameter-encryption": "true",
  "endpoint owner-password-file": "",
  "endpoint endorsement-password-file": "",
  "endpoint ca-file": "",
  "endpoint mqtt-port": "8883",
  "endpoint https-port": "443",
  "endpoint keep-alive": "240",
  "endpoint key": "connection-string",
  "endpoint model-id": "",
  "network transport": "auto",
  "network proxy": "",
  "network proxy-user": "",
  "network proxy-password-file": "",
  "data connect.auto-on-startup": "false",
  "data connect.retry-interval": "60",
  "data connect.spread": "40",
  "data disconnect.quiesce-timeout": "10",
  "data in-flight-messages.max-number": "8",
  "data in-flight-messages.republish-on-new-session": "true",
  "data in-flight-messages.congestion-timeout": "0",
  "data maximum.payload.size": "262144",
  "data store.place": "disk",
  "data store.size": "64",
  "data store.capacity": "0",
  "data store.when-full": "drop-oldest",
  "data store.housekeeper-interval": "900",
  "data backlog.share": "20",
  "data enable.rate.limit": "false",
  "data rate.limit.average": "1",
  "data rate.limit.time.unit": "seconds",
  "data rate.limit.burst.size": "1",
  "data connection.schedule.enabled": "false",
  "data connection.schedule.expression": "0 0 0 ? * * *",
  "data connection.schedule.timezone": "",
  "data connection.schedule.priority.override.enable": "false",
  "data connection.schedule.priority.override.threshold": "1",
  "data connection.schedule.inactivity.interval.seconds": "60",
  "data enable.recovery.on.connection.failure": "false",
  "data connection.recovery.max.failures": "10",
  "telemetry interval": "10",
  "telemetry priority": "7",
  "telemetry time-to-live": "0",
  "led.NAME driver": null,
  "led.NAME target": null,
  "led.NAME active": "high",
  "led.NAME initial": "off",
  "recovery refresh-per-day": "24",
  "recovery provision-per-day": "12",
  "recovery restart-per-day": "4",
  "recovery hook-per-day": "4",
  "recovery reboot-per-day": "2",
  "recovery hook-command": "",
  "watchdog device": "",
  "watchdog timeout": "60",
  "metrics file": "",
  "metrics port": "0",
  "metrics update-interval": "15",
  "agent control-socket": "/run/azimuth/control.sock",
  "agent state-dir": "/var/lib/azimuth",
  "agent log-level": "info",
};

const RANGES: Record<string, string> = {
  transport: "mqtts, wss or auto",
  type: "sas, tpm, symmetric-key or x509",
  "keep-alive": "10 .. 1177 seconds",
  "connect.retry-interval": "1 .. 3600 seconds",
  "connect.spread": "0 .. 600 seconds",
  "disconnect.quiesce-timeout": "0 .. 30 seconds",
  "in-flight-messages.max-number": "1 .. 128 messages",
  "in-flight-messages.congestion-timeout": "0 .. 3600 seconds",
  "maximum.payload.size": "1 .. 262144 bytes",
  "store.place": "disk or memory",
  "store.size": "1 .. 16384 MB",
  "store.capacity": "0 .. 100000000 messages",
  "store.when-full": "drop-oldest, drop-newest or refuse",
  "store.housekeeper-interval": "5 .. 86400 seconds",
  "backlog.share": "1 .. 50 percent",
  "rate.limit.average": "1 .. 100000 messages",
  "rate.limit.time.unit": "seconds, minutes, hours or days",
  "rate.limit.burst.size": "1 .. 100000 messages",
  "connection.schedule.priority.override.threshold": "0 .. 9",
  "connection.schedule.inactivity.interval.seconds": "1 .. 86400 seconds",
  "connection.recovery.max.failures": "1 .. 1000 attempts",
  "refresh-per-day": "0 .. 48 times",
  "reboot-per-day": "0 .. 48 times",
  timeout: "5 .. 3600 seconds",
  port: "0 .. 65535",
  "update-interval": "1 .. 3600 seconds",
  interval: "0 .. 86400 seconds",
  priority: "0 .. 9",
  "time-to-live": "0 .. 31536000 seconds",
  active: "high or low",
  initial: "off or on",
  driver: "leds, sysfs or file",
  "log-level": "error, warning, notice, info or debug",
};

test("keys and defaults are these", () => {
  const table = schema.KEYS.map((key) => [`${key.section} ${key.name}`, key.fallback]);
  expect(Object.fromEntries(table)).toEqual(DEFAULTS);
  expect(table).toHaveLength(Object.keys(DEFAULTS).length);
});

test("ranges and choices are these", () => {
  for (const [name, words] of Object.entries(RANGES)) {
    const key = schema.KEYS.find((each) => each.name === name)!;
    expect(allowed(key.value)).toBe(words);
  }
});

test("every default is allowed", () => {
  for (const key of schema.KEYS.filter((each) => each.fallback)) {
    expect(fault(key.value, key.fallback!)).toBe("");
  }
});

test("a key name stands in one section only, so that a misplaced one has one home", () => {
  const names = schema.KEYS.map((key) => key.name);
  expect(new Set(names).size).toBe(names.length);
});

test("every meaning is one sentence on one line", () => {
  for (const { meaning } of schema.KEYS) expect(meaning).toMatch(/^[A-Z][ -~]+[^. ]\.$/);
});

test("sections, in the order of the file", () => {
  expect(schema.SECTIONS).toEqual([
    "endpoint",
    "network",
    "data",
    "telemetry",
    "led.NAME",
    "recovery",
    "watchdog",
    "metrics",
    "agent",
  ]);
});

test("a lamp's section has the keys of led.NAME", () => {
  expect(schema.keysOf("led.LED1").map((key) => key.name)).toEqual([
    "driver",
    "target",
    "active",
    "initial",
  ]);
  expect(schema.keyOf("led.x", "driver")?.fallback).toBeNull();
  expect(schema.keyOf("led", "driver")).toBeUndefined();
  expect(schema.keyOf("data", "driver")).toBeUndefined();
  expect(schema.keysOf("nothing")).toEqual([]);
});

describe("facts", () => {
  test.each([
    ["data", "connect.retry-interval", "Allowed: 1 .. 3600 seconds; default 60."],
    ["endpoint", "keep-alive", "Allowed: 10 .. 1177 seconds; default 240; wants a restart."],
    ["endpoint", "ca-file", "Allowed: an absolute path; may be left out; wants a restart."],
    ["led.LED1", "driver", "Allowed: leds, sysfs or file; required."],
    [
      "agent",
      "control-socket",
      "Allowed: an absolute path of at most 107 bytes; default /run/azimuth/control.sock; " +
        "wants a restart.",
    ],
  ])("of [%s] %s", (section, name, expected) => {
    expect(schema.facts(schema.keyOf(section, name)!)).toBe(expected);
  });
});

describe("model ids", () => {
  const { value } = schema.keyOf("endpoint", "model-id")!;

  test.each([
    "dtmi:com:example:gateway;1",
    "dtmi:a;999999999",
    "dtmi:com:Example_2:g;2.1",
    `dtmi:${"a".repeat(121)};1`,
  ])("%p is one", (text) => {
    expect(fault(value, text)).toBe("");
  });

  test.each([
    "dtmi:com:example:gateway",
    "dtmi:com:example:gateway;0",
    "dtmi:com:1x;1",
    "dtmi:com:x_;1",
    "dtmi:;1",
    "urn:com:x;1",
    "dtmi:com:x;1&a=b",
    `dtmi:${"a".repeat(122)};1`,
  ])("%p is none", (text) => {
    expect(fault(value, text)).not.toBe("");
  });
});

describe("targets", () => {
  test.each([
    ["leds", "led1"],
    ["leds", "board:green:usr0"],
    ["sysfs", "0"],
    ["sysfs", "504"],
    ["file", "/run/azimuth/LED1"],
  ] as const)("driver %s takes %p", (driver, text) => {
    expect(fault(schema.TARGETS[driver], text)).toBe("");
  });

  test.each([
    ["leds", "../../etc/passwd"],
    ["leds", ".."],
    ["leds", "a b"],
    ["sysfs", "gpio17"],
    ["sysfs", "-1"],
    ["sysfs", "65536"],
    ["file", "LED1"],
  ] as const)("driver %s refuses %p", (driver, text) => {
    expect(fault(schema.TARGETS[driver], text)).not.toBe("");
  });
});

test("reserved names are names that would pass otherwise", () => {
  for (const name of schema.LAMP_NAMES_RESERVED) expect(fault(schema.LAMP_NAME, name)).toBe("");
  expect(schema.LAMP_NAME.kind).toBe(Kind.TEXT);
});
