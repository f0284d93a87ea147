// Rig: the production turn in a world that a test plays by hand.
// Neighbours: tests of `turn` and `core` use it; the simulator has a world of its own.
// Invariant: nothing happens unless the test makes it happen; all that the turn asks of the world
// is kept in order for the test to look at.

import { AgentState } from "../src/core/agent.ts";
import {
  Cause,
  type Level,
  type Ports,
  type Probed,
  type Target,
  TpmOperation,
  type TpmRequest,
  type Upkeep,
  type WebRequest,
} from "../src/core/effects.ts";
import { Refused } from "../src/core/outbox.ts";
import type { Settings } from "../src/core/settings.ts";
import type { Fate } from "../src/core/tally.ts";
import { Prng } from "../src/kit/prng.ts";
import { Turn } from "../src/turn.ts";
import { settings } from "./given.ts";
import { connack, parsed, pingresp, puback, publish, type Sent, suback } from "./hand.ts";
import { Shelf } from "./shelf.ts";

export { KEY, lamp, settings } from "./given.ts";
export { connack, packet, pingresp, puback, publish, type Sent, suback } from "./hand.ts";

/** What the signer answers, base64; as secret as the real thing. */
export const SIGNATURE = "c2lnbmF0dXJl";

/** The turn, its world, and what it did to it. */
export class Rig {
  nowMs = 1_000_000;
  wallS = 1_700_000_000;
  alarmMs = Number.POSITIVE_INFINITY;
  /** `open`, `abort`, `end`, `drive 0 on`, `log 5 text`, `reply 1 ok text`, … in order. */
  readonly calls: string[] = [];
  readonly target: Target[] = [];
  /** Bytes that the socket takes before it is full. */
  socketRoom = Number.POSITIVE_INFINITY;
  /** Answer of the pin driver. */
  pinFault = "";
  /** All that the socket took on the present connection, and in how many writes. */
  stream: number[] = [];
  writes = 0;
  /** Asked of the TPM and of DPS, and not taken by the test yet. */
  readonly performed: { readonly ticket: number; readonly request: TpmRequest }[] = [];
  readonly fetched: { readonly ticket: number; readonly request: WebRequest }[] = [];
  swept = 0;
  /** The calendar: the next connection after a moment, in Unix s. */
  nextS: (wallS: number) => number = () => Number.POSITIVE_INFINITY;
  /** The last metrics. */
  exposed = "";
  readonly turn: Turn;
  private rings = 0;
  private packets: Sent[] = [];
  private parsedBytes = 0;

  /**
   * @param kept the assignment on disk; what is saved takes its place
   * @param shelf the disk with the store; its syncs are answered by `settle`
   * @param machine names this run of the machine
   */
  constructor(
    readonly given: Settings = settings({}),
    seed = 1,
    public kept = "",
    readonly shelf = new Shelf(),
    private readonly machine = "m1",
  ) {
    this.turn = new Turn(this.ports(), given, "", new Prng(seed), "b00t");
  }

  private ports(): Ports {
    const { calls } = this;
    return {
      clock: { nowMs: () => this.nowMs, wallS: () => this.wallS },
      uplink: {
        open: (target) => {
          calls.push("open");
          this.target.push(target);
          this.stream = [];
          this.parsedBytes = 0;
        },
        write: (bytes, start, end) => {
          const taken = Math.min(end - start, this.socketRoom);
          this.socketRoom -= taken;
          this.writes++;
          for (let at = start; at < start + taken; at++) this.stream.push(bytes[at]!);
          this.parse();
          return taken;
        },
        end: () => void calls.push("end"),
        abort: () => void calls.push("abort"),
      },
      signer: { sign: (text) => void calls.push(`sign ${text.replace("\n", " ")}`) },
      probe: { probe: (host, port, path) => void calls.push(`probe ${host}:${port}${path}`) },
      pins: {
        drive: (index, on) => {
          calls.push(`drive ${index} ${on ? "on" : "off"}`);
          return this.pinFault;
        },
      },
      alarm: {
        arm: (atMs) => {
          this.alarmMs = atMs;
        },
      },
      control: {
        reply: (client, ok, text) => void calls.push(`reply ${client} ${ok ? "ok" : "no"} ${text}`),
      },
      tpm: {
        perform: (ticket, request) => {
          calls.push(`perform ${TpmOperation[request.operation]}`);
          this.performed.push({ ticket, request });
        },
        flushAll: (ticket) => {
          calls.push("sweep");
          this.swept = ticket;
        },
      },
      web: {
        ask: (ticket, request) => {
          calls.push(`ask ${request.method} ${request.host}:${request.port}${request.path}`);
          this.fetched.push({ ticket, request });
        },
      },
      store: this.shelf,
      upkeep: this.upkeep(),
      memo: {
        text: this.kept,
        save: (text) => {
          calls.push("save");
          this.kept = text;
        },
      },
      sha256: (bytes) => new Bun.CryptoHasher("sha256").update(bytes).digest(),
      log: { write: (level: Level, text) => void calls.push(`log ${level} ${text}`) },
      reload: (client) => void calls.push(`reload ${client}`),
      exit: (code) => void calls.push(`exit ${code}`),
    };
  }

  private upkeep(): Upkeep {
    const { calls } = this;
    return {
      machine: this.machine,
      nextS: (wallS) => this.nextS(wallS),
      feed: (isAlive) => void calls.push(`feed ${isAlive ? "all" : "manager"}`),
      refresh: () => void calls.push("refresh"),
      hook: (words) => void calls.push(`hook ${words.join(" ")}`),
      reboot: () => void calls.push("reboot"),
      expose: (text) => {
        calls.push("expose");
        this.exposed = text;
      },
    };
  }

  /** Calls since the last look, without the log unless asked for. */
  take(withLog = false): string[] {
    const taken = this.calls.splice(0);
    return withLog ? taken : taken.filter((call) => !call.startsWith("log "));
  }

  /** The log lines since the last look. */
  logs(): string[] {
    return this.take(true)
      .filter((call) => call.startsWith("log "))
      .map((call) => call.slice(6));
  }

  /** Whole packets sent since the last look; of a connection that ended, what it still took. */
  sent(): Sent[] {
    return this.packets.splice(0);
  }

  /** Messages among the packets sent since the last look. */
  messages(): Sent[] {
    return this.sent().filter((one) => one.type === 3 && !one.topic.startsWith("$"));
  }

  private parse(): void {
    const { stream } = this;
    for (;;) {
      let at = this.parsedBytes + 1;
      let length = 0;
      for (let shift = 0; at < stream.length; shift += 7) {
        const group = stream[at++]!;
        length |= (group & 0x7f) << shift;
        if (group < 0x80) break;
      }
      const isWhole = at > this.parsedBytes + 1 && stream[at - 1]! < 0x80;
      if (!isWhole || at + length > stream.length) return;
      const body = Uint8Array.from(stream.slice(at, at + length));
      this.packets.push(parsed(stream[this.parsedBytes]!, body));
      this.parsedBytes = at + length;
    }
  }

  /** Lets `ms` pass, ringing the alarm whenever it is due. */
  pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    while (this.alarmMs <= untilMs) {
      const atMs = Math.max(this.nowMs, this.alarmMs);
      this.wallS += (atMs - this.nowMs) / 1000;
      this.nowMs = atMs;
      this.alarmMs = Number.POSITIVE_INFINITY;
      this.turn.onAlarm();
      this.settle();
    }
    this.wallS += (untilMs - this.nowMs) / 1000;
    this.nowMs = untilMs;
  }

  /** From a fresh start to CONNECT sent. */
  greet(): void {
    this.turn.start();
    this.turn.onSigned(SIGNATURE);
    this.secure();
  }

  /** TCP and TLS stand. */
  secure(): void {
    this.turn.onOpened();
    this.turn.onSecured();
  }

  /** Lives on, answering pings, until the renewal of the token is to be signed. */
  toRenewal(): void {
    this.take();
    while (!this.calls.some((call) => call.startsWith("sign "))) {
      this.ring();
      if (this.sent().some((one) => one.type === 12)) this.turn.onData(pingresp());
    }
  }

  /** Lets time pass until the agent dials again, signing when it asks for that. */
  redial(): void {
    this.take();
    while (!this.calls.includes("open")) {
      if (this.turn.agent.state === AgentState.SIGNING) this.turn.onSigned(SIGNATURE);
      else this.ring();
    }
  }

  /** Lets time pass until the alarm has rung once. */
  ring(): void {
    if (this.alarmMs === Number.POSITIVE_INFINITY) throw new Error("nothing will ever happen");
    this.rings++;
    if (this.rings > 10_000) throw new Error("the alarm rings and rings");
    this.pass(Math.max(this.alarmMs - this.nowMs, 0));
  }

  /** From an open call to a twin in step; the hub still knows us when `present`. */
  reconnect(desired: object = {}, version = 1, present = true): void {
    this.secure();
    this.turn.onData(connack(0, present));
    this.synchronise(desired, version);
  }

  /** Offers messages, each with its text as body, and lets the disk have them. */
  accept(...texts: readonly string[]): void {
    this.settle();
    for (const text of texts) {
      if (this.offer(text) !== Refused.NO) throw new Error(`${text} is refused`);
    }
    this.turn.onWritable();
    this.settle();
  }

  offer(text: string, priority = 7, ttlS = 0): Refused {
    const { outbox } = this.turn.agent.machines;
    return outbox.offer(priority, ttlS, "", new TextEncoder().encode(text), this.wallS);
  }

  /** How many messages came to this, over all priorities. */
  tally(fate: Fate): number {
    return this.turn.agent.machines.outbox.tally.sum(fate);
  }

  /** The hub has these messages, and the disk does what follows from it. */
  acknowledge(...identifiers: readonly number[]): void {
    for (const identifier of identifiers) {
      this.turn.onData(puback(identifier));
      this.settle();
    }
  }

  /** The disk has done all that it was asked for. */
  settle(): void {
    while (this.shelf.isSyncing) {
      this.shelf.answer();
      this.turn.onStoreSynced("");
    }
  }

  /** From a fresh start to a twin in step at desired version `version`. */
  online(desired: object = {}, version = 1): void {
    this.greet();
    this.turn.onData(connack());
    this.synchronise(desired, version);
  }

  /** Answers SUBSCRIBE and the twin GET that follows. */
  synchronise(desired: object, version: number, reported: object = {}): void {
    const subscribe = this.packets.find((one) => one.type === 8)!;
    this.remove(subscribe);
    this.turn.onData(suback(subscribe.identifier));
    this.answerGet(desired, version, reported);
  }

  /** Answers the twin GET that was sent last; other packets stay for the test to look at. */
  answerGet(desired: object, version: number, reported: object = {}): void {
    const document = { desired: { ...desired, $version: version }, reported };
    this.answer("GET", 200, JSON.stringify(document));
  }

  /** Answers the last report with `status`, by default done. */
  answerReport(status = 204, version = 1): void {
    this.answer("PATCH", status, "", `&$version=${version}`);
  }

  private answer(verb: string, status: number, payload: string, rest = ""): void {
    const request = this.packets.findLast((one) => one.topic.startsWith(`$iothub/twin/${verb}/`))!;
    this.remove(request);
    const rid = request.topic.split("$rid=")[1];
    this.turn.onData(publish(`$iothub/twin/res/${status}/?$rid=${rid}${rest}`, payload));
  }

  private remove(packet: Sent): void {
    this.packets.splice(this.packets.indexOf(packet), 1);
  }

  /** The hub pushes a change of desired properties. */
  push(desired: object, version: number): void {
    const topic = `$iothub/twin/PATCH/properties/desired/?$version=${version}`;
    this.turn.onData(publish(topic, JSON.stringify({ ...desired, $version: version })));
  }

  /** The hub or the network closes the socket. */
  close(cause = Cause.CLOSED_BY_PEER, detail = ""): void {
    this.turn.onClosed(cause, detail);
  }

  probed(parts: Partial<Probed>): void {
    this.turn.onProbed({ dateS: this.wallS, status: 401, errorCode: "", ...parts });
  }
}
