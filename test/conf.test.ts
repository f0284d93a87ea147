// Conf, tested: the files that are installed beside the program say what the program does.
// Neighbours: `conf/`; `src/core/schema.ts` is what `conf/azimuth.ini` must agree with, and the
// product's own reader in `src/port/settings.ts` reads it here.
// Invariant: nothing in `conf` has to be kept in step by hand without a test that notices.

import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { filesWanted } from "../src/core/endpoint.ts";
import { facts, KEYS, LAMP_SECTION, SECTIONS } from "../src/core/schema.ts";
import { SETTINGS_FILE } from "../src/core/usage.ts";
import { formatProblem, validate } from "../src/core/validate.ts";
import { fault } from "../src/core/value.ts";
import { CLOSE_MS, QUIESCE_S_MAX } from "../src/limits.ts";
import { parse } from "../src/port/settings.ts";

const root = resolve(import.meta.dir, "..");
const read = (path: string) => readFileSync(resolve(root, path), "utf8");

const ini = read("conf/azimuth.ini");
/** The file with every setting switched on: `#key = value` and `#[section]`, not `# text`. */
const switchedOn = ini.replaceAll(/^#(?=[[a-z])/gm, "");

describe("azimuth.ini", () => {
  const { entries, problems } = parse(switchedOn);

  test("as installed it reads without a problem and sets nothing", () => {
    expect(parse(ini)).toMatchObject({ entries: [], problems: [] });
  });

  test("holds every key of the schema once, in its order, and no other", () => {
    expect(problems).toEqual([]);
    const place = (section: string) => (section.startsWith("led.") ? LAMP_SECTION : section);
    expect(entries.map(({ section, key }) => `${place(section)} ${key}`)).toEqual(
      KEYS.map(({ section, name }) => `${section} ${name}`),
    );
  });

  test("switched on, each key has its default, or an example that is allowed", () => {
    KEYS.forEach((key, index) => {
      const { value } = entries[index]!;
      if (key.fallback) expect(`${key.name} = ${value}`).toBe(`${key.name} = ${key.fallback}`);
      expect(fault(key.value, value)).toBe("");
    });
  });

  test("switched on, but for its examples, it means what an empty file means", () => {
    const connection = { section: "endpoint", key: "connection-string", line: 1 };
    const given = { ...connection, value: "HostName=h.net;DeviceId=d;SharedAccessKey=AAAA" };
    const hasDefault = (name: string) => KEYS.some((key) => key.name === name && key.fallback);
    const defaults = entries.filter(
      ({ section, key }) => !section.startsWith("led.") && hasDefault(key),
    );
    const noFile = () => ({ problem: "not asked for" });
    expect(validate([given, ...defaults], [], noFile)).toEqual(validate([given], [], noFile));
    expect(validate([given], [], noFile)).toHaveProperty("settings");
  });

  test("its example of a lamp is a lamp", () => {
    const lamp = entries.filter(({ section }) => section.startsWith("led."));
    const value = "HostName=h.net;DeviceId=d;SharedAccessKey=AAAA";
    const given = { section: "endpoint", key: "connection-string", value, line: 1 };
    const validated = validate([given, ...lamp], [], () => ({ problem: "" }));
    expect(validated).toMatchObject({ settings: { lamps: [{ name: "LED1", target: "led1" }] } });
  });

  test("above each key stand its meaning, what is allowed and its default", () => {
    const lines = ini.split("\n");
    const above = (name: string) => {
      const at = lines.findIndex((line) => line.startsWith(`#${name} = `));
      let first = at;
      while (lines[first - 1]?.startsWith("# ")) first--;
      return lines.slice(first, at).map((line) => line.slice(2));
    };
    for (const key of KEYS) {
      expect(above(key.name).join(" ")).toBe(`${key.meaning} ${facts(key)}`);
    }
  });

  test("its head says how to check and apply a change, where, and with what mode", () => {
    const head = ini.slice(0, ini.indexOf(`[${SECTIONS[0]}]`));
    for (const words of ["azimuth check", "azimuth reload", '"wants a restart"', "0600"]) {
      expect(head).toContain(words);
    }
  });

  test("is plain ASCII, so that any serial console shows it", () => {
    expect(ini).toMatch(/^[\n -~]*$/);
    for (const line of ini.split("\n")) {
      if (line.startsWith("# ") && line.length > 80) throw new Error(`too wide: ${line}`);
    }
  });
});

describe("README.md", () => {
  test("says of every key of [data] what it is beside Kura's", () => {
    const table = read("conf/README.md");
    const names = KEYS.filter(({ section }) => section === "data").map(({ name }) => name);
    for (const name of names) expect(table).toContain(`\`${name}`);
  });
});

describe("settings of the demonstration", () => {
  const values = {
    FOLDER: "/tmp/demo",
    MQTT_PORT: "18883",
    HTTPS_PORT: "18443",
    ID_SCOPE: "0ne00000000",
  };
  const filled = (name: string) =>
    Object.entries(values).reduce(
      (text, [blank, value]) => text.replaceAll(`@${blank}@`, value),
      read(`conf/${name}`),
    );
  const endpoint = { mqttPort: 18_883, httpsPort: 18_443, caFile: "/tmp/demo/ca.pem" };
  const tpm = { type: "tpm", dpsHost: "localhost", dpsPort: 18_443, idScope: "0ne00000000" };

  test.each([
    ["demo.ini", [], { ...endpoint, ...tpm, tpm: "swtpm:/tmp/demo/tpm" }],
    ["demo-sas.ini", ["/tmp/demo/connection-string"], { ...endpoint, type: "sas" }],
  ])("%s filled in is valid and lights LED1", (name, files, wanted) => {
    const { entries, problems } = parse(filled(name));
    expect(filesWanted(entries)).toEqual(files);
    const text = "HostName=localhost;DeviceId=demo;SharedAccessKey=AAAA";
    const validated = validate(entries, problems, () => ({ text }));
    const said = "problems" in validated ? validated.problems : [];
    expect(said.map((problem) => formatProblem(name, problem))).toEqual([]);
    expect(validated).toMatchObject({
      settings: {
        endpoint: wanted,
        data: { autoOnStartup: true },
        lamps: [{ name: "LED1", driver: "file", target: "/tmp/demo/LED1" }],
        agent: { controlSocket: "/tmp/demo/control.sock", stateFolder: "/tmp/demo/state" },
      },
    });
  });

  test("have no other blanks than these", () => {
    for (const name of ["demo.ini", "demo-sas.ini"]) {
      expect(filled(name)).not.toMatch(/@[A-Z_]+@/);
    }
  });

  test("differ in their endpoint alone", () => {
    const pairs = (name: string) =>
      parse(read(`conf/${name}`)).entries.flatMap(({ section, key, value }) =>
        section === "endpoint" ? [] : [`${section} ${key} = ${value}`],
      );
    expect(pairs("demo-sas.ini")).toEqual(pairs("demo.ini"));
    expect(pairs("demo.ini").length).toBeGreaterThan(5);
  });
});

describe("azimuth.env", () => {
  const lines = read("conf/azimuth.env").split("\n");
  const settings = lines.filter((line) => line !== "" && !line.startsWith("#"));

  test("can be read by a shell, by systemd and by make alike", () => {
    for (const line of settings) expect(line).toMatch(/^[A-Za-z_]+=[A-Za-z0-9]+$/);
  });

  test("has the run settings that were measured", () => {
    expect(settings).toEqual([
      "BUN_GC_TIMER_DISABLE=1",
      "BUN_JSC_numberOfGCMarkers=1",
      "BUN_JSC_useFTLJIT=0",
      "UV_THREADPOOL_SIZE=4",
    ]);
  });

  test("is read by all who start the agent", () => {
    for (const path of ["conf/azimuth.init", "conf/azimuth.service"]) {
      expect(read(path)).toContain("/etc/azimuth/azimuth.env");
    }
    expect(read("Makefile")).toContain("conf/azimuth.env");
  });
});

describe("the other files", () => {
  test("name the settings file that the program looks for", () => {
    expect(read("conf/azimuth.init")).toContain(`SETTINGS=${SETTINGS_FILE}\n`);
    expect(read("conf/azimuth.service")).toContain(` -c ${SETTINGS_FILE}\n`);
    expect(read("Makefile")).toContain("/etc/azimuth/azimuth.ini");
  });

  test("give a stop the time of the longest quiesce, within a minute", () => {
    const patience = /^PATIENCE=(\d+)$/m.exec(read("conf/azimuth.init"))![1];
    const timeout = /^TimeoutStopSec=(\d+)$/m.exec(read("conf/azimuth.service"))![1];
    expect(Number(patience)).toBeGreaterThan(QUIESCE_S_MAX + CLOSE_MS / 1000);
    expect(Number(patience)).toBeLessThanOrEqual(60);
    expect(timeout).toBe(patience!);
  });

  test("the init script is one that a plain shell takes", () => {
    const checked = Bun.spawnSync(["sh", "-n", resolve(root, "conf/azimuth.init")]);
    expect(checked.stderr.toString()).toBe("");
    expect(checked.exitCode).toBe(0);
  });

  test("the recipe has the version of the tree and the sum of its license", () => {
    const recipe = read("conf/azimuth.bb");
    const { version } = JSON.parse(read("package.json")) as { version: string };
    const sum = createHash("md5").update(read("LICENSE")).digest("hex");
    expect(recipe).toContain(`PV = "${version}"\n`);
    expect(recipe).toContain(`file://LICENSE;md5=${sum}`);
  });

  test("make install and the recipe put the library where the program looks for it", () => {
    expect(read("src/port/library.ts")).toContain('"../lib/azimuth"');
    expect(read("Makefile")).toContain("$(LIB)/azimuth/libazimuth.so");
    expect(read("conf/azimuth.bb")).toContain("{nonarch_libdir}/azimuth/libazimuth.so\n");
    expect(read("conf/azimuth.bb")).toContain('DEPENDS = "tpm2-tss"');
  });

  test("the account may open the TPM, whoever makes it", () => {
    expect(read("conf/90-azimuth.rules")).toMatch(
      /^SUBSYSTEM=="tpmrm".* GROUP="tss", MODE="0660"$/m,
    );
    expect(read("conf/azimuth.sysusers")).toMatch(/^m azimuth tss$/m);
    expect(read("conf/azimuth.bb")).toMatch(/--groups tss azimuth"$/m);
    expect(read("Makefile")).toContain("usermod -a -G tss azimuth");
    // The unit must not narrow what the account may.
    expect(read("conf/azimuth.service")).not.toMatch(
      /^(PrivateDevices=y|DevicePolicy|DeviceAllow)/m,
    );
  });

  test("the unit waits for the agent's own signs of life, which may come from it alone", () => {
    const unit = read("conf/azimuth.service");
    for (const line of ["Type=notify", "NotifyAccess=main", "WatchdogSignal=SIGABRT"]) {
      expect(unit).toContain(`\n${line}\n`);
    }
    expect(Number(/^WatchdogSec=(\d+)$/m.exec(unit)![1])).toBeGreaterThanOrEqual(30);
  });

  test("the account may feed the watchdog that the settings' example names", () => {
    expect(ini).toContain("\n#device = /dev/watchdog\n");
    expect(read("conf/90-azimuth.rules")).toMatch(
      /^SUBSYSTEM=="misc", KERNEL=="watchdog", GROUP="azimuth", MODE="0660"$/m,
    );
    expect(read("Makefile")).toContain("--subsystem-match=misc --subsystem-match=watchdog");
  });

  test("make install and the recipe take every file that is installed", () => {
    const installed = readdirSync(resolve(root, "conf")).filter(
      (name) => !/^demo.*\.ini$/.test(name) && !["azimuth.bb", "README.md"].includes(name),
    );
    for (const name of installed) {
      expect(read("Makefile")).toContain(`conf/${name}`);
      expect(read("conf/azimuth.bb")).toContain(`file://${name}`);
    }
  });
});
