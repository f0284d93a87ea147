// Validate, tested: whole settings files, sound ones and every way to get one wrong.
// Neighbours: `src/core/{validate,sheet}.ts`; the reader of the file has its own tests.
// Invariant: the messages are written out in full, as a person at a serial console reads them.

import { describe, expect, test } from "bun:test";
import type { Entry, Problem } from "../../src/core/effects.ts";
import { Level } from "../../src/core/effects.ts";
import type { Settings } from "../../src/core/settings.ts";
import { type FileText, filesWanted, formatProblem, validate } from "../../src/core/validate.ts";

const KEY = "bm90IGEgcmVhbCBrZXksIG9ubHkgYSB0ZXN0IG9uZQ==";
const CONNECTION = `HostName=hub.example.net;DeviceId=gw1;SharedAccessKey=${KEY}`;

/** Entries of a small INI text without comments. */
function entries(text: string): Entry[] {
  const found: Entry[] = [];
  let section = "";
  text.split("\n").forEach((raw, index) => {
    const line = raw.trim();
    if (line === "") return;
    if (line.startsWith("[")) {
      section = line.slice(1, -1);
      return;
    }
    const equals = line.indexOf("=");
    const key = line.slice(0, equals).trim();
    found.push({ section, key, value: line.slice(equals + 1).trim(), line: index + 1 });
  });
  return found;
}

const NO_FILE = (): FileText => ({ problem: "no such file" });

function settingsOf(text: string, fileOf: (path: string) => FileText = NO_FILE): Settings {
  const validated = validate(entries(text), [], fileOf);
  if ("problems" in validated) throw new Error(JSON.stringify(validated.problems));
  return validated.settings;
}

function problemsOf(text: string, fileOf: (path: string) => FileText = NO_FILE): string[] {
  const validated = validate(entries(text), [], fileOf);
  if ("settings" in validated) throw new Error("no problem was found");
  return validated.problems.map((problem) => formatProblem("a.ini", problem));
}

/** A sound file with a few lines more, which begin at line 3. */
function withLines(lines: string): string {
  return `[endpoint]\nconnection-string = ${CONNECTION}\n${lines}`;
}

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
      data: { autoOnStartup: false, retryIntervalS: 60, quiesceTimeoutS: 10, inFlightMax: 8 },
      telemetry: { intervalS: 10 },
      lamps: [],
      agent: {
        controlSocket: "/run/azimuth/control.sock",
        logLevel: Level.INFO,
        stateFolder: "/var/lib/azimuth",
      },
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
      disconnect.quiesce-timeout = 0
      in-flight-messages.max-number = 128
      [telemetry]
      interval = 0
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
    expect(settings.data).toEqual({
      autoOnStartup: true,
      retryIntervalS: 1,
      quiesceTimeoutS: 0,
      inFlightMax: 128,
    });
    expect(settings.telemetry.intervalS).toBe(0);
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

describe("files wanted", () => {
  test("none, the one named, none when the path is faulty", () => {
    expect(filesWanted(entries(withLines("")))).toEqual([]);
    expect(filesWanted(entries("[endpoint]\nconnection-string-file = /a/b"))).toEqual(["/a/b"]);
    expect(filesWanted(entries("[endpoint]\nconnection-string-file = b"))).toEqual([]);
  });
});

const ONE_OF = "allowed: exactly one of connection-string and connection-string-file";
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

  test("of a lamp whose driver is unknown the target is not judged", () => {
    expect(problemsOf(withLines(`${LAMP} = gpio\ntarget = x`))).toEqual([
      'a.ini:4: [led.A] driver: "gpio" is not one of them; allowed: leds, sysfs or file',
    ]);
  });
});

describe("the connection string", () => {
  test("given twice, inline and as a file", () => {
    const beside = "cannot stand beside";
    expect(problemsOf(withLines("connection-string-file = /k"))).toEqual([
      "a.ini:3: [endpoint] connection-string-file: " +
        `${beside} connection-string of line 2; ${ONE_OF}`,
    ]);
    const text = `[endpoint]\nconnection-string-file = /k\nconnection-string = ${CONNECTION}`;
    expect(problemsOf(text)).toEqual([
      "a.ini:3: [endpoint] connection-string: " +
        `${beside} connection-string-file of line 2; ${ONE_OF}`,
    ]);
  });

  test("missing: in an empty file, beside other keys, left empty", () => {
    const text = `[endpoint] connection-string: is missing; ${ONE_OF}`;
    expect(problemsOf("")).toEqual([`a.ini: ${text}`]);
    expect(problemsOf("\n[endpoint]\ntype = sas")).toEqual([`a.ini:3: ${text}`]);
    expect(problemsOf("\n[endpoint]\nconnection-string =")).toEqual([`a.ini:3: ${text}`]);
  });

  test("faulty, inline and in a file", () => {
    const inline = problemsOf("[endpoint]\nconnection-string = HostName=h.net;DeviceId=d");
    const file = problemsOf("[endpoint]\nconnection-string-file = /k", () => ({
      text: "HostName=h.net;DeviceId=d",
    }));
    const text = "SharedAccessKey is missing (or x509=true)";
    expect(inline).toEqual([`a.ini:2: [endpoint] connection-string: ${text}`]);
    expect(file).toEqual([`a.ini:2: [endpoint] connection-string-file: in that file ${text}`]);
  });

  test("of a certificate", () => {
    const text = "[endpoint]\nconnection-string = HostName=h.net;DeviceId=d;x509=true";
    expect(problemsOf(text)).toEqual([
      "a.ini:2: [endpoint] connection-string: x509=true does not go with type sas; " +
        "allowed: a connection string with SharedAccessKey",
    ]);
  });

  test("a file that cannot be read", () => {
    const text = "[endpoint]\nconnection-string-file = /etc/key";
    expect(problemsOf(text)).toEqual(["a.ini:2: [endpoint] connection-string-file: no such file"]);
  });

  test("a file is not asked for when its path is faulty", () => {
    const text = "[endpoint]\nconnection-string-file = key";
    const fileOf = (): FileText => {
      throw new Error("asked");
    };
    expect(problemsOf(text, fileOf)).toEqual([
      "a.ini:2: [endpoint] connection-string-file: does not start with /; " +
        "allowed: an absolute path",
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

describe("the two types", () => {
  test("type tpm wants an id scope", () => {
    expect(problemsOf("[endpoint]\ntype = tpm")).toEqual([
      "a.ini:2: [endpoint] id-scope: is missing; allowed: letters and digits like 0ne00012AB3, " +
        "as the portal shows it",
    ]);
  });

  test("a connection string does not go with type tpm, nor the TPM's keys with type sas", () => {
    const tpm = `[endpoint]\ntype = tpm\nid-scope = 0ne1\nconnection-string = ${CONNECTION}`;
    expect(problemsOf(tpm)).toEqual([
      "a.ini:4: [endpoint] connection-string: does not go with type tpm; allowed: with type sas",
    ]);
    expect(problemsOf(withLines("id-scope = 0ne1\nowner-password-file = /x"))).toEqual([
      "a.ini:3: [endpoint] id-scope: does not go with type sas; allowed: with type tpm",
      "a.ini:4: [endpoint] owner-password-file: does not go with type sas; allowed: with type tpm",
      "a.ini:4: [endpoint] owner-password-file: no such file",
    ]);
  });

  test("a password that no TPM takes, or that cannot be read, is told without it", () => {
    const text = "[endpoint]\ntype = tpm\nid-scope = 0ne1\nowner-password-file = /x";
    const long = problemsOf(text, () => ({ text: "p".repeat(65) }));
    expect(long).toEqual([
      "a.ini:4: [endpoint] owner-password-file: the password in that file is 65 bytes long; " +
        "allowed: up to 64",
    ]);
    expect(settingsOf(text, () => ({ text: "p".repeat(64) })).endpoint.ownerPassword).toHaveLength(
      64,
    );
    expect(problemsOf(text, () => ({ problem: "/x: no such file" }))).toEqual([
      "a.ini:4: [endpoint] owner-password-file: /x: no such file",
    ]);
  });

  test("a port beyond the last one is refused", () => {
    const text = "[endpoint]\ntype = tpm\nid-scope = 0ne1\ntpm = swtpm:localhost:65536";
    expect(problemsOf(text)).toEqual([
      "a.ini:4: [endpoint] tpm: no such port; allowed: port 1 .. 65535",
    ]);
  });
});
