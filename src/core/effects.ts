// Effects: what the machines ask of the world, and the shape of the world that carries it out.
// Neighbours: machines append here; `turn.ts` drains after each step; `port/*` implements the
// interfaces at the end of this file and imports nothing else of core.
// Invariant: a step only appends; nothing is carried out before the step has returned.

import type { Sha256 } from "../codec/public.ts";
import type { TpmRequest } from "../codec/request.ts";
import { assert } from "../kit/assert.ts";
import type { Store } from "../kit/store.ts";
import { EFFECT_SLOTS } from "../limits.ts";
import { Cause } from "./cause.ts";
import type { Tpm } from "./hardware.ts";
import type { Memo, Web, WebRequest } from "./service.ts";
import type { Upkeep } from "./upkeep.ts";

export { type Dial, DialError, type Entropy, type HttpProxy, type Tunnel } from "./dial.ts";
export { Cause };

/** How loud a log line is; the number is the syslog severity (RFC 5424, table 2). */
export enum Level {
  ERROR = 3,
  WARNING = 4,
  NOTICE = 5,
  INFO = 6,
  DEBUG = 7,
}

/** What a slot asks for. */
export enum Verb {
  OPEN,
  ABORT,
  SIGN,
  PROBE,
  DRIVE,
  LOG,
  REPLY,
  RELOAD,
  EXIT,
  PERFORM,
  SWEEP,
  FETCH,
  SAVE,
  PLAN,
  FEED,
  REMEMBER,
  CLIMB,
  EXPOSE,
}

/** A fixed list of effects: filled by one step, drained after it, then empty again. */
export class Effects {
  readonly verbs = new Uint8Array(EFFECT_SLOTS);
  readonly numbers = new Int32Array(EFFECT_SLOTS);
  readonly flags = new Uint8Array(EFFECT_SLOTS);
  readonly texts: string[] = new Array(EFFECT_SLOTS).fill("");
  /** Of PERFORM the operation, of FETCH the request. */
  readonly things: unknown[] = new Array(EFFECT_SLOTS).fill(undefined);
  count = 0;

  /** Open the uplink to the hub. */
  open(): void {
    this.push(Verb.OPEN, 0, 0, "");
  }

  /** Drop the uplink at once; no close event follows. */
  abort(): void {
    this.push(Verb.ABORT, 0, 0, "");
  }

  /** Sign `text` (UTF-8) with the device key; answered by `onSigned` or `onSignFailed`. */
  sign(text: string): void {
    this.push(Verb.SIGN, 0, 0, text);
  }

  /** Ask the hub over HTTPS for its time and its opinion of our token; answered by `onProbed`. */
  probe(authorization: string): void {
    this.push(Verb.PROBE, 0, 0, authorization);
  }

  /** Drive lamp number `lamp` (index in the settings) on or off. */
  drive(lamp: number, on: boolean): void {
    this.push(Verb.DRIVE, lamp, on ? 1 : 0, "");
  }

  /** One log line. */
  log(level: Level, text: string): void {
    this.push(Verb.LOG, level, 0, text);
  }

  /** Answer control client `client`; `ok` decides its exit code. */
  reply(client: number, ok: boolean, text: string): void {
    this.push(Verb.REPLY, client, ok ? 1 : 0, text);
  }

  /** Read the settings file again; the outcome is told to control client `client` (-1: nobody). */
  reload(client: number): void {
    this.push(Verb.RELOAD, client, 0, "");
  }

  /** End the process with this exit code. */
  exit(code: number): void {
    this.push(Verb.EXIT, code, 0, "");
  }

  /** One operation of the TPM, answered by `onTpmDone` with this ticket. */
  perform(ticket: number, request: TpmRequest): void {
    this.things[this.count] = request;
    this.push(Verb.PERFORM, ticket, 0, "");
  }

  /** End all sessions and transient objects in the TPM, answered by `onTpmDone`. */
  sweep(ticket: number): void {
    this.push(Verb.SWEEP, ticket, 0, "");
  }

  /** One HTTPS request, answered by `onFetched` with this ticket. */
  ask(ticket: number, request: WebRequest): void {
    this.things[this.count] = request;
    this.push(Verb.FETCH, ticket, 0, "");
  }

  /** Keep the assignment for the next start, atomically; answered by `onSaved`. */
  save(text: string): void {
    this.push(Verb.SAVE, 0, 0, text);
  }

  /** The operation or request of a slot, which may hold secrets and is not kept. */
  take(slot: number): unknown {
    const thing = this.things[slot];
    this.things[slot] = undefined;
    return thing;
  }

  /** Ask the calendar for the next occurrence after now; answered by `onPlanned`. */
  plan(): void {
    this.push(Verb.PLAN, 0, 0, "");
  }

  /** Give the service manager a sign of life, and with `isAlive` the hardware watchdog too. */
  feed(isAlive: boolean): void {
    this.push(Verb.FEED, 0, isAlive ? 1 : 0, "");
  }

  /** Keep `text` durably in place of the last; answered by `onRemembered` with this ticket. */
  remember(ticket: number, text: string): void {
    this.push(Verb.REMEMBER, ticket, 0, text);
  }

  /** Do what rung `rung` of the recovery ladder says; answered by `onClimbed`. */
  climb(rung: number): void {
    this.push(Verb.CLIMB, rung, 0, "");
  }

  /** Hand these metrics to whoever collects them. */
  expose(text: string): void {
    this.push(Verb.EXPOSE, 0, 0, text);
  }

  private push(verb: Verb, number: number, flag: number, text: string): void {
    const slot = this.count;
    assert(slot < EFFECT_SLOTS, "a step stays within the effect slots");
    this.verbs[slot] = verb;
    this.numbers[slot] = number;
    this.flags[slot] = flag;
    this.texts[slot] = text;
    this.count = slot + 1;
  }
}

/** Monotonic and calendar time. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  nowMs(): number;
  /** Seconds since 1970-01-01T00:00:00Z by the system's calendar; may jump. */
  wallS(): number;
}

/** Where the uplink connects to. */
export interface Target {
  /** Host name or address dialled. */
  readonly host: string;
  /** TCP port of MQTT over TLS, or of HTTPS where a WebSocket carries it, 1 .. 65535. */
  readonly port: number;
  /** PEM bundle of trusted roots; "" for the system's roots that Azure publishes. */
  readonly roots: string;
  /** Path and query of the WebSocket that carries MQTT; left out for MQTT over TLS itself. */
  readonly webSocketPath?: string;
}

/** PEM texts that a device shows when a server asks for them: its chain, and the secret key. */
export interface Shown {
  readonly cert?: string;
  readonly key?: string;
}

/** What the uplink tells the turn. After `onClosed` nothing more comes from that connection. */
export interface UplinkEvents {
  onOpened(): void;
  onSecured(): void;
  onData(chunk: Uint8Array): void;
  onWritable(): void;
  onClosed(cause: Cause, detail: string): void;
}

/** One TLS connection at a time. Events never come from inside a call into the port. */
export interface Uplink {
  /** Starts to connect; a previous connection must have ended or been aborted. */
  open(target: Target): void;
  /** Hands over bytes[start..end); returns how many were taken, 0 when the socket is full. */
  write(bytes: Uint8Array, start: number, end: number): number;
  /** Half-closes after what was written; idempotent; `onClosed` follows. */
  end(): void;
  /** Forgets the connection at once; no event follows. */
  abort(): void;
}

/** Signs with the device key. Answers with exactly one event, never from inside `sign`. */
export interface Signer {
  /** HMAC-SHA256 over the UTF-8 bytes of `text`; `onSigned` gets it in base64. */
  sign(text: string): void;
}

/** What the signer tells the turn. */
export interface SignerEvents {
  onSigned(signatureBase64: string): void;
  onSignFailed(detail: string): void;
}

/** The answer to a probe. */
export interface Probed {
  /** The server's `Date` in Unix seconds; NaN when no answer came. */
  readonly dateS: number;
  /** HTTP status; 0 when no answer came. */
  readonly status: number;
  /** `ErrorCode` of the body, "" when there is none. */
  readonly errorCode: string;
}

/** Asks the hub's HTTPS side. Answers with exactly one `onProbed`, never from inside `probe`. */
export interface Probe {
  probe(host: string, port: number, path: string, authorization: string, roots: string): void;
}

/** Output pins by index in the settings. */
export interface Pins {
  /** Drives the pin; returns "" or one line that says what is wrong and what to do. */
  drive(lamp: number, on: boolean): string;
}

/** The one timer: calls `onAlarm` once at or soon after `atMs` (monotonic; Infinity: never). */
export interface Alarm {
  arm(atMs: number): void;
}

/** Answers control clients. */
export interface Control {
  reply(client: number, ok: boolean, text: string): void;
}

/** Writes log lines. */
export interface Log {
  write(level: Level, text: string): void;
}

/** How a lamp's pin is reached. */
export interface PinSettings {
  /** The lamp's name, for messages. */
  readonly name: string;
  /** `leds`: /sys/class/leds/TARGET; `sysfs`: line TARGET of /sys/class/gpio; `file`: a file. */
  readonly driver: "leds" | "sysfs" | "file";
  /** LED directory name, GPIO line number in decimal, or file path. */
  readonly target: string;
  /** True when the lamp is lit by a low level. */
  readonly activeLow: boolean;
}

/** One `key = value` of the settings file. */
export interface Entry {
  /** Section name as written, e.g. `led.LED1`; "" before the first section. */
  readonly section: string;
  readonly key: string;
  readonly value: string;
  /** Line in the file, counting from 1. */
  readonly line: number;
}

/** A place in the settings file and what is wrong there; line 0 means the whole file. */
export interface Problem {
  readonly line: number;
  readonly section: string;
  readonly key: string;
  /** One line: the problem; and what is allowed, after `allowed: ` where there is such a thing. */
  readonly text: string;
}

/** All of the world that a turn needs. */
export interface Ports {
  readonly clock: Clock;
  readonly uplink: Uplink;
  readonly signer: Signer;
  readonly probe: Probe;
  readonly pins: Pins;
  readonly alarm: Alarm;
  readonly control: Control;
  readonly log: Log;
  /** Of an endpoint whose key is in the TPM, web and memo of type tpm; else never called. */
  readonly tpm: Pick<Tpm, "perform" | "flushAll">;
  /** Of an endpoint that registers at DPS, as the next one. */
  readonly web: Web;
  readonly memo: Memo;
  readonly store: Store;
  readonly upkeep: Upkeep;
  readonly sha256: Sha256;
  /**
   * Reads the settings file again; then calls `turn.onSettings`, never from inside the call, or
   * replies with what is wrong.
   */
  reload(client: number): void;
  exit(code: number): void;
}

export { TpmOperation, type TpmRequest } from "../codec/request.ts";
export type { Message } from "../kit/row.ts";
export {
  type Store,
  type StoreCount,
  type StoreEntry,
  type StoreEvents,
  type StoreOpened,
  StoreOutcome,
} from "../kit/store.ts";
export type { Chip, ChipEvents, Tpm, TpmEvents } from "./hardware.ts";
export type { Memo, MemoEvents, Web, WebAnswer, WebEvents, WebRequest } from "./service.ts";
export type {
  Calendar,
  Exposure,
  Manager,
  Upkeep,
  UpkeepEvents,
  Watchdog,
} from "./upkeep.ts";
