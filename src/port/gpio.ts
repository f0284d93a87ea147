// Output pins by lamp: three ways to reach a pin behind one small interface.
// Neighbours: the turn drains DRIVE effects here; the schema has checked the pin settings.
// Invariant: a pin that fails throws nothing out of this file; it costs one line that says what
// is wrong and what to do, and is tried afresh at the next drive. Descriptors stay open between
// drives and a drive is one write of bytes made beforehand.

import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import type { PinSettings, Pins } from "../core/effects.ts";

const DARK = Buffer.from("0\n");
const LIT = Buffer.from("1\n");
const CLOSED = -1;
/** udev hands a fresh line to its group a moment after the export. */
const UDEV_TRIES = 5;
const UDEV_WAIT_MS = 10;
const NAMES_MAX = 12;
const RULE = "add a udev rule (90-azimuth.rules)";

/** One pin. The methods throw errno errors of node:fs, or an Error whose message is the line. */
interface Driver {
  /** Drives the pin, reaching for it first when it is not open. */
  drive(isHigh: boolean): void;
  /** Lets go of the pin; its level stays. */
  close(): void;
  /** The path to name in messages. */
  readonly path: string;
  /** What an errno means here and what to do; "" for the common meaning. */
  hint(code: string): string;
}

interface Pin {
  readonly settings: PinSettings;
  readonly driver: Driver;
}

/** The output pins of the settings, by index. */
export class GpioPins implements Pins {
  private pins: readonly Pin[] = [];

  /** @param root put before every /sys path; "" but in tests. */
  constructor(
    pins: readonly PinSettings[],
    private readonly root = "",
  ) {
    this.configure(pins);
  }

  /** Replaces the settings: unchanged pins stay open, dropped and changed ones are let go. */
  configure(pins: readonly PinSettings[]): void {
    const before = [...this.pins];
    this.pins = pins.map((settings) => {
      const index = before.findIndex((pin) => isSamePin(pin.settings, settings));
      const [kept] = index < 0 ? [] : before.splice(index, 1);
      return { settings, driver: kept?.driver ?? driverOf(settings, this.root) };
    });
    for (const pin of before) pin.driver.close();
  }

  /** Drives pin `lamp`; "" or one line naming lamp, path, problem and remedy. */
  drive(lamp: number, on: boolean): string {
    const pin = this.pins[lamp];
    if (pin === undefined) return `lamp number ${lamp} is not in the settings`;
    try {
      pin.driver.drive(on !== pin.settings.activeLow);
      return "";
    } catch (error) {
      pin.driver.close();
      return `lamp ${pin.settings.name}: ${explained(error, pin.driver)}`;
    }
  }

  /** Lets go of all pins; their levels stay. */
  close(): void {
    this.configure([]);
  }
}

function isSamePin(a: PinSettings, b: PinSettings): boolean {
  return a.driver === b.driver && a.target === b.target && a.activeLow === b.activeLow;
}

function driverOf(settings: PinSettings, root: string): Driver {
  switch (settings.driver) {
    case "leds":
      return new Led(`${root}/sys/class/leds`, settings.target);
    case "sysfs":
      return new Line(`${root}/sys`, settings.target);
    case "file":
      return new File(settings.target);
  }
}

/** A lamp of the LED class (Documentation/leds/leds-class.rst of the kernel). */
class Led implements Driver {
  readonly path: string;
  private descriptor = CLOSED;
  private bright = LIT;

  constructor(
    private readonly folder: string,
    private readonly name: string,
  ) {
    this.path = `${folder}/${name}/brightness`;
  }

  drive(isHigh: boolean): void {
    if (this.descriptor === CLOSED) this.open();
    put(this.descriptor, isHigh ? this.bright : DARK);
  }

  close(): void {
    this.descriptor = closed(this.descriptor);
  }

  hint(code: string): string {
    if (code !== "ENOENT") return "";
    if (!existsSync(this.folder)) return "this kernel has no LED class (CONFIG_LEDS_CLASS)";
    return `no such LED; ${there(readdirSync(this.folder))}`;
  }

  private open(): void {
    if (this.name.includes("/")) throw new Error(`${this.name}: an LED name holds no "/"`);
    const own = `${this.folder}/${this.name}`;
    this.descriptor = openSync(this.path, constants.O_WRONLY);
    const text = textOf(`${own}/max_brightness`).trim();
    this.bright = Buffer.from(/^[1-9]\d*$/.test(text) ? `${text}\n` : "1\n");
    // A trigger (heartbeat, mmc0, …) would go on blinking over what we write.
    const trigger = /\[([^\]]+)\]/.exec(textOf(`${own}/trigger`))?.[1] ?? "none";
    if (trigger !== "none") writeFileSync(`${own}/trigger`, "none\n");
  }
}

/** A line of the old GPIO interface (Documentation/admin-guide/gpio/sysfs.rst of the kernel). */
class Line implements Driver {
  readonly path: string;
  private readonly folder: string;
  private descriptor = CLOSED;

  constructor(
    private readonly sys: string,
    private readonly number: string,
  ) {
    this.folder = `${sys}/class/gpio`;
    this.path = `${this.folder}/gpio${number}`;
  }

  drive(isHigh: boolean): void {
    if (this.descriptor === CLOSED) this.open(isHigh);
    put(this.descriptor, isHigh ? LIT : DARK);
  }

  close(): void {
    // Left exported: giving the line back could change its level.
    this.descriptor = closed(this.descriptor);
  }

  hint(code: string): string {
    switch (code) {
      case "ENOENT":
        return existsSync(`${this.folder}/export`)
          ? "the line vanished while it was set up"
          : "this kernel has no GPIO in sysfs (CONFIG_GPIO_SYSFS); use driver leds";
      case "EINVAL":
        return `no such line; ${there(this.chips())}`;
      case "EBUSY":
        return `the line is in use ${this.owner()}; use driver leds if it is an LED there`;
      case "EPERM":
        return "the kernel does not let this line be an output";
      default:
        return "";
    }
  }

  private open(isHigh: boolean): void {
    if (!/^\d{1,5}$/.test(this.number)) throw new Error(`${this.number}: not a line number`);
    let tries = 1;
    if (!existsSync(this.path)) {
      writeFileSync(`${this.folder}/export`, `${this.number}\n`);
      tries = UDEV_TRIES;
    }
    for (;;) {
      try {
        this.setUp(isHigh);
        return;
      } catch (error) {
        const code = codeOf(error);
        tries -= 1;
        if (tries === 0 || (code !== "EACCES" && code !== "ENOENT")) throw error;
        Bun.sleepSync(UDEV_WAIT_MS);
      }
    }
  }

  private setUp(isHigh: boolean): void {
    // Polarity is ours alone: a left-over active_low would turn it round once more.
    if (textOf(`${this.path}/active_low`).trim() === "1") {
      writeFileSync(`${this.path}/active_low`, "0\n");
    }
    // "high" and "low" set direction and level in one step; "out" would pull the line low first.
    const direction = `${this.path}/direction`;
    if (existsSync(direction)) writeFileSync(direction, isHigh ? "high\n" : "low\n");
    this.descriptor = openSync(`${this.path}/value`, constants.O_WRONLY);
  }

  private chips(): string[] {
    return readdirSync(this.folder)
      .filter((name) => name.startsWith("gpiochip"))
      .map((name) => {
        const base = Number(textOf(`${this.folder}/${name}/base`));
        const count = Number(textOf(`${this.folder}/${name}/ngpio`));
        return `${base}-${base + count - 1} (${textOf(`${this.folder}/${name}/label`).trim()})`;
      });
  }

  private owner(): string {
    const list = textOf(`${this.sys}/kernel/debug/gpio`);
    const entry = new RegExp(`gpio-${this.number}\\s+\\(([^|)]*)\\|([^)]*)\\)`).exec(list);
    const owner = entry?.[2]?.trim() || entry?.[1]?.trim();
    return owner ? `by "${owner}"` : "by another driver (see /sys/kernel/debug/gpio)";
  }
}

/** A plain file that holds 1 or 0: to try things out where there is no lamp. */
class File implements Driver {
  private descriptor = CLOSED;

  constructor(readonly path: string) {}

  drive(isHigh: boolean): void {
    const bytes = isHigh ? LIT : DARK;
    if (this.descriptor === CLOSED) this.open();
    put(this.descriptor, bytes);
    // A file that was removed or replaced is not the one that a reader sees.
    if (fstatSync(this.descriptor).nlink > 0) return;
    this.close();
    this.open();
    put(this.descriptor, bytes);
  }

  close(): void {
    this.descriptor = closed(this.descriptor);
  }

  hint(code: string): string {
    if (code === "ENOENT") return "its folder does not exist; create it first";
    return code === "EISDIR" ? "is a folder; a file name is needed" : "";
  }

  private open(): void {
    // Asked before opening, which alone may set off a device (a watchdog, a tape).
    const found = statSync(this.path, { throwIfNoEntry: false });
    const isOther = found !== undefined && !found.isFile() && !found.isDirectory();
    if (isOther) throw new Error(`${this.path}: not a plain file`);
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK;
    this.descriptor = openSync(this.path, flags, 0o644);
    const bytes = Buffer.alloc(LIT.length + 1);
    const length = readSync(this.descriptor, bytes, 0, bytes.length, 0);
    if (/^[01]?\n?$/.test(bytes.toString("latin1", 0, length))) return;
    // Whatever it is, somebody may need it.
    throw new Error(`${this.path}: holds more than a lamp's 0 or 1; give the lamp its own file`);
  }
}

function put(descriptor: number, bytes: Buffer): void {
  writeSync(descriptor, bytes, 0, bytes.length, 0);
}

function closed(descriptor: number): number {
  if (descriptor !== CLOSED) closeSync(descriptor);
  return CLOSED;
}

/** The text of a small file, "" when it cannot be read. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "";
}

function there(names: readonly string[]): string {
  if (names.length === 0) return "there is none on this gateway";
  const more = names.length > NAMES_MAX ? `, and ${names.length - NAMES_MAX} more` : "";
  return `there are: ${[...names].sort().slice(0, NAMES_MAX).join(", ")}${more}`;
}

function explained(error: unknown, driver: Driver): string {
  const code = codeOf(error);
  if (code === "") return error instanceof Error ? error.message : String(error);
  const path = (error as NodeJS.ErrnoException).path ?? driver.path;
  return `${path}: ${code}, ${driver.hint(code) || meaning(code, path)}`;
}

function meaning(code: string, path: string): string {
  switch (code) {
    case "EACCES":
      return `permission denied; ${permitted(path)}`;
    case "EPERM":
      return "the kernel does not permit it, not even to root";
    case "EBUSY":
      return "in use by another driver or process";
    case "EIO":
    case "ENXIO":
    case "ENODEV":
      return "the hardware does not answer; check wiring, expander and kernel log";
    case "EINVAL":
      return "the driver takes no such value";
    case "EROFS":
      return "read-only file system";
    case "ENOSPC":
      return "no space left";
    case "ENOTDIR":
      return "part of the path is not a folder";
    default:
      return "unexpected; see the kernel log";
  }
}

/** Who may write there: the group that a udev rule should have set. */
function permitted(path: string): string {
  try {
    const { mode, uid, gid } = statSync(path);
    const octal = (mode & 0o777).toString(8).padStart(4, "0");
    const group = new RegExp(`^([^:]+):[^:]*:${gid}:`, "m").exec(textOf("/etc/group"))?.[1] ?? gid;
    return `owner ${uid}, group ${group}, mode ${octal}; ${RULE} or join the group`;
  } catch {
    return `${RULE} or run as root`;
  }
}
