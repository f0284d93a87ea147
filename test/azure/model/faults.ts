/**
 * Faults on demand: what goes wrong, for which device, how often and how long. Neighbours: the
 * parts ask `fires` at the place where a fault bites; `sabotage.ts` does what bites at once.
 * Invariant: without faults the question costs one comparison; chance comes from the world.
 */
import type { Entry } from "./agenda.ts";
import type { Context } from "./context.ts";
import { invalid } from "./errors.ts";
import { isObject, type JsonObject } from "./merge.ts";
import { strike } from "./sabotage.ts";

export type FaultKind =
  | "drop"
  | "blackhole"
  | "no-puback"
  | "delay-puback"
  | "refuse"
  | "slow-connack"
  | "no-suback"
  | "lose-twin-answer"
  | "throttle"
  | "duplicate-c2d"
  | "c2d-before-suback"
  | "upgrade"
  | "date-skew"
  | "no-pingresp"
  | "refuse-websocket"
  | "dps-delay"
  | "dps-fail"
  | "dps-disabled"
  | "dps-throttle"
  | "dps-retry-after"
  | "never-assigned"
  | "wrong-blob"
  | "short-blob";

/** A number that a kind takes: name, range, and the default when it may be left out. */
interface Argument {
  name: "after" | "ms" | "code" | "skewS" | "seconds" | "phase";
  min: number;
  max: number;
  fallback?: number;
  /** Between these two nothing is allowed. */
  gap?: readonly [number, number];
}

const MS_MAX = 86_400_000;

const ARGUMENTS: ReadonlyMap<FaultKind, Argument | null> = new Map<FaultKind, Argument | null>([
  ["drop", { name: "after", min: 0, max: 1_000_000_000, fallback: 0 }],
  ["blackhole", null],
  ["no-puback", null],
  ["delay-puback", { name: "ms", min: 1, max: MS_MAX }],
  ["refuse", { name: "code", min: 1, max: 5, fallback: 5 }],
  ["slow-connack", { name: "ms", min: 1, max: MS_MAX }],
  ["no-suback", null],
  ["lose-twin-answer", null],
  ["throttle", null],
  ["duplicate-c2d", null],
  ["c2d-before-suback", null],
  ["upgrade", null],
  ["date-skew", { name: "skewS", min: -1_000_000_000, max: 1_000_000_000 }],
  ["no-pingresp", null],
  // HTTP status; no device is known yet, so one that is named is none of those meant.
  ["refuse-websocket", { name: "code", min: 400, max: 599, fallback: 503 }],
  ["dps-delay", { name: "ms", min: 1, max: MS_MAX }],
  // Three digits: status of the call itself; six: error code of a registration that fails.
  ["dps-fail", { name: "code", min: 400, max: 599_999, fallback: 400_208, gap: [599, 400_000] }],
  ["dps-disabled", null],
  ["dps-throttle", null],
  ["dps-retry-after", { name: "seconds", min: 0, max: 86_400 }],
  ["never-assigned", null],
  // 1: the registration key only, 2: the device key only, 0: both.
  ["wrong-blob", { name: "phase", min: 0, max: 2, fallback: 0 }],
  ["short-blob", { name: "phase", min: 0, max: 2, fallback: 0 }],
]);

const COMMON = ["kind", "device", "count", "probability", "durationS"];

/** A fault in force. */
export interface Fault {
  readonly id: number;
  readonly kind: FaultKind;
  /** Device id, `''` for all. */
  readonly device: string;
  /** 0 to 1, drawn each time it could fire. */
  readonly probability: number;
  /** Times it may still fire, Infinity for no bound. */
  left: number;
  /** Unix ms of its end, Infinity for none. */
  readonly untilMs: number;
  /** Number that goes with the kind: publishes, ms, code, s, phase; else 0. */
  readonly value: number;
  /** Throttle only: close with 429002 instead of answering 429. */
  readonly isDisconnect: boolean;
  /** Drop only: publishes seen, by device. */
  readonly seen: Map<string, number>;
  entry: Entry | undefined;
}

function numberOf(spec: JsonObject, name: string, min: number, max: number, fallback?: number) {
  const value = spec[name] ?? fallback;
  if (typeof value !== "number" || !(value >= min && value <= max)) {
    throw invalid(`fault: ${name} must be a number from ${min} to ${max}`);
  }
  return value;
}

/** The kind's own number; throws 400. */
function argumentOf(given: JsonObject, argument: Argument): number {
  const { name, min, max, fallback, gap } = argument;
  const value = numberOf(given, name, min, max, fallback);
  if (gap === undefined || value <= gap[0] || value >= gap[1]) return value;
  throw invalid(`fault: ${name} must be from ${min} to ${gap[0]} or from ${gap[1]} to ${max}`);
}

/** The faults of one hub. */
export class Faults {
  private readonly active = new Map<number, Fault>();
  private nextId = 1;

  constructor(private readonly context: Context) {}

  /**
   * Sets a fault: `kind`, and optionally `device`, `count`, `probability`, `durationS`, and the
   * kind's own `after`, `ms`, `code`, `skewS`, `seconds`, `phase` or `disconnect`.
   * Throws 400 on anything else.
   */
  add(spec: unknown): Fault {
    const fault = this.parse(spec);
    this.active.set(fault.id, fault);
    this.tell(fault, "set", fault.device);
    if (fault.untilMs !== Number.POSITIVE_INFINITY) {
      fault.entry = this.context.agenda.at(fault.untilMs, () => this.end(fault));
    }
    if (!strike(this.context, fault)) this.end(fault);
    this.context.flush();
    return fault;
  }

  /** Ends one fault, or all without an id; how many ended. */
  clear(id?: number): number {
    const ending = [...this.active.values()].filter((fault) => id === undefined || fault.id === id);
    for (const fault of ending) this.end(fault);
    return ending.length;
  }

  list(): JsonObject[] {
    return [...this.active.values()].map((fault) => ({
      id: fault.id,
      kind: fault.kind,
      device: fault.device,
      probability: fault.probability,
      countLeft: Number.isFinite(fault.left) ? fault.left : null,
      untilMs: Number.isFinite(fault.untilMs) ? fault.untilMs : null,
      value: fault.value,
      disconnect: fault.isDisconnect,
    }));
  }

  /**
   * The fault of this kind that bites this device now, if any; uses up one of its count.
   * `isMeant` chooses among those of one kind that bite in different places.
   */
  fires(
    kind: FaultKind,
    deviceId: string,
    isMeant: (fault: Fault) => boolean = () => true,
  ): Fault | undefined {
    if (this.active.size === 0) return undefined;
    for (const fault of this.active.values()) {
      if (fault.kind === kind && isMeant(fault) && this.bites(fault, deviceId)) return fault;
    }
    return undefined;
  }

  /** The oldest fault of this kind in force, without using it up. */
  peek(kind: FaultKind): Fault | undefined {
    for (const fault of this.active.values()) if (fault.kind === kind) return fault;
    return undefined;
  }

  /** Whether this fault bites this device now; uses up one of its count. */
  bites(fault: Fault, deviceId: string): boolean {
    if (fault.device !== "" && fault.device !== deviceId) return false;
    if (fault.left <= 0 || !this.isDrawn(fault.probability)) return false;
    fault.left--;
    this.tell(fault, "fired", deviceId);
    if (fault.left <= 0) this.end(fault);
    return true;
  }

  /** Counts a publish for `drop` with `after`; whether it is the one that drops. */
  dropsPublish(deviceId: string): boolean {
    if (this.active.size === 0) return false;
    for (const fault of this.active.values()) {
      if (fault.kind !== "drop" || fault.value === 0) continue;
      if (fault.device !== "" && fault.device !== deviceId) continue;
      const seen = (fault.seen.get(deviceId) ?? 0) + 1;
      fault.seen.set(deviceId, seen < fault.value ? seen : 0);
      if (seen >= fault.value && this.bites(fault, deviceId)) return true;
    }
    return false;
  }

  private isDrawn(probability: number): boolean {
    if (probability >= 1) return true;
    const bytes = this.context.world.randomBytes(4);
    const draw = ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0;
    return draw / 4_294_967_296 < probability;
  }

  private parse(given: unknown): Fault {
    if (!isObject(given)) throw invalid("fault: a JSON object is needed");
    const kind = given.kind as FaultKind;
    const argument = ARGUMENTS.get(kind);
    if (argument === undefined) {
      throw invalid(`fault: kind must be one of ${[...ARGUMENTS.keys()].join(", ")}`);
    }
    const allowed = [...COMMON, ...(argument === null ? [] : [argument.name])];
    if (kind === "throttle") allowed.push("disconnect");
    const unknown = Object.keys(given).find((key) => !allowed.includes(key));
    if (unknown !== undefined) {
      throw invalid(`fault: ${kind} has no ${unknown}; allowed: ${allowed.join(", ")}`);
    }
    const device = given.device ?? "";
    if (typeof device !== "string") throw invalid("fault: device must be a string");
    const durationS = numberOf(given, "durationS", 0, MS_MAX, 0);
    const value = argument === null ? 0 : argumentOf(given, argument);
    const isForever = given.durationS === undefined;
    const isCounted = given.count !== undefined;
    return {
      id: this.nextId++,
      kind,
      device,
      probability: numberOf(given, "probability", 0, 1, 1),
      left: isCounted ? numberOf(given, "count", 1, 1e9) : this.countOf(kind, given, isForever),
      untilMs: isForever ? Number.POSITIVE_INFINITY : this.context.nowMs() + durationS * 1000,
      value,
      isDisconnect: given.disconnect === true,
      seen: new Map(),
      entry: undefined,
    };
  }

  /** Without count and duration: a drop after n publishes happens once, the rest until cleared. */
  private countOf(kind: FaultKind, given: JsonObject, isForever: boolean): number {
    return kind === "drop" && isForever && given.after !== undefined ? 1 : Number.POSITIVE_INFINITY;
  }

  private end(fault: Fault): void {
    if (!this.active.delete(fault.id)) return;
    this.context.agenda.cancel(fault.entry);
    this.tell(fault, "cleared", fault.device);
  }

  private tell(fault: Fault, state: "set" | "fired" | "cleared", deviceId: string): void {
    const at = this.context.at();
    this.context.emit({ type: "fault", at, deviceId, state, id: fault.id, kind: fault.kind });
  }
}
