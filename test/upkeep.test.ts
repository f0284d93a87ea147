// Upkeep, tested with the whole agent as a process at local Azure: service manager, watchdog
// device, metrics, connection schedule, and the recovery ladder over a restart.
// Neighbours: `site.ts`; each machine and port has its own test.
// Invariant: nothing waits for a fixed time; whatever is not seen in 30 s has failed.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { Status } from "../src/core/status.ts";
import { read } from "./core/openmetrics.ts";
import { Listener } from "./port/listener.ts";
import { Site, until } from "./site.ts";

let site: Site;
beforeEach(async () => {
  site = await Site.open();
});
afterEach(() => site.close());

async function status(): Promise<Status> {
  return JSON.parse((await site.command("status", "--json")).out) as Status;
}

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const textOf = (path: string) => (existsSync(path) ? readFileSync(path, "utf8") : "");

describe("watchdogs", () => {
  let listener: Listener;
  const heard: string[] = [];
  const hear = (): string[] => {
    for (let text = listener.next(); text !== ""; text = listener.next()) heard.push(text);
    return heard;
  };
  const count = (text: string) => hear().filter((one) => one === text).length;

  beforeEach(() => {
    heard.length = 0;
    listener = new Listener(Buffer.from(site.path("notify")));
  });
  afterEach(() => listener.close());

  test("the service manager hears that it is ready, lives and stops", async () => {
    site.environment = { NOTIFY_SOCKET: site.path("notify"), WATCHDOG_USEC: "1000000" };
    site.start();
    await until("READY", () => count("READY=1") === 1);
    await site.logged("connected to");
    const lives = count("WATCHDOG=1");
    await until("signs of life", () => count("WATCHDOG=1") >= lives + 3);
    expect(hear()).not.toContain("STOPPING=1");
    site.agent!.kill("SIGTERM");
    expect(await site.agent!.exited).toBe(0);
    expect(count("STOPPING=1")).toBe(1);
    expect(new Set(hear())).toEqual(new Set(["WATCHDOG=1", "READY=1", "STOPPING=1"]));
  });

  test("an agent that hangs gives no more signs, to nobody", async () => {
    const device = site.path("watchdog");
    writeFileSync(device, "");
    site.settings({ "watchdog device": device });
    site.environment = { NOTIFY_SOCKET: site.path("notify"), WATCHDOG_USEC: "1000000" };
    // A loop that runs for ever, at a moment of the test's choice.
    const path = site.path("hang.ts");
    writeFileSync(path, 'process.on("SIGUSR2", () => { for (;;); });');
    site.start("--preload", path);
    await site.logged("connected to");
    await until("signs of life", () => count("WATCHDOG=1") >= 3);
    site.agent!.kill("SIGUSR2");
    await until("silence", () => {
      const before = count("WATCHDOG=1");
      Bun.sleepSync(600);
      return count("WATCHDOG=1") === before;
    });
    const size = statSync(device).size;
    expect(size).toBeGreaterThan(0);
    site.agent!.kill("SIGKILL");
    await site.agent!.exited;
    expect(textOf(device)).toBe("\n".repeat(size));
  });

  test("the device is fed, and stopped when the agent ends of its own will", async () => {
    const device = site.path("watchdog");
    writeFileSync(device, "");
    site.settings({ "watchdog device": device, "watchdog timeout": "5" });
    site.start();
    await site.logged(`${device} resets the machine after 5 s`);
    await site.logged("connected to");
    await until("signs of life", () => textOf(device).length >= 3);
    site.agent!.kill("SIGTERM");
    await site.agent!.exited;
    expect(textOf(device)).toMatch(/^\n{3,}V$/);
  });

  test("a device that is not there is one line, and the agent runs on", async () => {
    site.settings({ "watchdog device": "/dev/no-watchdog" });
    site.start();
    await site.logged("connected to");
    expect(site.log).toContain("/dev/no-watchdog: no such device; load the driver");
  });
});

describe("metrics", () => {
  test("in a file and at a port, as OpenMetrics, gone with the agent", async () => {
    const port = await freePort();
    const file = site.path("metrics.prom");
    site.settings({
      "metrics file": file,
      "metrics port": String(port),
      "metrics update-interval": "1",
    });
    site.start();
    await site.logged("connected to");
    const accepted = () => {
      const family = read(textOf(file)).get("azimuth_messages")?.samples ?? [];
      return family.find(({ labels }) => labels.fate === "acknowledged")?.value ?? 0;
    };
    await until("the file", () => textOf(file) !== "");
    await until("acknowledged messages in it", () => accepted() >= 2);
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
    expect(answer.headers.get("content-type")).toStartWith("application/openmetrics-text");
    const served = read(await answer.text());
    expect(served.get("azimuth_connected")!.samples[0]!.value).toBe(1);
    site.agent!.kill("SIGTERM");
    expect(await site.agent!.exited).toBe(0);
    expect(existsSync(file)).toBe(false);
  });

  test("a port that is taken is one line, and the agent runs on", async () => {
    const { httpsPort } = site.azure.ready;
    site.settings({ "metrics port": String(httpsPort) });
    site.start();
    await site.logged("connected to");
    expect(site.log).toContain(`port ${httpsPort} for metrics: in use by another program`);
  });
});

describe("the connection schedule", () => {
  const ENABLED = "data connection.schedule.enabled";
  const EXPRESSION = "data connection.schedule.expression";
  const INACTIVITY = "data connection.schedule.inactivity.interval.seconds";
  const countOf = (type: string) => site.events.filter((event) => event.type === type).length;

  test("connects by the clock, delivers, hangs up, and comes again", async () => {
    const every = { [EXPRESSION]: "*/4 * * * * ?", [INACTIVITY]: "1" };
    site.settings({ [ENABLED]: "true", ...every, "telemetry interval": "2" });
    site.start();
    await site.logged("the connection schedule connects at ");
    expect(countOf("connect")).toBe(0);
    await until("a second connection", () => countOf("connect") >= 2);
    await until("messages of both", () => site.received().length >= 3);
    const ends = site.events.filter((event) => event.type === "close");
    expect(ends.length).toBeGreaterThan(0);
    for (const end of ends) expect(end.reason).toBe("DISCONNECT");
    const sequences = site.received().map((id) => Number(id.split(".")[1]));
    expect(sequences).toEqual(sequences.map((_, index) => index + 1));
    expect((await status()).schedule).not.toBeNull();
    site.settings({});
    expect((await site.command("reload")).code).toBe(0);
    expect((await status()).schedule).toBeNull();
  });

  test.each([
    [EXPRESSION, "0 0 25 * * ?", "`0 0 25 * * ?`: "],
    [EXPRESSION, "0 0 0 1 1 ? 2001", "`0 0 0 1 1 ? 2001` never occurs from now on; allowed: "],
    ["data connection.schedule.timezone", "Mars/Olympus", "no time zone is called `Mars/Olympus`"],
  ])("%s = %s is refused at its line", async (name, value, problem) => {
    site.settings({ [ENABLED]: "true", [name]: value });
    const key = name.split(" ")[1]!;
    const lines = textOf(site.path("azimuth.ini")).split("\n");
    const line = lines.findIndex((one) => one.startsWith(key)) + 1;
    const place = `${site.path("azimuth.ini")}:${line}: [data] ${key}: ${problem}`;
    for (const command of ["check", "run"]) {
      const { code, err } = await site.command(command);
      expect(code).toBe(1);
      expect(err).toStartWith(place);
    }
  });
});

test("the recovery: a restart by exit code 75, its cause in the store, then the hook", async () => {
  const hook = site.path("hook");
  writeFileSync(hook, `#!/bin/sh\necho "mending $1"\necho "$#" >${site.path("mended")}\n`);
  chmodSync(hook, 0o700);
  const dead = String(await freePort());
  site.settings({
    "endpoint mqtt-port": dead,
    "network transport": "mqtts",
    "data enable.recovery.on.connection.failure": "true",
    "data connection.recovery.max.failures": "1",
    "recovery refresh-per-day": "0",
    "recovery restart-per-day": "1",
    "recovery hook-per-day": "1",
    "recovery reboot-per-day": "0",
    "recovery hook-command": `${hook} "the network"`,
    "telemetry interval": "60",
  });
  // Time passes a hundred times faster: five minutes between two rungs are three seconds.
  const path = site.path("hurry.ts");
  writeFileSync(
    path,
    `const now = performance.now.bind(performance);
     const later = globalThis.setTimeout;
     performance.now = () => now() * 100;
     globalThis.setTimeout = (act, ms, ...rest) => later(act, ms / 100, ...rest);`,
  );
  site.start("--preload", path);
  await site.logged("next attempt in");
  expect(await site.agent!.exited).toBe(75);
  site.start("--preload", path);
  await site.logged("this start follows restart of the process of ");
  await site.logged("hook: mending the network");
  await until("the hook has ended", () => textOf(site.path("mended")) === "1\n");
  await site.logged("recovery: network hook, because: refused: nothing listens at ");
  const { recovery, queue } = await settled();
  expect(recovery.steps.map(({ step, cause, outcome }) => [step, cause, outcome])).toEqual([
    ["restart", "REFUSED", "done"],
    ["hook", "REFUSED", "done"],
  ]);
  expect(queue.waiting).toBeGreaterThan(0);
});

/** The status once every step has an outcome. */
async function settled(): Promise<Status> {
  for (;;) {
    const now = await status();
    if (now.recovery.steps.every(({ outcome }) => outcome !== null)) return now;
  }
}
