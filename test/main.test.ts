// Tests of the whole agent as a process, at local Azure over real TLS: what an operator does.
// Neighbours: `site.ts`; every command line of `azimuth` is used here as a person would.
// Invariant: nothing waits for a fixed time; whatever is not seen in 30 s has failed.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { TwinEvent } from "./azure/model/events.ts";
import { MAIN, Site, until } from "./site.ts";

let site: Site;
beforeEach(async () => {
  site = await Site.open();
});
afterEach(() => site.close());

function reported(): TwinEvent[] {
  return site.events.filter(
    (event): event is TwinEvent => event.type === "twin" && event.part === "reported",
  );
}

function hasReported(value: boolean, ac: number): TwinEvent | undefined {
  return reported().find((event) => {
    const lamp = (event.patch as { LED1?: { value: boolean; ac: number } } | null)?.LED1;
    return lamp?.value === value && lamp.ac === ac;
  });
}

describe("run", () => {
  test("connects, sends telemetry, lights LED1 and reports it", async () => {
    site.start();
    await site.logged("connected to");
    await until("telemetry at the hub", () => site.received().length >= 2);
    expect(site.lamp()).toBe("0");
    site.desire({ LED1: true });
    await until("the lamp lit", () => site.lamp() === "1");
    await until("reported true", () => hasReported(true, 200));
    site.desire({ LED1: "yes" });
    await until("refused type reported", () => hasReported(true, 400));
    expect(site.lamp()).toBe("1");
    site.desire({ LED1: null });
    await until("the lamp dark", () => site.lamp() === "0");
    await until("initial state reported", () => hasReported(false, 203));
  });

  test("SIGTERM disconnects cleanly and exits 0", async () => {
    site.start();
    await site.logged("connected to");
    site.agent!.kill("SIGTERM");
    expect(await site.agent!.exited).toBe(0);
    await until("the hub saw DISCONNECT", () =>
      site.events.some((event) => event.type === "close" && event.reason === "DISCONNECT"),
    );
    expect((await site.command("status")).err).toContain("no azimuth is running");
  });

  test("after kill -9 the next start replaces the socket and gets the twin", async () => {
    site.start();
    await site.logged("connected to");
    site.agent!.kill("SIGKILL");
    await site.agent!.exited;
    site.desire({ LED1: true });
    site.start();
    await site.logged("connected to");
    await until("the lamp lit by the twin's document", () => site.lamp() === "1");
  });

  test("a second agent on the same socket is refused", async () => {
    site.start();
    await site.logged("connected to");
    const second = await site.command("run");
    expect(second.code).toBe(1);
    expect(second.err).toContain("azimuth is already running");
  });

  test("a dropped connection comes back and every message arrives", async () => {
    site.start();
    await until("telemetry", () => site.received().length >= 1);
    const before = site.log.length;
    site.azure.hub.faults.add({ kind: "drop" });
    site.azure.settle();
    await site.logged("next attempt in", before);
    await site.logged("connected to", before);
    await until("more telemetry", () => site.received().length >= 4);
    const sequences = new Set(site.received().map((id) => Number(id.split(".")[1])));
    for (let sequence = 1; sequence <= 4; sequence++) expect(sequences.has(sequence)).toBe(true);
  });

  test("a lamp that cannot be driven is one line, and the agent runs on", async () => {
    site.settings({ "led.LED1 target": site.path("no/such/folder/LED1") });
    site.start();
    await site.logged("connected to");
    expect(site.log.split("\n").filter((line) => line.includes("error"))).toHaveLength(1);
    expect(site.log).toContain("LED1");
    site.desire({ LED1: true });
    await until("fault reported", () => hasReported(false, 500));
  });
});

test.each(["Promise.reject(boom)", "(() => { throw boom; })()"])(
  "a defect, %s, is one line, and the end",
  async (defect) => {
    const path = site.path("defect.ts");
    const code = `process.on("SIGUSR2", () => ${defect});`;
    writeFileSync(path, `const boom = new Error("boom");\n${code}`);
    site.start("--preload", path);
    await site.logged("connected to");
    site.agent!.kill("SIGUSR2");
    expect(await site.agent!.exited).toBe(1);
    await until("the reason", () => site.log.endsWith("\n"));
    expect(site.log.split("\n").filter((line) => line.includes("boom"))).toHaveLength(1);
    expect(site.log).toContain("error internal error: Error: boom");
    expect(site.log.trimEnd().split("\n").at(-1)).toContain("boom");
  },
);

describe("refusals", () => {
  test("a wrong key is diagnosed as such, and no key is printed", async () => {
    const wrong = Buffer.alloc(32, 7).toString("base64");
    const { mqttPort } = site.azure.ready;
    const identity = `HostName=localhost:${mqttPort};DeviceId=site1;SharedAccessKey=${wrong}`;
    site.settings({ "endpoint connection-string": identity });
    site.start();
    await site.logged("key wrong for device site1");
    expect(site.log).not.toContain(wrong);
    expect(site.log).not.toContain("SharedAccessSignature");
    const status = await site.command("status", "--json");
    expect(JSON.parse(status.out).lastDiagnosis.text).toContain("key wrong");
  });

  test("an unknown and a disabled device are told apart", async () => {
    const { mqttPort } = site.azure.ready;
    const identity = `HostName=localhost:${mqttPort};DeviceId=other;SharedAccessKey=${site.key}`;
    site.settings({ "endpoint connection-string": identity });
    site.start();
    await site.logged("device other unknown");
    site.agent!.kill("SIGKILL");
    await site.agent!.exited;
    site.azure.hub.updateDevice("site1", { status: "disabled" });
    site.settings({});
    site.start();
    await site.logged("device site1 disabled");
  });

  test("a clock that is off is named by how much, and does not keep us out", async () => {
    site.azure.hub.faults.add({ kind: "date-skew", skewS: 7200 });
    site.azure.hub.faults.add({ kind: "refuse", code: 5, count: 1 });
    site.azure.settle();
    site.start();
    await site.logged("clock off by 2 h (behind the server's)");
  });

  test("an unknown issuer is named", async () => {
    site.settings({ "endpoint ca-file": "" });
    site.start();
    await site.logged("TLS: unknown issuer");
  });
});

describe("control", () => {
  test("disconnect holds, connect brings back, status shows both", async () => {
    site.start();
    await site.logged("connected to");
    expect((await site.command("disconnect")).out).toBe("disconnected\n");
    expect(JSON.parse((await site.command("status", "--json")).out).state).toBe("held");
    const back = await site.command("connect");
    expect(back.code).toBe(0);
    expect(back.out).toContain("connected to localhost as site1");
    expect(JSON.parse((await site.command("status", "--json")).out).connected).toBe(true);
  });

  test("connect without a hub fails with the reason", async () => {
    site.settings({ "endpoint mqtt-port": "1", "data connect.auto-on-startup": "false" });
    site.start();
    await site.logged("waiting for `azimuth connect`");
    const refused = await site.command("connect");
    expect(refused.code).toBe(1);
    expect(refused.err).toContain("nothing listens at localhost:1");
  });

  test("led by hand is reported as held and given back to the twin", async () => {
    site.start();
    await site.logged("connected to");
    expect((await site.command("led", "LED1", "on")).out).toBe("LED1 on\n");
    await until("the lamp lit", () => site.lamp() === "1");
    site.desire({ LED1: false });
    await until("held is reported", () => hasReported(true, 202));
    expect((await site.command("led", "LED1", "auto")).code).toBe(0);
    await until("the lamp dark", () => site.lamp() === "0");
    const unknown = await site.command("led", "LED9", "on");
    expect(unknown.code).toBe(1);
    expect(unknown.err).toContain('no LED named "LED9"; allowed: LED1');
  });

  test("auto-on-startup: to true connects at once, to false does not disconnect", async () => {
    site.settings({ "data connect.auto-on-startup": "false" });
    site.start();
    await site.logged("waiting for `azimuth connect`");
    site.settings({});
    site.agent!.kill("SIGHUP");
    await site.logged("connected to");
    site.settings({ "data connect.auto-on-startup": "false" });
    const file = site.path("azimuth.ini");
    expect((await site.command("reload")).out).toBe(`${file}: settings applied\n`);
    expect(JSON.parse((await site.command("status", "--json")).out)).toMatchObject({
      connected: true,
      autoOnStartup: false,
    });
  });

  test("a reload with a mistake changes nothing and says where it is", async () => {
    site.start();
    await site.logged("connected to");
    site.settings({ "data in-flight-messages.max-number": "nine" });
    const refused = await site.command("reload");
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/azimuth\.ini:\d+: \[data\] in-flight-messages\.max-number: /);
    expect(JSON.parse((await site.command("status", "--json")).out).connected).toBe(true);
  });

  test("a reload warns of an open secret and names the socket that stays in force", async () => {
    site.start();
    await site.logged("connected to");
    const secret = site.path("secret");
    const ini = readFileSync(site.path("azimuth.ini"), "utf8");
    writeFileSync(secret, /^connection-string = (.*)$/m.exec(ini)![1]!);
    chmodSync(secret, 0o644);
    site.settings({
      "endpoint connection-string": "",
      "endpoint connection-string-file": secret,
      "agent control-socket": site.path("new.sock"),
    });
    const socket = site.path("control.sock");
    const { out } = await site.command("reload", "--socket", socket);
    expect(out).toContain("[agent] control-socket must wait for a restart");
    expect(out).toContain(`until then reach the agent with --socket ${socket}\n`);
    expect(out).toContain(`warning: ${secret}: others may read this secret (mode 0644)`);
    await site.logged(`warning ${secret}: others may read this secret`);
  });

  test("without its settings file a command says so, with --socket it needs none", async () => {
    site.start();
    await site.logged("connected to");
    rmSync(site.path("azimuth.ini"));
    const lost = await site.command("status");
    const place = site.path("azimuth.ini");
    expect(lost).toEqual({
      code: 1,
      out: "",
      err: `azimuth: ${place}: no such file; give --config FILE or --socket PATH\n`,
    });
    expect((await site.command("status", "-s", site.path("control.sock"))).code).toBe(0);
  });

  test("the control socket is 0600", async () => {
    site.start();
    await site.logged("connected to");
    expect(statSync(site.path("control.sock")).mode & 0o777).toBe(0o600);
  });
});

describe("check and usage", () => {
  test("check tells valid from invalid", async () => {
    expect(await site.command("check")).toMatchObject({ code: 0, err: "" });
    writeFileSync(site.path("azimuth.ini"), "[endpoint]\nconection-string = x\n");
    const wrong = await site.command("check");
    expect(wrong.code).toBe(1);
    expect(wrong.err).toContain("azimuth.ini:2: [endpoint] conection-string:");
    expect(wrong.err).toContain("connection-string");
  });

  test("a settings file that is not there is one line", async () => {
    rmSync(site.path("azimuth.ini"));
    for (const name of ["check", "run"]) {
      const { code, err } = await site.command(name);
      expect(`${code} ${err}`).toBe(`1 ${site.path("azimuth.ini")}: no such file\n`);
    }
  });

  test("a lamp that is the settings file itself is refused before it is written", async () => {
    site.settings({ "led.LED1 target": `${site.folder}/./azimuth.ini` });
    const before = readFileSync(site.path("azimuth.ini"), "utf8");
    for (const name of ["check", "run"]) {
      const { code, err } = await site.command(name);
      expect(code).toBe(1);
      expect(err).toMatch(/:\d+: \[led\.LED1\] target: is this settings file; allowed: /);
    }
    expect(readFileSync(site.path("azimuth.ini"), "utf8")).toBe(before);
  });

  test("a section without keys is checked like any other", async () => {
    writeFileSync(site.path("azimuth.ini"), "[bogus]\n[led.]\n[led.9]\n[led.LED1]\n");
    const { err } = await site.command("check");
    for (const place of [":1: [bogus]", ":2: [led.]", ":3: [led.9]", ":4: [led.LED1] driver"]) {
      expect(err).toContain(`azimuth.ini${place}: `);
    }
  });

  test("output that nobody reads is let go, output that finds no room is one line", async () => {
    const run = (line: string) =>
      Bun.spawnSync(["sh", "-c", line, process.execPath, MAIN, site.path("azimuth.ini")]);
    const gone = run('{ sleep 0.2; "$0" "$1" help; echo "exit $?" >&2; } | true');
    expect(gone.stderr.toString()).toBe("exit 0\n");
    for (const words of ["help", "version", 'check -c "$2"']) {
      const full = run(`"$0" "$1" ${words} > /dev/full`);
      expect(full.exitCode).toBe(1);
      expect(full.stderr.toString()).toBe("azimuth: cannot write the output: no space left\n");
    }
  });

  test("an unknown command exits 2 with one line", async () => {
    const unknown = await site.command("conect");
    expect(unknown.code).toBe(2);
    expect(unknown.err.trimEnd().split("\n")).toHaveLength(1);
    expect(unknown.err).toContain("did you mean connect?");
  });
});
