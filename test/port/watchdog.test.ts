// Watchdogs, tested: a driver played by a library, a file for the device, real unix datagrams.
// Neighbours: `src/port/watchdog.ts`; `native/watchdog.c` plays the driver, `core/pulse` the pace.
// Invariant: requests and structures are checked by code compiled against the kernel's own header.

import { dlopen } from "bun:ffi";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { constants, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { DeviceWatchdog, Libc, NotifySocket } from "../../src/port/watchdog.ts";
import { Listener } from "./listener.ts";

const MAGICCLOSE = 0x0100;
const SETTIMEOUT = 0x0080;

let folder: string;
let path: string;
let libc: Libc;
let driver: (longest: number, options: number, boot: number, isMute: number) => void;

beforeAll(() => {
  const built = mkdtempSync(join(tmpdir(), "azimuth-driver-"));
  const library = join(built, "driver.so");
  const source = resolve(import.meta.dir, "../native/watchdog.c");
  const warnings = ["-Wall", "-Wextra", "-Werror"];
  const { exitCode, stderr } = Bun.spawnSync(
    ["cc", "-std=gnu11", "-shared", "-fPIC", ...warnings, source, "-o", library],
    { stderr: "pipe" },
  );
  if (exitCode !== 0) throw new Error(stderr.toString());
  const { symbols } = dlopen(library, {
    driver_set: { args: ["i32", "i32", "i32", "i32"], returns: "void" },
  });
  driver = (...given) => symbols.driver_set(...given);
  libc = new Libc(library);
  rmSync(built, { recursive: true });
});

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "azimuth-watchdog-"));
  path = join(folder, "watchdog");
  writeFileSync(path, "");
  driver(120, MAGICCLOSE | SETTIMEOUT, 0, 0);
});

afterEach(() => rmSync(folder, { recursive: true }));

function device(): DeviceWatchdog {
  return new DeviceWatchdog(path, libc);
}

describe("the device", () => {
  test.each([
    ["takes the time that is asked for", 120, 30, 30],
    ["takes what it can, and that is what counts", 16, 30, 16],
    ["has a time of its own", 0, 30, 60],
  ])("%s", (_, longest, asked, timeoutS) => {
    driver(longest, MAGICCLOSE, 0, 0);
    const one = device();
    expect(one.open(asked)).toBe("");
    expect(one.timeoutS).toBe(timeoutS);
    one.close();
    expect(one.timeoutS).toBe(0);
  });

  test.each([
    [60, 10],
    [5, 5],
  ])("tells no time: asked for %d s, taken for %d s", (asked, timeoutS) => {
    driver(120, 0, 0, 1);
    const one = device();
    expect(one.open(asked)).toBe("");
    expect(one.timeoutS).toBe(timeoutS);
    expect(one.bootText).toBe("");
    expect(one.close()).toBe("");
  });

  test("that is a plain file to the real libc is treated like that, too", () => {
    const one = new DeviceWatchdog(path, new Libc());
    expect(one.open(60)).toBe("");
    expect(one.timeoutS).toBe(10);
    expect(one.close()).toBe("");
  });

  test.each([
    [0, ""],
    [0x20, "the watchdog had reset the machine"],
    [0x21, "the watchdog had reset the machine, the processor was too hot"],
    [0x4000, ""],
  ])("says of the last start: %d is %j", (boot, text) => {
    driver(120, MAGICCLOSE, boot, 0);
    const one = device();
    one.open(60);
    expect(one.bootText).toBe(text);
    one.close();
  });

  test("gets a byte a sign, and a V as the last one only when it is closed on purpose", () => {
    const one = device();
    one.open(60);
    for (let sign = 0; sign < 3; sign++) expect(one.feed()).toBe("");
    expect(readFileSync(path, "latin1")).toMatch(/^[^V]{3}$/);
    expect(one.close()).toBe("");
    expect(readFileSync(path, "latin1")).toMatch(/^[^V]{3}V$/);
    expect([one.feed(), one.close()]).toEqual(["", ""]);
    expect(readFileSync(path, "latin1")).toMatch(/^[^V]{3}V$/);
  });

  test("gets no V from a process that dies", () => {
    const code = `
      const { DeviceWatchdog, Libc } = await import(${JSON.stringify(
        resolve(import.meta.dir, "../../src/port/watchdog.ts"),
      )});
      const one = new DeviceWatchdog(${JSON.stringify(path)}, new Libc());
      one.open(60);
      one.feed();
      process.kill(process.pid, "SIGKILL");
    `;
    const { signalCode } = Bun.spawnSync([process.execPath, "-e", code]);
    expect(signalCode).toBe("SIGKILL");
    expect(readFileSync(path, "latin1")).toMatch(/^[^V]$/);
  });

  test("that cannot be stopped says so when it is closed", () => {
    driver(120, SETTIMEOUT, 0, 0);
    const one = device();
    one.open(60);
    expect(one.close()).toBe(`${path}: the driver cannot be stopped and will reset the machine`);
  });

  test("that does not open says why, and then takes signs without a word", () => {
    rmSync(path);
    mkdirSync(path);
    expect(device().open(60)).toBe(`${path}: EISDIR`);
    rmSync(path, { recursive: true });
    const gone = new DeviceWatchdog(path, libc);
    expect(gone.open(60)).toEndWith("no such device; load the driver of the watchdog");
    expect(existsSync(path)).toBe(false);
    expect([gone.feed(), gone.close(), gone.timeoutS]).toEqual(["", "", 0]);
  });

  test("that takes no more signs says so each time", () => {
    const full = new DeviceWatchdog("/dev/full", libc);
    expect(full.open(60)).toBe("");
    expect(full.feed()).toBe("/dev/full: not fed: ENOSPC");
    expect(full.close()).toBe("/dev/full: not fed: ENOSPC");
  });
});

test("the real libc carries a request to the kernel, its answer back, and its errors", () => {
  const real = new Libc();
  const FIONREAD = 0x541b;
  const text = join(folder, "text");
  writeFileSync(text, "12345");
  const descriptor = openSync(text, "r");
  const value = new Int32Array(1);
  expect(real.ioctl(descriptor, FIONREAD, new Uint8Array(value.buffer))).toBe(0);
  expect(value[0]).toBe(5);
  closeSync(descriptor);
  expect(real.ioctl(-1, FIONREAD, new Uint8Array(4))).toBe(-constants.errno.EBADF);
});

test("a libc that is not there is one line", () => {
  expect(() => new Libc("libnowhere.so")).toThrow(/^libnowhere\.so: not loaded: [^\n]*$/);
});

describe("the service manager", () => {
  const listeners: Listener[] = [];
  const listen = (name: string | Buffer): Listener => {
    const listener = new Listener(Buffer.from(name));
    listeners.push(listener);
    return listener;
  };
  const manager = (socket: string, rest: Record<string, string> = {}) =>
    new NotifySocket({ NOTIFY_SOCKET: socket, ...rest }, 4711, () => new Libc());

  afterEach(() => {
    for (const listener of listeners.splice(0)) listener.close();
  });

  test("gets each text as one datagram, in order", () => {
    const listener = listen(join(folder, "notify"));
    const one = manager(join(folder, "notify"));
    for (const text of ["READY=1\nSTATUS=online", "WATCHDOG=1", "STOPPING=1"]) {
      expect(one.tell(text)).toBe("");
    }
    const texts = [listener.next(), listener.next(), listener.next(), listener.next()];
    expect(texts).toEqual(["READY=1\nSTATUS=online", "WATCHDOG=1", "STOPPING=1", ""]);
  });

  test("may have an abstract name", () => {
    const name = `azimuth-test-${process.pid}`;
    const listener = listen(`\0${name}`);
    expect(manager(`@${name}`).tell("READY=1")).toBe("");
    expect(listener.next()).toBe("READY=1");
  });

  test("that went away is a line, and that came back is told again", () => {
    const socket = join(folder, "notify");
    const one = manager(socket);
    expect(one.tell("WATCHDOG=1")).toBe("service manager not told: ENOENT");
    const listener = listen(socket);
    expect(one.tell("WATCHDOG=1")).toBe("");
    expect(listener.next()).toBe("WATCHDOG=1");
    listener.close();
    listeners.splice(0);
    expect(one.tell("WATCHDOG=1")).toBe("service manager not told: ECONNREFUSED");
  });

  test("that does not read never makes us wait", () => {
    listen(join(folder, "notify"));
    const one = manager(join(folder, "notify"));
    let problem = "";
    for (let sign = 0; sign < 100_000 && problem === ""; sign++) problem = one.tell("WATCHDOG=1");
    expect(problem).toBe("service manager not told: EAGAIN");
  });

  test.each([
    ["none", {}],
    ["an empty one", { NOTIFY_SOCKET: "" }],
    ["one of another kind", { NOTIFY_SOCKET: "vsock:2:1234" }],
    ["a name that is too long", { NOTIFY_SOCKET: `/${"x".repeat(108)}` }],
  ])("%s: nobody is told, and libc is not loaded", (_, environment) => {
    const load = () => {
      throw new Error("loaded");
    };
    const one = new NotifySocket({ ...environment, WATCHDOG_USEC: "1000000" }, 1, load);
    expect(one.tell("READY=1")).toBe("");
    expect(one.watchdogMs).toBe(0);
  });

  test.each([
    [{}, 0],
    [{ WATCHDOG_USEC: "30000000" }, 30_000],
    [{ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "4711" }, 30_000],
    [{ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "4712" }, 0],
    [{ WATCHDOG_USEC: "0" }, 0],
    [{ WATCHDOG_USEC: "soon" }, 0],
    [{ WATCHDOG_PID: "4711" }, 0],
  ])("expects signs as its environment says: %j", (environment, watchdogMs) => {
    expect(manager("/run/notify", environment).watchdogMs).toBe(watchdogMs);
  });

  test("is nobody's business below us", () => {
    const environment: Record<string, string | undefined> = {
      NOTIFY_SOCKET: "/run/notify",
      WATCHDOG_USEC: "1",
      WATCHDOG_PID: "1",
      PATH: "/bin",
    };
    new NotifySocket(environment, 1, () => new Libc());
    expect(environment).toEqual({ PATH: "/bin" });
  });

  test("without a libc is a line, each time", () => {
    const one = new NotifySocket({ NOTIFY_SOCKET: "/run/notify" }, 1, () => new Libc("libno.so"));
    expect(one.tell("READY=1")).toStartWith("libno.so: not loaded");
    expect(one.tell("READY=1")).toStartWith("libno.so: not loaded");
  });
});
