// Usage, tested: every command with every option, and each way to be misunderstood.
// Neighbours: `src/core/usage.ts`; `main` acts on what it returns.
// Invariant: what the help promises is parsed here, word by word.

import { describe, expect, test } from "bun:test";
import {
  HELP,
  parseArguments,
  SETTINGS_FILE,
  type SealCommand,
  type TpmCommand,
} from "../../src/core/usage.ts";

/** Parses a command line as a shell without quotes would split it. */
function parse(line: string) {
  return parseArguments(line.split(" ").filter((word) => word !== ""));
}

const TPM: TpmCommand = {
  name: "tpm",
  placeText: "/dev/tpmrm0",
  place: { device: "/dev/tpmrm0" },
  output: "text",
  deviceId: "",
  isScanned: false,
  isCreating: false,
  library: "",
};
const SEAL: SealCommand = {
  name: "seal",
  file: SETTINGS_FILE,
  placeText: "",
  isReplacing: false,
  ownerPasswordFile: "",
  library: "",
};
const SWTPM = { placeText: "swtpm:/s", place: { path: "/s" } };

const REACH = { file: SETTINGS_FILE, socket: "" };

describe("understood", () => {
  test.each([
    ["run", { name: "run", file: SETTINGS_FILE }],
    ["run -c a.ini", { name: "run", file: "a.ini" }],
    ["run --config a.ini", { name: "run", file: "a.ini" }],
    ["run --config=a=b.ini", { name: "run", file: "a=b.ini" }],
    ["check -c a.ini", { name: "check", file: "a.ini" }],
    ["status", { name: "status", reach: REACH, isJson: false }],
    ["status --json", { name: "status", reach: REACH, isJson: true }],
    [
      "status --json -c a.ini -s b.sock",
      { name: "status", reach: { file: "a.ini", socket: "b.sock" }, isJson: true },
    ],
    ["connect", { name: "connect", reach: REACH }],
    [
      "disconnect --socket=/s",
      { name: "disconnect", reach: { file: SETTINGS_FILE, socket: "/s" } },
    ],
    ["reload", { name: "reload", reach: REACH }],
    ["led LED1 on", { name: "led", reach: REACH, lamp: "LED1", action: "on" }],
    ["led LED1 off", { name: "led", reach: REACH, lamp: "LED1", action: "off" }],
    [
      "led -c a.ini LED1 auto",
      { name: "led", reach: { file: "a.ini", socket: "" }, lamp: "LED1", action: "auto" },
    ],
    ["tpm", TPM],
    ["tpm --json", { ...TPM, output: "json" }],
    ["tpm --qr --create", { ...TPM, isScanned: true, isCreating: true }],
    ["tpm --tpm swtpm:/s --library=l.so", { ...TPM, ...SWTPM, library: "l.so" }],
    ["tpm --enrollment", { ...TPM, output: "enrollment" }],
    [
      "tpm --enrollment --device-id ac:de:48:00:11:22",
      { ...TPM, output: "enrollment", deviceId: "ac:de:48:00:11:22" },
    ],
    ["seal", SEAL],
    ["seal -c a.ini --replace", { ...SEAL, file: "a.ini", isReplacing: true }],
    ["seal --tpm swtpm:/s --library l.so", { ...SEAL, placeText: "swtpm:/s", library: "l.so" }],
    ["seal --owner-password-file /p", { ...SEAL, ownerPasswordFile: "/p" }],
    ["version", { name: "version" }],
    ["--version", { name: "version" }],
    ["-V", { name: "version" }],
    ["help", { name: "help" }],
    ["--help", { name: "help" }],
    ["-h", { name: "help" }],
    ["led --help", { name: "help" }],
    ["run -h", { name: "help" }],
  ])("azimuth %s", (line, expected) => {
    expect(parse(line)).toEqual(expected as ReturnType<typeof parse>);
  });
});

describe("not understood", () => {
  const wantsLamp = "azimuth led wants a lamp and a state: azimuth led NAME on|off|auto";

  test.each([
    ["", "no command given; try azimuth help"],
    ["staus", 'unknown command "staus"; did you mean status?'],
    ["Reload", 'unknown command "Reload"; did you mean reload?'],
    [
      "fly",
      'unknown command "fly"; allowed: run, check, status, connect, disconnect, reload, led, ' +
        "tpm, seal, version, help",
    ],
    ["constructor", expect.stringContaining('unknown command "constructor"')],
    ["run now", 'azimuth run takes no argument "now"'],
    ["version 2", 'azimuth version takes no argument "2"'],
    ["run --jsn", 'azimuth run has no option "--jsn"; allowed: --config, -c'],
    ["status --jsn", 'azimuth status has no option "--jsn"; did you mean --json?'],
    ["run --socket s", 'azimuth run has no option "--socket"; allowed: --config, -c'],
    ["version -c a", 'azimuth version has no option "-c"; allowed: none'],
    ["run --constructor", 'azimuth run has no option "--constructor"; allowed: --config, -c'],
    ["run -c", "-c needs a value"],
    ["run --config=", "--config needs a value"],
    ["run -c a -c b", "--config is given twice"],
    ["run -c a --config=b", "--config is given twice"],
    ["status --json=1", "--json takes no value"],
    [
      "tpm --tpm tpm0",
      '--tpm "tpm0"; allowed: a device like /dev/tpmrm0, swtpm:HOST:PORT or ' +
        "swtpm:/PATH of a socket",
    ],
    [
      "seal --tpm tpm0",
      '--tpm "tpm0"; allowed: a device like /dev/tpmrm0, swtpm:HOST:PORT or ' +
        "swtpm:/PATH of a socket",
    ],
    ["seal --key AAAA", expect.stringContaining('azimuth seal has no option "--key"; allowed: ')],
    ["tpm --json --enrollment", "--json and --enrollment exclude each other"],
    ["tpm --json --qr", "--json and --qr exclude each other"],
    ["tpm --device-id a", "--device-id goes with --enrollment"],
    [
      "tpm --enrollment --device-id a/b",
      '--device-id "a/b"; allowed: 1 to 128 letters, digits and - . % _ * ? ! ( ) , : = @ $ \'',
    ],
    ["tpm -c a", expect.stringContaining('azimuth tpm has no option "-c"; allowed: --json, ')],
    ["tpm now", 'azimuth tpm takes no argument "now"'],
    ["led", wantsLamp],
    ["led LED1", wantsLamp],
    ["led LED1 blue", wantsLamp],
    ["led LED1 on off", wantsLamp],
  ])("azimuth %s", (line, problem) => {
    expect(parse(line)).toEqual({ problem });
  });
});

describe("help", () => {
  test("keeps to 80 columns of plain ASCII and ends with a newline", () => {
    for (const line of HELP.split("\n")) expect(line).toMatch(/^[ -~]{0,80}$/);
    expect(HELP.endsWith("\n")).toBe(true);
  });

  test("names every command and every option, and no others", () => {
    const commands = [...HELP.matchAll(/^ {2}([a-z]+)/gm)].map(([, word]) => word!);
    for (const command of commands) {
      const words = command === "led" ? ["led", "A", "on"] : [command];
      expect(parseArguments(words)).toHaveProperty("name", command);
    }
    const all = /allowed: (.*)$/.exec((parse("fly") as { problem: string }).problem)![1]!;
    expect(commands).toEqual(all.split(", "));
    const options = [...HELP.matchAll(/[ [](--[a-z-]+)/g)].map(([, word]) => word!);
    expect([...new Set(options)].sort()).toEqual([
      "--config",
      "--create",
      "--device-id",
      "--enrollment",
      "--json",
      "--library",
      "--owner-password-file",
      "--qr",
      "--replace",
      "--socket",
      "--tpm",
    ]);
  });
});
