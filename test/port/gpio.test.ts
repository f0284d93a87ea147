// Tests of src/port/gpio.ts over a made-up /sys, with the kernel's refusals played by a mock.
// Neighbours: the emulated gateway runs the same drivers on real kernel lines.
// Invariant: a drive answers "" or one line; the next drive tries again.

import { afterAll, afterEach, beforeEach, describe, expect, mock, test } from "bun:test";
import * as files from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PinSettings } from "../../src/core/effects.ts";

const real = { ...files };
const { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } = real;

/** Errors to throw by the end of the path, and how often. */
let refusals: { path: string; code: string; times: number }[] = [];
/** What the kernel would do after a write to a control file. */
let onWrite: (path: string, text: string) => void = () => {};
let writes: string[] = [];

function refuse(path: unknown): void {
  const found = refusals.find((each) => String(path).endsWith(each.path) && each.times > 0);
  if (found === undefined) return;
  found.times -= 1;
  throw Object.assign(new Error(found.code), { code: found.code, path: String(path) });
}

mock.module("node:fs", () => ({
  ...real,
  openSync(path: string, ...rest: [number, number]) {
    refuse(path);
    return real.openSync(path, ...rest);
  },
  writeFileSync(path: string, text: string) {
    refuse(path);
    real.writeFileSync(path, text);
    writes.push(`${path.slice(root.length)}=${text.trim()}`);
    onWrite(path, text);
  },
}));

const { GpioPins } = await import("../../src/port/gpio.ts");

let root: string;
let pins: InstanceType<typeof GpioPins>;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "azimuth-gpio-"));
  refusals = [];
  writes = [];
  onWrite = () => {};
  pins = new GpioPins([], root);
});

afterEach(() => {
  pins.close();
  rmSync(root, { recursive: true });
});

afterAll(() => {
  mock.module("node:fs", () => real);
});

function pin(driver: PinSettings["driver"], target: string, activeLow = false): PinSettings {
  return { name: "LED1", driver, target, activeLow };
}

function put(path: string, text: string): void {
  mkdirSync(join(root, path, ".."), { recursive: true });
  writeFileSync(join(root, path), text);
}

/** The first line of a file: a plain file keeps what a shorter write leaves over. */
function line(path: string): string {
  return readFileSync(join(root, path), "utf8").split("\n")[0]!;
}

describe("leds", () => {
  const LED = "sys/class/leds/green:usr1";

  beforeEach(() => {
    put(`${LED}/brightness`, "0\n");
    put(`${LED}/max_brightness`, "255\n");
    put(`${LED}/trigger`, "none timer [heartbeat] default-on\n");
  });

  test("takes the LED from its trigger and drives it to full brightness", () => {
    pins.configure([pin("leds", "green:usr1")]);
    expect(pins.drive(0, true)).toBe("");
    expect(line(`${LED}/brightness`)).toBe("255");
    expect(pins.drive(0, false)).toBe("");
    expect(line(`${LED}/brightness`)).toBe("0");
    expect(writes).toEqual([`/${LED}/trigger=none`]);
  });

  test("leaves the trigger alone when it is none already, or when there is none", () => {
    put(`${LED}/trigger`, "[none] timer\n");
    put("sys/class/leds/bare/brightness", "1\n");
    pins.configure([pin("leds", "green:usr1"), pin("leds", "bare", true)]);
    expect(pins.drive(0, true)).toBe("");
    expect(pins.drive(1, true)).toBe("");
    expect(line("sys/class/leds/bare/brightness")).toBe("0");
    expect(pins.drive(1, false)).toBe("");
    expect(line("sys/class/leds/bare/brightness")).toBe("1");
    expect(writes).toEqual([]);
  });

  test("names the LEDs that there are, and tries again at the next drive", () => {
    put("sys/class/leds/mmc0/brightness", "0\n");
    pins.configure([pin("leds", "usr9")]);
    expect(pins.drive(0, true)).toBe(
      `lamp LED1: ${root}/sys/class/leds/usr9/brightness: ENOENT, no such LED; ` +
        "there are: green:usr1, mmc0",
    );
    put("sys/class/leds/usr9/brightness", "0\n");
    expect(pins.drive(0, true)).toBe("");
    expect(line("sys/class/leds/usr9/brightness")).toBe("1");
  });

  test("says when the kernel has no LED class, and when the name is a path", () => {
    rmSync(join(root, "sys"), { recursive: true });
    pins.configure([pin("leds", "usr1"), pin("leds", "../gpio")]);
    expect(pins.drive(0, true)).toEndWith("this kernel has no LED class (CONFIG_LEDS_CLASS)");
    expect(pins.drive(1, true)).toBe('lamp LED1: ../gpio: an LED name holds no "/"');
  });

  test("without permission names owner, group and mode", () => {
    refusals.push({ path: "brightness", code: "EACCES", times: 1 });
    pins.configure([pin("leds", "green:usr1")]);
    const { uid } = files.statSync(join(root, LED, "brightness"));
    expect(pins.drive(0, true)).toMatch(
      new RegExp(
        `/${LED}/brightness: EACCES, permission denied; owner ${uid}, group \\S+, mode 0644; ` +
          "add a udev rule",
      ),
    );
    expect(pins.drive(0, true)).toBe("");
  });

  test("a write that fails is explained and the pin opened afresh", () => {
    const brightness = join(root, LED, "brightness");
    rmSync(brightness);
    files.symlinkSync("/dev/full", brightness);
    pins.configure([pin("leds", "green:usr1")]);
    expect(pins.drive(0, true)).toBe(`lamp LED1: ${brightness}: ENOSPC, no space left`);
    rmSync(brightness);
    put(`${LED}/brightness`, "0\n");
    expect(pins.drive(0, true)).toBe("");
    expect(line(`${LED}/brightness`)).toBe("255");
  });
});

describe("sysfs", () => {
  const GPIO = "sys/class/gpio";

  function exported(number: number, activeLow = "0\n"): void {
    put(`${GPIO}/gpio${number}/direction`, "in\n");
    put(`${GPIO}/gpio${number}/value`, "0\n");
    put(`${GPIO}/gpio${number}/active_low`, activeLow);
  }

  beforeEach(() => {
    put(`${GPIO}/export`, "");
    onWrite = (path, text) => {
      if (path.endsWith("/export")) exported(Number(text));
    };
  });

  test("exports the line, sets direction and level in one, then writes values", () => {
    pins.configure([pin("sysfs", "504")]);
    expect(pins.drive(0, true)).toBe("");
    expect(writes).toEqual([`/${GPIO}/export=504`, `/${GPIO}/gpio504/direction=high`]);
    expect(line(`${GPIO}/gpio504/value`)).toBe("1");
    expect(pins.drive(0, false)).toBe("");
    expect(line(`${GPIO}/gpio504/value`)).toBe("0");
    expect(writes).toHaveLength(2);
  });

  test("an active-low lamp that is off starts high; the kernel's own inversion is undone", () => {
    exported(7, "1\n");
    pins.configure([pin("sysfs", "7", true)]);
    expect(pins.drive(0, false)).toBe("");
    expect(writes).toEqual([`/${GPIO}/gpio7/active_low=0`, `/${GPIO}/gpio7/direction=high`]);
    expect(line(`${GPIO}/gpio7/value`)).toBe("1");
  });

  test("waits a moment for udev after the export, but not for ever", () => {
    refusals.push({ path: "direction", code: "EACCES", times: 2 });
    pins.configure([pin("sysfs", "3"), pin("sysfs", "4")]);
    expect(pins.drive(0, true)).toBe("");
    refusals = [{ path: "gpio4/value", code: "EACCES", times: 1000 }];
    expect(pins.drive(1, true)).toContain("gpio4/value: EACCES, permission denied; owner");
    refusals = [];
    expect(pins.drive(1, true)).toBe("");
    expect(line(`${GPIO}/gpio4/value`)).toBe("1");
  });

  test("a line in use names its owner", () => {
    put(
      "sys/kernel/debug/gpio",
      "gpiochip0: GPIOs 504-511, parent: amba/9030000.pl061:\n" +
        " gpio-504 (                    |sysfs               ) out lo\n" +
        " gpio-505 (                    |led1                ) out hi\n",
    );
    refusals.push({ path: "export", code: "EBUSY", times: 2 });
    pins.configure([pin("sysfs", "505")]);
    const remedy = "use driver leds if it is an LED there";
    expect(pins.drive(0, true)).toEndWith(
      `/${GPIO}/export: EBUSY, the line is in use by "led1"; ${remedy}`,
    );
    rmSync(join(root, "sys/kernel"), { recursive: true });
    expect(pins.drive(0, true)).toEndWith(
      `EBUSY, the line is in use by another driver (see /sys/kernel/debug/gpio); ${remedy}`,
    );
  });

  test("a line that does not exist names those that do", () => {
    put(`${GPIO}/gpiochip504/base`, "504\n");
    put(`${GPIO}/gpiochip504/ngpio`, "8\n");
    put(`${GPIO}/gpiochip504/label`, "9030000.pl061\n");
    refusals.push({ path: "export", code: "EINVAL", times: 1 });
    pins.configure([pin("sysfs", "600"), pin("sysfs", "LED1")]);
    expect(pins.drive(0, true)).toEndWith(
      "EINVAL, no such line; there are: 504-511 (9030000.pl061)",
    );
    expect(pins.drive(1, true)).toBe("lamp LED1: LED1: not a line number");
  });

  test("a kernel without the interface, a line that is input only, dead hardware", () => {
    pins.configure([pin("sysfs", "1")]);
    refusals.push({ path: "direction", code: "EPERM", times: 1 });
    expect(pins.drive(0, true)).toEndWith("EPERM, the kernel does not let this line be an output");
    refusals.push({ path: "direction", code: "EIO", times: 1 });
    expect(pins.drive(0, true)).toContain("EIO, the hardware does not answer");
    rmSync(join(root, GPIO), { recursive: true });
    expect(pins.drive(0, true)).toContain("this kernel has no GPIO in sysfs (CONFIG_GPIO_SYSFS)");
  });
});

describe("file", () => {
  test("is created, and holds exactly 1 or 0", () => {
    const path = join(root, "lamp");
    pins.configure([{ ...pin("file", path), activeLow: true }]);
    expect(pins.drive(0, true)).toBe("");
    expect(readFileSync(path, "utf8")).toBe("0\n");
    expect(files.statSync(path).mode & 0o777).toBe(0o644 & ~process.umask());
    expect(pins.drive(0, false)).toBe("");
    expect(readFileSync(path, "utf8")).toBe("1\n");
  });

  test.each(["something else\n", "2", "0\n0\n", "11", "-", "[endpoint]\n"])(
    "that holds %j is not a lamp's and stays as it is",
    (text) => {
      const path = join(root, "precious");
      writeFileSync(path, text);
      pins.configure([pin("file", path)]);
      const problem = "holds more than a lamp's 0 or 1; give the lamp its own file";
      for (const on of [true, false]) {
        expect(pins.drive(0, on)).toBe(`lamp LED1: ${path}: ${problem}`);
      }
      expect(readFileSync(path, "utf8")).toBe(text);
      rmSync(path);
      expect(pins.drive(0, true)).toBe("");
    },
  );

  test.each(["", "0", "1", "0\n", "1\n"])("that holds %j is a lamp's", (text) => {
    put("lamp", text);
    pins.configure([pin("file", join(root, "lamp"))]);
    expect(pins.drive(0, true)).toBe("");
    expect(readFileSync(join(root, "lamp"), "utf8")).toBe("1\n");
  });

  test("that was removed comes back, one that took its place unseen is left alone", () => {
    const path = join(root, "lamp");
    pins.configure([pin("file", path)]);
    expect(pins.drive(0, true)).toBe("");
    put("other", "something else\n");
    files.renameSync(join(root, "other"), path);
    expect(pins.drive(0, true)).toContain("give the lamp its own file");
    expect(readFileSync(path, "utf8")).toBe("something else\n");
    rmSync(path);
    expect(pins.drive(0, true)).toBe("");
    expect(readFileSync(join(root, "lamp"), "utf8")).toBe("1\n");
    rmSync(join(root, "lamp"));
    expect(pins.drive(0, false)).toBe("");
    expect(readFileSync(join(root, "lamp"), "utf8")).toBe("0\n");
  });

  test("that cannot be one says why", () => {
    Bun.spawnSync(["mkfifo", join(root, "fifo")]);
    pins.configure([
      pin("file", join(root, "none", "lamp")),
      pin("file", root),
      pin("file", "/dev/null"),
      pin("file", join(root, "fifo")),
    ]);
    expect(pins.drive(0, true)).toEndWith(
      "/none/lamp: ENOENT, its folder does not exist; create it first",
    );
    expect(existsSync(join(root, "none"))).toBe(false);
    expect(pins.drive(1, true)).toEndWith("EISDIR, is a folder; a file name is needed");
    expect(pins.drive(2, true)).toBe("lamp LED1: /dev/null: not a plain file");
    expect(pins.drive(3, true)).toBe(`lamp LED1: ${root}/fifo: not a plain file`);
  });
});

describe("settings", () => {
  function openCount(path: string): number {
    const links = files.readdirSync("/proc/self/fd").map((name) => {
      return existsSync(`/proc/self/fd/${name}`) ? files.readlinkSync(`/proc/self/fd/${name}`) : "";
    });
    return links.filter((link) => link === path).length;
  }

  test("replaced: kept pins stay open, dropped ones are closed, indices are the new ones", () => {
    const [a, b] = [join(root, "a"), join(root, "b")];
    pins.configure([pin("file", a), pin("file", b)]);
    expect([pins.drive(0, true), pins.drive(1, true)]).toEqual(["", ""]);
    pins.configure([{ ...pin("file", b), name: "LED2" }]);
    expect([openCount(a), openCount(b)]).toEqual([0, 1]);
    expect(pins.drive(0, false)).toBe("");
    expect([line("a"), line("b")]).toEqual(["1", "0"]);
    pins.configure([pin("file", b, true)]);
    expect(pins.drive(0, false)).toBe("");
    expect(line("b")).toBe("1");
    pins.close();
    expect(openCount(b)).toBe(0);
  });

  test("a number that is not there is told", () => {
    expect(pins.drive(0, true)).toBe("lamp number 0 is not in the settings");
  });

  test("a pin that fails for ever leaks no descriptor", () => {
    mkdirSync(join(root, "sys/class/leds/x"), { recursive: true });
    files.symlinkSync("/dev/full", join(root, "sys/class/leds/x/brightness"));
    pins.configure([pin("leds", "x"), pin("file", "/dev/null")]);
    const before = files.readdirSync("/proc/self/fd").length;
    for (let round = 0; round < 50; round += 1) {
      expect(pins.drive(0, true)).not.toBe("");
      expect(pins.drive(1, true)).not.toBe("");
    }
    expect(files.readdirSync("/proc/self/fd").length).toBe(before);
  });
});
