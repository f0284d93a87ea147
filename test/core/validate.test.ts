// Validate, tested: whole settings files, sound ones and every way to get one wrong.
// Neighbours: `src/core/{validate,sheet}.ts`; `endpoint.test` has section [endpoint], the reader of
// the file its own tests.
// Invariant: the messages are written out in full, as a person at a serial console reads them.

import { describe, expect, test } from "bun:test";
import type { Problem } from "../../src/core/effects.ts";
import { Level } from "../../src/core/effects.ts";
import { filesWanted } from "../../src/core/endpoint.ts";
import { WhenFull } from "../../src/core/outbox.ts";
import { validate } from "../../src/core/validate.ts";
import {
  CONNECTION,
  entries,
  KEY,
  NO_FILE,
  problemsOf,
  settingsOf,
  withFile,
  withLines,
} from "./file.ts";

describe("sound files", () => {
  test("the least there can be: every default", () => {
    expect(settingsOf(withLines(""))).toEqual({
      endpoint: {
        type: "sas",
        hubName: "hub.example.net",
        host: "hub.example.net",
        mqttPort: 8883,
        httpsPort: 443,
        deviceId: "gw1",
        moduleId: "",
        key: KEY,
        isSealed: false,
        isGroup: false,
        certificateFile: "",
        privateKeyFile: "",
        certificate: undefined,
        caFile: "",
        keepAliveS: 240,
        modelId: "",
        dpsHost: "global.azure-devices-provisioning.net",
        dpsPort: 443,
        idScope: "",
        registrationId: "",
        tpm: "/dev/tpmrm0",
        isHidden: true,
        ownerPassword: "",
        endorsementPassword: "",
      },
      network: { transport: "auto", proxy: null },
      data: {
        autoOnStartup: false,
        retryIntervalS: 60,
        connectSpreadS: 40,
        quiesceTimeoutS: 10,
        inFlightMax: 8,
        isRepublished: true,
        congestionS: 0,
        bounds: {
          bytesMax: 64 * 1024 * 1024,
          countMax: 0,
          whenFull: WhenFull.DROP_OLDEST,
          messageBytesMax: 262_140,
          bodyBytesMax: 262_144,
        },
        drain: { sharePercent: 20, limit: null },
        purgeIntervalS: 900,
        isDurable: true,
      },
      schedule: {
        isEnabled: false,
        expression: "0 0 0 ? * * *",
        zone: "",
        overrideThreshold: -1,
        inactivityS: 60,
      },
      telemetry: { intervalS: 10, priority: 7, ttlS: 0 },
      lamps: [],
      recovery: { isEnabled: false, failuresMax: 10, perDay: [24, 0, 4, 0, 2], hook: [] },
      watchdog: { device: "", timeoutS: 60 },
      metrics: { file: "", port: 0, intervalS: 15 },
      agent: {
        controlSocket: "/run/azimuth/control.sock",
        logLevel: Level.INFO,
        stateFolder: "/var/lib/azimuth",
      },
    });
  });

  test("everything about the queue", () => {
    const { data } = settingsOf(
      withLines(`
      [data]
      in-flight-messages.republish-on-new-session = false
      in-flight-messages.congestion-timeout = 3600
      maximum.payload.size = 1
      store.place = Memory
      store.size = 1
      store.capacity = 5
      store.when-full = Refuse
      store.housekeeper-interval = 5
      backlog.share = 50
      enable.rate.limit = true
      rate.limit.average = 3
      rate.limit.time.unit = Minutes
      rate.limit.burst.size = 7`),
    );
    expect(data).toEqual({
      autoOnStartup: false,
      retryIntervalS: 60,
      connectSpreadS: 40,
      quiesceTimeoutS: 10,
      inFlightMax: 8,
      isRepublished: false,
      congestionS: 3600,
      bounds: {
        bytesMax: 1024 * 1024,
        countMax: 5,
        whenFull: WhenFull.REFUSE,
        messageBytesMax: 262_140,
        bodyBytesMax: 1,
      },
      drain: { sharePercent: 50, limit: { average: 3, unitMs: 60_000, burst: 7 } },
      purgeIntervalS: 5,
      isDurable: false,
    });
  });

  test("everything given", () => {
    const settings = settingsOf(
      `
      [endpoint]
      type = SAS
      connection-string-file = /etc/key
      ca-file = /etc/roots.pem
      mqtt-port = 18883
      https-port = 8443
      keep-alive = 10
      model-id = dtmi:com:example:gateway;1
      [data]
      connect.auto-on-startup = True
      connect.retry-interval = 1
      connect.spread = 600
      disconnect.quiesce-timeout = 0
      in-flight-messages.max-number = 128
      [telemetry]
      interval = 0
      priority = 0
      time-to-live = 31536000
      [led.LED1]
      driver = leds
      target = led1
      [led.lamp_2-b]
      driver = SYSFS
      target = 17
      active = Low
      initial = ON
      [agent]
      control-socket = /run/a.sock
      state-dir = /data/azimuth
      log-level = Debug`,
      (path) => {
        expect(path).toBe("/etc/key");
        return { text: `${CONNECTION};ModuleId=m\n` };
      },
    );
    expect(settings.endpoint).toMatchObject({
      mqttPort: 18_883,
      httpsPort: 8443,
      moduleId: "m",
      caFile: "/etc/roots.pem",
      keepAliveS: 10,
      modelId: "dtmi:com:example:gateway;1",
    });
    expect(settings.data).toMatchObject({
      autoOnStartup: true,
      retryIntervalS: 1,
      connectSpreadS: 600,
      quiesceTimeoutS: 0,
      inFlightMax: 128,
    });
    expect(settings.telemetry).toEqual({ intervalS: 0, priority: 0, ttlS: 31_536_000 });
    expect(settings.lamps).toEqual([
      { name: "LED1", driver: "leds", target: "led1", activeLow: false, initial: false },
      { name: "lamp_2-b", driver: "sysfs", target: "17", activeLow: true, initial: true },
    ]);
    expect(settings.agent).toEqual({
      controlSocket: "/run/a.sock",
      logLevel: Level.DEBUG,
      stateFolder: "/data/azimuth",
    });
  });

  test("type tpm: the least there can be, and everything given", () => {
    expect(settingsOf("[endpoint]\ntype = tpm\nid-scope = 0ne1").endpoint).toMatchObject({
      type: "tpm",
      hubName: "",
      deviceId: "",
      dpsHost: "global.azure-devices-provisioning.net",
      dpsPort: 443,
      idScope: "0ne1",
      registrationId: "",
      tpm: "/dev/tpmrm0",
      isHidden: true,
    });
    const { endpoint } = settingsOf(
      `[endpoint]
      type = TPM
      id-scope = 0ne1
      registration-id = gw-1
      dps-host = dps.example
      dps-port = 8443
      tpm = swtpm:127.0.0.1:2321
      tpm-parameter-encryption = false
      owner-password-file = /etc/owner
      endorsement-password-file = /etc/endorsement`,
      (path) => ({ text: `secret of ${path}` }),
    );
    expect(endpoint).toMatchObject({
      registrationId: "gw-1",
      dpsHost: "dps.example",
      dpsPort: 8443,
      tpm: "swtpm:127.0.0.1:2321",
      isHidden: false,
      ownerPassword: "secret of /etc/owner",
      endorsementPassword: "secret of /etc/endorsement",
    });
  });

  test("an optional key may be left empty", () => {
    const { endpoint } = settingsOf(withLines("ca-file =\nmodel-id =\nconnection-string-file ="));
    expect(endpoint.caFile).toBe("");
  });

  test.each([
    ["", "", 8883],
    [":8884", "", 8884],
    ["", "mqtt-port = 9000", 9000],
    [":8884", "mqtt-port = 9000", 9000],
    [":8884", "mqtt-port = 8883", 8883],
  ])("port: host %p, key %p: %p", (port, key, expected) => {
    const text = `HostName=h.net;GatewayHostName=g.net${port};DeviceId=d;SharedAccessKey=${KEY}`;
    const { endpoint } = settingsOf(`[endpoint]\nconnection-string = ${text}\n${key}`);
    expect(endpoint).toMatchObject({ hubName: "h.net", host: "g.net", mqttPort: expected });
  });

  test("as many lamps as there may be", () => {
    const lamps = Array.from({ length: 32 }, (_, n) => `[led.L${n}]\ndriver=sysfs\ntarget=${n}`);
    expect(settingsOf(withLines(lamps.join("\n"))).lamps).toHaveLength(32);
  });
});

const LAMP = "[led.A]\ndriver";

describe("what only shows across keys", () => {
  test.each([
    ["[led.A]\ntarget = 5", "4: [led.A] driver: is missing", "leds, sysfs or file"],
    [
      `${LAMP} = leds`,
      "4: [led.A] target: is missing",
      "for leds a name in /sys/class/leds, for sysfs a line number, for file an absolute path",
    ],
    [
      `${LAMP} = sysfs\ntarget = led1`,
      '5: [led.A] target: "led1" is not a whole decimal number for driver sysfs',
      "0 .. 65535",
    ],
    [
      `${LAMP} = file\ntarget = led1`,
      "5: [led.A] target: does not start with / for driver file",
      "an absolute path",
    ],
    [
      `${LAMP} = sysfs\ntarget = 5\n[led.B]\ndriver = SYSFS\ntarget = 5`,
      "8: [led.B] target: is the pin of [led.A] too",
      "one lamp for each pin",
    ],
  ])("%#", (lines, problem, allowed) => {
    expect(problemsOf(withLines(lines))).toEqual([`a.ini:${problem}; allowed: ${allowed}`]);
  });

  test("one target under two drivers is two pins", () => {
    const lamps = `${LAMP} = sysfs\ntarget = 5\n[led.B]\ndriver = leds\ntarget = 5`;
    expect(settingsOf(withLines(lamps)).lamps).toHaveLength(2);
  });

  test.each([
    ["ca-file", "/etc/roots.pem", "/etc/roots.pem"],
    ["ca-file", "/etc/./roots.pem", "//etc/azimuth/../roots.pem"],
    ["control-socket", "/run/a.sock", "/run/a.sock"],
  ])("a lamp may not be the file of %s at %s", (key, path, target) => {
    const section = key === "ca-file" ? "endpoint" : "agent";
    const text = withFile(`[${section}]\n${key}`, path, target);
    const problem = `is the ${key} of [${section}] too; allowed: a file of its own`;
    expect(problemsOf(text)).toEqual([`a.ini:7: [led.A] target: ${problem}`]);
    expect(settingsOf(`${text}x`).lamps).toHaveLength(1);
  });

  test("nor that of the connection string, nor the control socket's where that is left out", () => {
    const file = "[endpoint]\nconnection-string-file = /k\n[led.A]\ndriver = file\ntarget = /k";
    expect(problemsOf(file, () => ({ text: CONNECTION }))).toEqual([
      "a.ini:5: [led.A] target: is the connection-string-file of [endpoint] too; " +
        "allowed: a file of its own",
    ]);
    const socket = withLines(`${LAMP} = file\ntarget = /run/azimuth/control.sock`);
    expect(problemsOf(socket)).toHaveLength(1);
  });

  test("a lamp's section without keys lacks them", () => {
    const sections = [
      { name: "endpoint", line: 1 },
      { name: "led.A", line: 3 },
    ];
    const validated = validate(entries(withLines("")), [], NO_FILE, sections);
    const problems = "problems" in validated ? validated.problems : [];
    expect(problems.map(({ line, key }) => `${line} ${key}`)).toEqual(["3 driver", "3 target"]);
  });

  test("of a lamp whose driver is unknown the target is not judged", () => {
    expect(problemsOf(withLines(`${LAMP} = gpio\ntarget = x`))).toEqual([
      'a.ini:4: [led.A] driver: "gpio" is not one of them; allowed: leds, sysfs or file',
    ]);
  });
});

describe("many problems", () => {
  test("all at once, by line, with those of the reader", () => {
    const known: Problem[] = [
      { line: 5, section: "data", key: "", text: "no = in this line" },
      { line: 3, section: "data", key: "foo", text: "set twice" },
    ];
    const text = "[data]\nfoo = 1\nfoo = 2\n[telemetry]\n\ninterval = x\n[agnt]\na = 1";
    const validated = validate(entries(text), known, NO_FILE);
    const lines = "problems" in validated ? validated.problems.map((problem) => problem.line) : [];
    expect(lines).toEqual([0, 2, 3, 3, 5, 6, 8]);
  });

  test("of a file that could not be read there is no more to say than that", () => {
    const known = [{ line: 0, section: "", key: "", text: "no such file" }];
    expect(validate([], known, NO_FILE)).toEqual({ problems: known });
  });

  test("a key whose line the reader could not read does not count as missing", () => {
    const known: Problem[] = [
      { line: 2, section: "endpoint", key: "connection-string", text: "no closing quote" },
      { line: 5, section: "led.A", key: "target", text: "no closing quote" },
    ];
    const text = "[endpoint]\ntype = sas\n[led.A]\ndriver = leds";
    expect(validate(entries(text), known, NO_FILE)).toEqual({ problems: known });
  });
});

describe("secrets", () => {
  test.each([
    ["endpoint", "ca-file"],
    ["endpoint", "connection-string-file"],
    ["agent", "control-socket"],
    ["led.A", "target"],
  ])("in a path of [%s] %s are refused, so that nobody prints them later", (section, key) => {
    const lamp = "[led.A]\ndriver = file\n[led.A]";
    const head = section === "led.A" ? lamp : `[${section}]`;
    for (const secret of [CONNECTION, `SharedAccessSignature sr=h&sig=${KEY}`]) {
      const said = problemsOf(withLines(`${head}\n${key} = /etc/${secret}`));
      expect(said.join("\n")).toContain(`[${section}] ${key}: holds a key, which is not shown`);
      expect(said.join("\n")).not.toContain(KEY.slice(0, 12));
    }
    expect(filesWanted(entries(`${head}\n${key} = /etc/${CONNECTION}`))).toEqual([]);
  });

  test.each([
    `[endpoint]\nconnection-string = SharedAccessKey=${KEY}`,
    `[endpoint]\nconnection-string = ${CONNECTION};${KEY}`,
    `[endpoint]\nca-file = ${CONNECTION}`,
    `[endpoint]\nmodel-id = ${CONNECTION}`,
    `[endpoint]\nmqtt-port = ${KEY}`,
    `[endpoint]\ntype = ${KEY}`,
    `[endpoint]\n${CONNECTION}`,
    `[endpoint]\n${KEY}`,
    `${KEY}`,
    `[${KEY}]\na = 1`,
    `[led.${KEY}]\na = 1`,
    `[leds.${KEY}]\na = 1`,
    `[led.A]\ndriver = ${KEY}\ntarget = ${CONNECTION}`,
    `[led.A]\ndriver = sysfs\ntarget = ${KEY}`,
    `[data]\nconnect.auto-on-startup = ${KEY}`,
  ])("no message shows one: %#", (text) => {
    const said = problemsOf(text).join("\n");
    expect(said).not.toContain(KEY.slice(0, 12));
    expect(said).not.toContain(KEY.slice(-12));
  });
});
