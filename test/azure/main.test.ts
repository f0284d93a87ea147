/**
 * The command line: `serve` with its ready line, the small client, exit codes, what a restart
 * knows. Neighbours: `main.ts` runs in its own process here. Invariant: every process is waited
 * for.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Caller } from "./caller.ts";
import { KEY } from "./lab.ts";
import type { Ready } from "./server/ready.ts";
import { WireDevice } from "./wire.ts";

const MAIN = join(import.meta.dir, "main.ts");
const root = mkdtempSync(join(tmpdir(), "azure-main-"));
const data = join(root, "data");

const children = new Set<Bun.Subprocess>();

// A test that fails half-way must not leave its emulator behind.
afterAll(async () => {
  for (const child of children) child.kill();
  await Promise.all([...children].map((child) => child.exited));
  rmSync(root, { recursive: true, force: true });
});

interface Served {
  ready: Ready;
  /** SIGTERM, then exit code, rest of stdout, stderr. */
  stop(signal?: NodeJS.Signals): Promise<{ code: number; out: string; log: string }>;
}

/** Starts `serve` and waits for the ready line. */
async function serve(...parameters: string[]): Promise<Served> {
  const child = Bun.spawn([process.execPath, MAIN, "serve", ...parameters], {
    stdout: "pipe",
    stderr: "pipe",
  });
  children.add(child);
  const reader = child.stdout.getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`serve has ended: ${await new Response(child.stderr).text()}`);
    text += Buffer.from(value).toString();
  }
  const [line, ...rest] = text.split("\n");
  return {
    ready: JSON.parse(line!),
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      const code = await child.exited;
      children.delete(child);
      let out = rest.join("\n");
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        out += Buffer.from(read.value).toString();
      }
      return { code, out, log: await new Response(child.stderr).text() };
    },
  };
}

/** Runs a command to its end. */
async function run(...parameters: string[]) {
  const child = Bun.spawn([process.execPath, MAIN, ...parameters], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const out = await new Response(child.stdout).text();
  const problem = await new Response(child.stderr).text();
  return { code: await child.exited, out, problem };
}

describe("serve", () => {
  test("prints one ready line and stops cleanly on both signals, leaving no folder", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const served = await serve("--quiet", "--hub-name", "my.hub", "--id-scope", "0ne1");
      expect(Object.keys(served.ready)).toEqual([
        "ready",
        "host",
        "httpsPort",
        "mqttPort",
        "hubName",
        "idScope",
        "caFile",
        "servicePolicy",
        "serviceKey",
        "dpsPolicy",
        "dpsKey",
      ]);
      expect(served.ready).toMatchObject({ hubName: "my.hub", idScope: "0ne1", host: "localhost" });
      expect(statSync(served.ready.caFile).isFile()).toBe(true);
      expect(await served.stop(signal)).toEqual({ code: 0, out: "", log: "" });
      expect(() => statSync(served.ready.caFile)).toThrow();
    }
  });

  test("makes devices and faults it is told, and logs reasons on stderr", async () => {
    const fault = '{"kind":"refuse","code":3,"count":1}';
    const served = await serve("--device", `d1:${KEY}`, "--device", "d2", "--fault", fault);
    const first = await WireDevice.open(served.ready, "d1");
    expect(await first.connect(KEY)).toMatchObject({ returnCode: 3 });
    const second = await WireDevice.open(served.ready, "d1");
    expect(await second.connect(KEY)).toMatchObject({ returnCode: 0 });
    second.publish("nowhere", "x");
    await second.ended();
    const { code, log } = await served.stop();
    expect(code).toBe(0);
    expect(log).toMatch(/ device d2 created, enabled\n/);
    expect(log).toMatch(/ refuse d1 CONNACK 3, 401003 IotHubUnauthorizedAccess: fault refuse\n/);
    expect(log).toMatch(/ close d1 by hub, 400004 ArgumentInvalid: publish to nowhere, which/);
    expect(log).not.toContain(KEY);
  });

  test("a restarted emulator knows keys, devices and twins; a second one is refused", async () => {
    const folder = join(root, "restart");
    const first = await serve("--data", folder, "--device", `d1:${KEY}`, "--quiet");
    const caller = new Caller(first.ready);
    const patch = { properties: { desired: { LED1: true } } };
    await caller.service("PATCH", "/twins/d1", { body: patch });
    const other = await run("serve", "--data", folder);
    expect(other.code).toBe(1);
    expect(other.problem).toMatch(/^azure: .*another emulator \(pid \d+\) uses this folder\n$/);
    expect((await first.stop()).code).toBe(0);
    for (const file of readdirSync(folder)) {
      expect(statSync(join(folder, file)).mode & 0o077).toBe(0);
    }
    expect(statSync(folder).mode & 0o777).toBe(0o700);

    const second = await serve("--data", folder, "--quiet");
    expect(second.ready.serviceKey).toBe(first.ready.serviceKey);
    expect(second.ready.dpsKey).toBe(first.ready.dpsKey);
    const twin = await new Caller(second.ready).service("GET", "/twins/d1");
    expect(twin.body.properties.desired).toMatchObject({ LED1: true, $version: 2 });
    const device = await WireDevice.open(second.ready, "d1");
    expect(await device.connect(KEY)).toMatchObject({ returnCode: 0 });
    device.destroy();
    await second.stop();
  });

  test("a state file that is none of its own is refused by name", async () => {
    const folder = join(root, "odd");
    const served = await serve("--data", folder, "--quiet");
    await served.stop();
    writeFileSync(join(folder, "hub.json"), "{");
    const { code, problem } = await run("serve", "--data", folder);
    expect(code).toBe(1);
    expect(problem).toMatch(/hub\.json: not JSON/);
  });

  test("a port that is taken is a one-line error", async () => {
    const served = await serve("--quiet");
    const { code, problem } = await run("serve", "--mqtt-port", `${served.ready.mqttPort}`);
    expect(code).toBe(1);
    expect(problem.trim().split("\n")).toHaveLength(1);
    expect(problem).toContain(`${served.ready.mqttPort}`);
    await served.stop();
  });
});

describe("client", () => {
  let served: Served;

  beforeAll(async () => {
    served = await serve("--data", data, "--quiet");
  });

  afterAll(() => served.stop());

  const client = (...words: string[]) => run(...words, "--data", data);

  test("device create prints connection strings that connect", async () => {
    const { code, out } = await client("device", "create", "c1");
    expect(code).toBe(0);
    const [plain, gateway] = out.trim().split("\n");
    expect(plain).toMatch(/^HostName=localhost;DeviceId=c1;SharedAccessKey=[A-Za-z0-9+/=]{44}$/);
    expect(gateway).toBe(`${plain};GatewayHostName=localhost:${served.ready.mqttPort}`);
    const device = await WireDevice.open(served.ready, "c1");
    const key = /SharedAccessKey=(.*)$/.exec(plain!)![1]!;
    expect(await device.connect(key)).toMatchObject({ returnCode: 0 });
    device.destroy();
  });

  test("device list, show, disable, enable, delete", async () => {
    await client("device", "create", "c2", "--device-key", KEY);
    expect((await client("device", "disable", "c2")).code).toBe(0);
    expect((await client("device", "list")).out).toContain("c2 disabled Disconnected\n");
    expect((await client("device", "enable", "c2")).code).toBe(0);
    const { out } = await client("device", "show", "c2");
    expect(out).toContain('"status": "enabled"');
    expect(out).toContain(`SharedAccessKey=${KEY}`);
    expect((await client("device", "delete", "c2")).code).toBe(0);
    const gone = await client("device", "show", "c2");
    expect([gone.code, gone.problem]).toEqual([
      1,
      "azure: 404 DeviceNotFound: device c2 is not registered\n",
    ]);
  });

  test("twin set and get, method, c2d, tail", async () => {
    await client("device", "create", "c3", "--device-key", KEY);
    expect((await client("twin", "set", "c3", '{"LED1":true}')).code).toBe(0);
    expect((await client("twin", "set", "c3", '{"tags":{"a":1}}')).code).toBe(0);
    const twin = JSON.parse((await client("twin", "get", "c3")).out);
    expect(twin.properties.desired.LED1).toBe(true);
    expect(twin.tags).toEqual({ a: 1 });
    const away = await client("method", "c3", "blink");
    expect([away.code, away.problem]).toEqual([
      1,
      "azure: 404 DeviceNotOnline: the device is not online\n",
    ]);
    const sent = await client("c2d", "c3", "hello", "--bag", "$.mid=m9&a=b");
    expect(sent.out).toBe("m9\n");

    const child = Bun.spawn([process.execPath, MAIN, "tail", "c3", "--data", data], {
      stdout: "pipe",
    });
    const reader = child.stdout.getReader();
    let text = "";
    while (!text.includes("c2d c3 m9 queued")) {
      const { done, value } = await reader.read();
      if (done) break;
      text += Buffer.from(value).toString();
    }
    child.kill();
    await child.exited;
    expect(text).toContain("c2d c3 m9 queued");
  });

  test("words too many, and devices that are not there, are refused at once", async () => {
    const many = [
      ["device", "list", "all"],
      ["device", "create", "c9", "c10"],
      ["twin", "get", "c1", "LED1"],
      ["twin", "set", "c1", "{}", "{}"],
      ["method", "c1", "blink", "1", "2"],
      ["c2d", "c1", "hello", "there"],
      ["tail", "c1", "c2"],
      ["enroll", "c9", "--symmetric", "c9"],
      ["enrollment", "list", "all"],
      ["enrollment", "show", "c9", "c10"],
      ["registration", "show", "c9", "c10"],
    ];
    for (const words of many) {
      const { code, problem } = await client(...words);
      expect(problem).toMatch(/^azure: "[^"]+" is a word too many; put what .*\n$/);
      expect(code).toBe(2);
    }
    expect((await client("device", "list")).out).not.toContain("c9 ");
    const gone = await client("tail", "nope");
    expect([gone.code, gone.problem]).toEqual([
      1,
      "azure: 404 DeviceNotFound: device nope is not registered\n",
    ]);
  });

  test("says in its own words why there is no answer", async () => {
    const other = await serve("--quiet");
    const { caFile, httpsPort } = served.ready;
    const from = (port: number) =>
      run("device", "list", "--url", `https://localhost:${port}`, "--ca", caFile, "--key", KEY);
    const foreign = await from(other.ready.httpsPort);
    expect(foreign.problem).toMatch(
      /: its certificate is not one of this authority \([A-Z_]+\)\n$/,
    );
    await other.stop();
    const nobody = await from(other.ready.httpsPort);
    expect(nobody.problem).toEndWith(`:${other.ready.httpsPort}: nothing listens there\n`);
    expect((await from(httpsPort)).problem).toContain("401");
  });

  test("finds the emulator by address, authority and key", async () => {
    const { caFile, httpsPort, serviceKey } = served.ready;
    const url = `https://localhost:${httpsPort}`;
    const where = ["--url", url, "--ca", caFile, "--key", serviceKey];
    expect((await run("device", "list", ...where)).code).toBe(0);
    const wrong = ["--url", url, "--ca", caFile, "--key", KEY];
    const refused = await run("device", "list", ...wrong);
    expect(refused.code).toBe(1);
    expect(refused.problem).toMatch(
      /^azure: 401 IotHubUnauthorizedAccess: .*policy iothubowner\n$/,
    );
  });
});

describe("errors", () => {
  const at = (url: string, ca = "/none", key = KEY) => ["--url", url, "--ca", ca, "--key", key];
  const cases: [string[], number, RegExp][] = [
    [[], 2, /a command is missing/],
    [["dance"], 2, /dance is not a command/],
    [["serve", "--nonsense"], 2, /nonsense/],
    [["serve", "--https-port", "99999"], 2, /--https-port must be a whole number from 0 to 65535/],
    [["serve", "--cert-type", "dsa"], 2, /--cert-type must be one of ec, rsa/],
    [["serve", "--quiet", "--fault", "{"], 2, /--fault is not JSON/],
    [["serve", "--quiet", "--fault", '{"kind":"x"}'], 1, /kind must be one of/],
    [["serve", "--quiet", "--device", "a b"], 1, /deviceId must be/],
    [["serve", "now"], 2, /"now" is a word too many/],
    [["serve", "--service-key", "zzz"], 2, /--service-key is not base64/],
    [["serve", "--hub-name", ""], 2, /--hub-name "" is not a host name or address/],
    [["serve", "--name", "a,b"], 2, /--name "a,b" is not a host name or address/],
    [["serve", "--data", MAIN], 1, /^azure: .*main\.ts: is not a folder \(EEXIST\)$/m],
    [["enroll"], 2, /give --data DIR, or --url URL/],
    [["device", "list"], 2, /give --data DIR, or --url URL/],
    [["device", "list", "--data", "/nonexistent"], 1, /no emulator runs in this folder/],
    [["device", "list", ...at("localhost:1")], 2, /--url must be https:/],
    [["device", "list", ...at("https://localhost:1", "/none")], 1, /none: cannot be read/],
    [["device", "list", ...at("https://localhost:1", MAIN)], 1, /holds no certificate in PEM/],
    [["device", "list", ...at("https://localhost:1", MAIN, "?")], 2, /--key is not base64/],
  ];
  for (const [words, code, problem] of cases) {
    test(words.join(" ") || "nothing", async () => {
      const ended = await run(...words);
      expect(ended.code).toBe(code);
      expect(ended.problem).toMatch(problem);
      expect(ended.problem.trim().split("\n")).toHaveLength(1);
    });
  }

  test("--help lists the commands", async () => {
    const { code, out } = await run("--help");
    expect(code).toBe(0);
    for (const word of [
      "serve",
      "device create",
      "twin",
      "c2d",
      "tail",
      "enroll --tpm",
      "enrollment",
      "registration",
    ]) {
      expect(out).toContain(word);
    }
  });
});
