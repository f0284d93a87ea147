// Watchdogs: the hardware one behind /dev/watchdog, and that of the service manager (systemd).
// Neighbours: `core/pulse` says when signs of life are due; `main` opens, tells and closes.
// Invariant: no call waits. The device is stopped by `close` alone: a process that dies leaves it
// counting, and the machine is reset unless a new process opens it in time.

import { dlopen, ptr, read } from "bun:ffi";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import type { Manager, Watchdog } from "../core/effects.ts";

/** Requests of linux/watchdog.h; the encoding is the same on x86-64 and aarch64. */
const WDIOC_GETSUPPORT = 0x80285700;
const WDIOC_GETBOOTSTATUS = 0x80045702;
const WDIOC_SETTIMEOUT = 0xc0045706;
const WDIOC_GETTIMEOUT = 0x80045707;
/** struct watchdog_info: options, firmware version and 32 bytes of identity. */
const INFO_BYTES = 40;
const WDIOF_MAGICCLOSE = 0x0100;
const BOOT_FLAGS: readonly (readonly [number, string])[] = [
  [0x20, "the watchdog had reset the machine"],
  [0x01, "the processor was too hot"],
  [0x02, "a fan had failed"],
  [0x10, "the supply voltage was too low"],
  [0x40, "the supply voltage was too high"],
  [0x04, "external relay 1"],
  [0x08, "external relay 2"],
];
/** Taken for the time of a driver that tells none: shorter than the default of any. */
const UNTOLD_S = 10;
/** Documentation/watchdog/watchdog-api.rst: a V as the last byte says that the close is meant. */
const MAGIC = Buffer.from("V");
const LIFE = Buffer.from("\n");

const AF_UNIX = 1;
/** SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC. */
const DATAGRAM = 2 | 0o4000 | 0o2000000;
/** MSG_DONTWAIT | MSG_NOSIGNAL. */
const NO_WAIT = 0x40 | 0x4000;
/** Bytes of sun_path in struct sockaddr_un (unix(7)). */
const PATH_BYTES_MAX = 108;

const CLOSED = -1;
const LIBRARY = "libc.so.6";
const ERRORS: { readonly [errno: number]: string } = {
  2: "ENOENT",
  11: "EAGAIN",
  13: "EACCES",
  22: "EINVAL",
  25: "ENOTTY",
  95: "EOPNOTSUPP",
  105: "ENOBUFS",
  111: "ECONNREFUSED",
};

/** The few calls that Bun does not have. Results are those of libc, or minus errno. */
export class Libc {
  private readonly symbols;

  /** Throws an Error of one line when the library is missing. */
  constructor(path = LIBRARY) {
    this.symbols = loaded(path);
  }

  /** ioctl(2) on `bytes`, which the kernel reads or fills. */
  ioctl(descriptor: number, request: number, bytes: Uint8Array): number {
    return this.result(this.symbols.ioctl(descriptor, request, ptr(bytes)));
  }

  /** A datagram socket of the unix domain. */
  socket(): number {
    return this.result(this.symbols.socket(AF_UNIX, DATAGRAM, 0));
  }

  /** sendto(2): one datagram to a struct sockaddr_un. */
  send(descriptor: number, text: Uint8Array, address: Uint8Array): number {
    const to = ptr(address);
    const { sendto } = this.symbols;
    return this.result(sendto(descriptor, ptr(text), text.length, NO_WAIT, to, address.length));
  }

  private result(value: number): number {
    if (value >= 0) return value;
    const place = this.symbols.__errno_location();
    return place === null ? -1 : -read.i32(place, 0);
  }
}

function loaded(path: string) {
  try {
    return dlopen(path, {
      ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
      socket: { args: ["i32", "i32", "i32"], returns: "i32" },
      sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i32" },
      __errno_location: { args: [], returns: "ptr" },
    }).symbols;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${path}: not loaded: ${reason.split("\n")[0]}`);
  }
}

/** The device of a hardware watchdog. */
export class DeviceWatchdog implements Watchdog {
  timeoutS = 0;
  bootText = "";
  private descriptor = CLOSED;
  private isStoppable = false;

  constructor(
    private readonly path: string,
    private readonly libc: Libc,
  ) {}

  open(timeoutS: number): string {
    try {
      // Never made here: a plain file in the device's place would watch over nothing.
      this.descriptor = openSync(this.path, constants.O_WRONLY);
    } catch (error) {
      return `${this.path}: ${refusal((error as NodeJS.ErrnoException).code ?? String(error))}`;
    }
    this.set(WDIOC_SETTIMEOUT, timeoutS);
    const told = this.get(WDIOC_GETTIMEOUT);
    this.timeoutS = told > 0 ? told : Math.min(timeoutS, UNTOLD_S);
    const flags = Math.max(0, this.get(WDIOC_GETBOOTSTATUS));
    this.bootText = BOOT_FLAGS.filter(([flag]) => flags & flag)
      .map(([, text]) => text)
      .join(", ");
    const info = new Uint8Array(INFO_BYTES);
    const hasInfo = this.libc.ioctl(this.descriptor, WDIOC_GETSUPPORT, info) >= 0;
    const options = new DataView(info.buffer).getUint32(0, true);
    this.isStoppable = !hasInfo || (options & WDIOF_MAGICCLOSE) !== 0;
    return "";
  }

  feed(): string {
    return this.descriptor === CLOSED ? "" : this.put(LIFE);
  }

  close(): string {
    if (this.descriptor === CLOSED) return "";
    const problem = this.put(MAGIC);
    closeSync(this.descriptor);
    this.descriptor = CLOSED;
    this.timeoutS = 0;
    if (problem !== "" || this.isStoppable) return problem;
    return `${this.path}: the driver cannot be stopped and will reset the machine`;
  }

  private put(bytes: Uint8Array): string {
    try {
      writeSync(this.descriptor, bytes);
      return "";
    } catch (error) {
      return `${this.path}: not fed: ${(error as NodeJS.ErrnoException).code ?? String(error)}`;
    }
  }

  private set(request: number, value: number): void {
    this.libc.ioctl(this.descriptor, request, new Uint8Array(Int32Array.of(value).buffer));
  }

  /** An int that the driver tells, or minus errno. */
  private get(request: number): number {
    const value = new Int32Array(1);
    const result = this.libc.ioctl(this.descriptor, request, new Uint8Array(value.buffer));
    return result < 0 ? result : value[0]!;
  }
}

/** Why the device did not open, and what to do. */
function refusal(code: string): string {
  switch (code) {
    case "ENOENT":
      return "no such device; load the driver of the watchdog";
    case "EBUSY":
      return "in use by another program, e.g. watchdogd, or systemd with RuntimeWatchdogSec";
    case "EACCES":
    case "EPERM":
      return "no access; add a udev rule (90-azimuth.rules)";
    default:
      return code;
  }
}

/** The service manager at NOTIFY_SOCKET (sd_notify(3)); without one, nobody is told. */
export class NotifySocket implements Manager {
  readonly watchdogMs: number;
  private readonly address: Uint8Array;
  private descriptor = CLOSED;
  private libc: Libc | null = null;

  /**
   * @param environment NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are taken out of it, so that
   *   no child of ours speaks in our name
   * @param pid of this process
   * @param load called once, when there is somebody to tell
   */
  constructor(
    environment: { [name: string]: string | undefined },
    pid: number,
    private readonly load: () => Libc,
  ) {
    const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = environment;
    for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) delete environment[name];
    this.address = addressOf(NOTIFY_SOCKET ?? "");
    // sd_watchdog_enabled(3): meant for this process, or for none in particular.
    const isOurs = WATCHDOG_PID === undefined || WATCHDOG_PID === String(pid);
    const isGiven = this.address.length > 0 && /^[1-9]\d{0,15}$/.test(WATCHDOG_USEC ?? "");
    this.watchdogMs = isOurs && isGiven ? Number(WATCHDOG_USEC) / 1000 : 0;
  }

  tell(text: string): string {
    if (this.address.length === 0) return "";
    try {
      this.libc ??= this.load();
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    if (this.descriptor < 0) this.descriptor = this.libc.socket();
    if (this.descriptor < 0) return problemOf(this.descriptor);
    const sent = this.libc.send(this.descriptor, Buffer.from(text), this.address);
    return sent < 0 ? problemOf(sent) : "";
  }
}

function problemOf(result: number): string {
  return `service manager not told: ${ERRORS[-result] ?? `error ${-result}`}`;
}

/** A struct sockaddr_un; empty for what is no socket of this kind. `@` begins an abstract name. */
function addressOf(socket: string): Uint8Array {
  const name = Buffer.from(socket);
  if (!/^[/@]./s.test(socket) || name.length >= PATH_BYTES_MAX) return new Uint8Array(0);
  if (socket.startsWith("@")) name[0] = 0;
  const family = new Uint8Array(Uint16Array.of(AF_UNIX).buffer);
  return Buffer.concat([family, name]);
}
