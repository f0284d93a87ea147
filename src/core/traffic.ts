// Traffic: the conversation with the hub while the link is up; routes packets to the machines.
// Neighbours: `agent` brings it up and down with the link; `session`, `keepalive`, `twin` and
// `report` each take their part; `lamps` and `outbox` outlive connections.
// Invariant: every packet that the reader lets through has exactly one taker here; what nothing
// here subscribes to (left over in a stored session) is acknowledged and counted; the log names the
// first of a kind at once, and further ones once a minute at most.

import { PacketType } from "../codec/packet.ts";
import type { Reader } from "../codec/reader.ts";
import {
  DESIRED_FILTER,
  methodAnswerTopic,
  Topic,
  TopicKind,
  TWIN_ANSWER_FILTER,
} from "../codec/topic.ts";
import type { Writer } from "../codec/writer.ts";
import type { Prng } from "../kit/prng.ts";
import { BLAME_MS, METHOD_RID_BYTES_MAX, SUBACK_MS, TWIN_ANSWER_MS } from "../limits.ts";
import { Backoff } from "./backoff.ts";
import type { Counters } from "./counters.ts";
import { Cause, type Effects, Level } from "./effects.ts";
import { KeepAlive } from "./keepalive.ts";
import type { Lamps } from "./lamps.ts";
import type { Outbox } from "./outbox.ts";
import { Report } from "./report.ts";
import { Rids } from "./rids.ts";
import { Session, SessionState } from "./session.ts";
import type { Settings } from "./settings.ts";
import { Twin, TwinState } from "./twin.ts";

const SUBSCRIPTIONS = {
  filters: [TWIN_ANSWER_FILTER, DESIRED_FILTER],
  qos: [0, 0] as const,
};
/** A flood from the cloud must not become one in the log. */
const REPEAT_MS = 60_000;
const NAME_BYTES_MAX = 100;
const NO_SUCH_METHOD = '{"message":"this device has no such method"}';

/** All that happens between CONNACK and the end of a connection. */
export class Traffic {
  readonly session: Session;
  readonly keepAlive: KeepAlive;
  readonly twin: Twin;
  readonly report: Report;
  private topic: Topic;
  /** Of each kind that nothing here takes: when the log last said so, and how many came since. */
  private readonly toldMs = new Map<TopicKind, number>();
  private readonly untold = new Map<TopicKind, number>();

  constructor(
    private readonly effects: Effects,
    private readonly writer: Writer,
    private readonly outbox: Outbox,
    private readonly counters: Counters,
    lamps: Lamps,
    settings: Settings,
    prng: Prng,
  ) {
    const { endpoint, data } = settings;
    const rids = new Rids();
    this.topic = new Topic(endpoint.deviceId, endpoint.moduleId);
    const { inFlightMax, isRepublished, congestionS } = data;
    this.session = new Session(
      writer,
      outbox,
      counters,
      SUBSCRIPTIONS,
      inFlightMax,
      isRepublished,
      congestionS * 1000,
    );
    this.keepAlive = new KeepAlive(writer, counters, endpoint.keepAliveS * 1000);
    this.twin = new Twin(effects, writer, counters, rids, new Backoff(prng), lamps);
    this.report = new Report(effects, writer, counters, rids, new Backoff(prng), lamps);
  }

  /** Who the next connection is for. */
  identify(deviceId: string, moduleId: string): void {
    this.topic = new Topic(deviceId, moduleId);
  }

  /** CONNACK 0: subscribe. @param isKnown the hub still has our session */
  onUp(nowMs: number, isKnown: boolean): void {
    this.keepAlive.onUp(nowMs);
    this.session.onUp(nowMs, isKnown);
  }

  onDown(cause: Cause, nowMs: number): void {
    const { drain, window } = this.outbox;
    if (cause === Cause.CLOSED_BY_PEER) drain.throttle.onClosed(window.inFlight, nowMs);
    this.report.onDown();
    this.twin.onDown();
    this.session.onDown();
    this.keepAlive.onDown();
  }

  /** One packet after CONNACK; any other cause than NONE ends the link. */
  onPacket(reader: Reader, nowMs: number): Cause {
    switch (reader.type) {
      case PacketType.PUBLISH:
        return this.onPublish(reader, nowMs);
      case PacketType.PUBACK:
        this.session.onPuback(reader.identifier);
        return Cause.NONE;
      case PacketType.SUBACK:
        return this.onSuback(reader, nowMs);
      case PacketType.PINGRESP:
        this.keepAlive.onPingresp();
        return Cause.NONE;
      default:
        this.counters.stray++;
        return Cause.NONE;
    }
  }

  /**
   * One packet after our DISCONNECT: nothing may be sent any more (MQTT-3.14.4-2), so only what
   * takes no answer counts. What is left over comes again in the next session.
   */
  onLastPacket(reader: Reader): void {
    if (reader.type === PacketType.PUBACK) this.session.onPuback(reader.identifier);
    else this.counters.stray++;
  }

  /** Sends what waits, as far as window and socket allow; called when the pins are driven. */
  pump(nowMs: number, wallS: number): void {
    this.session.pump(nowMs, wallS);
    if (this.twin.state !== TwinState.SYNCED) return;
    this.report.onReady();
    this.report.pump(nowMs);
  }

  /** The next moment at which something here is due, in monotonic ms. */
  get nextMs(): number {
    return Math.min(
      this.session.nextMs,
      this.outbox.resumeMs,
      this.keepAlive.nextMs(this.waitingSinceMs),
      this.twin.deadlineMs,
      this.report.deadlineMs,
    );
  }

  onDeadline(nowMs: number): Cause {
    const waitingSinceMs = this.waitingSinceMs;
    return (
      this.session.onDeadline(nowMs) ||
      this.twin.onDeadline(nowMs) ||
      this.report.onDeadline(nowMs) ||
      this.keepAlive.onDeadline(nowMs, waitingSinceMs)
    );
  }

  /** What the hub had been sent last and not answered, for the diagnosis; "" when nothing. */
  unanswered(nowMs: number): string {
    const recent = nowMs - BLAME_MS;
    if (this.session.state === SessionState.SUBSCRIBING) return "SUBSCRIBE";
    if (this.twin.isWaiting && this.twin.deadlineMs - TWIN_ANSWER_MS > recent) {
      return "publish to $iothub/twin/GET/";
    }
    if (this.report.isWaiting && this.report.deadlineMs - TWIN_ANSWER_MS > recent) {
      return "publish to $iothub/twin/PATCH/properties/reported/";
    }
    if (this.outbox.window.inFlight > 0 && this.outbox.window.oldestSentMs > recent) {
      const topic = this.outbox.window.oldestTopic();
      return `publish to ${topic.slice(0, topic.lastIndexOf("/") + 1)}`;
    }
    return "";
  }

  private onSuback(reader: Reader, nowMs: number): Cause {
    const { bytes, codesStart, codesEnd } = reader;
    const before = this.session.state;
    const cause = this.session.onSuback(reader.identifier, bytes, codesStart, codesEnd);
    if (before === SessionState.SUBSCRIBING && this.session.state === SessionState.READY) {
      this.twin.onReady(nowMs);
    }
    return cause;
  }

  private onPublish(reader: Reader, nowMs: number): Cause {
    const { bytes, payloadStart, payloadEnd } = reader;
    switch (this.topic.read(bytes, reader.topicStart, reader.topicEnd)) {
      case TopicKind.DESIRED:
        this.twin.onPush(this.topic.version, bytes, payloadStart, payloadEnd, nowMs);
        break;
      case TopicKind.TWIN_ANSWER:
        this.onTwinAnswer(bytes, payloadStart, payloadEnd, nowMs);
        break;
      case TopicKind.METHOD:
        this.refuseMethod(bytes, nowMs);
        break;
      case TopicKind.DEVICEBOUND:
        this.unhandled(
          "a cloud-to-device message arrived; nothing here takes such messages",
          nowMs,
        );
        break;
      case TopicKind.UNKNOWN: {
        const topic = shown(bytes, reader.topicStart, reader.topicEnd);
        this.unhandled(
          `the hub published to a topic that is none of an IoT Hub's: ${topic}`,
          nowMs,
        );
        break;
      }
    }
    // MQTT-4.6.0-2: acknowledged in the order in which they came.
    if (reader.qos === 1 && !this.writer.puback(reader.identifier)) return Cause.SOCKET_FAILED;
    return Cause.NONE;
  }

  private onTwinAnswer(bytes: Uint8Array, start: number, end: number, nowMs: number): void {
    const { rid, status, version } = this.topic;
    if (this.twin.isMine(rid)) {
      this.twin.onAnswer(status, bytes, start, end, nowMs);
    } else if (this.report.isMine(rid)) {
      this.report.onAnswer(status, version, nowMs);
    } else {
      this.counters.stray++;
    }
  }

  private refuseMethod(bytes: Uint8Array, nowMs: number): void {
    const { nameStart, nameEnd } = this.topic;
    const rid = ascii(bytes, this.topic.ridStart, this.topic.ridEnd);
    if (rid !== "") this.writer.publishText(methodAnswerTopic(404, rid), NO_SUCH_METHOD, 0, 0);
    const name = shown(bytes, nameStart, nameEnd);
    this.unhandled(`the direct method ${name} was called; nothing here takes method calls`, nowMs);
  }

  private unhandled(text: string, nowMs: number): void {
    this.counters.unhandled++;
    const { kind } = this.topic;
    const untold = this.untold.get(kind) ?? 0;
    if (nowMs - (this.toldMs.get(kind) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) {
      this.untold.set(kind, untold + 1);
      return;
    }
    this.toldMs.set(kind, nowMs);
    this.untold.set(kind, 0);
    const more = untold === 0 ? "" : ` (and ${untold} more like it since the line before)`;
    this.effects.log(Level.WARNING, text + more);
  }

  /** Since when the hub owes an answer, in monotonic ms; Infinity: it owes none. */
  get waitingSinceMs(): number {
    const { session, twin, report } = this;
    let since = this.outbox.window.oldestSentMs;
    if (session.state === SessionState.SUBSCRIBING) {
      since = Math.min(since, session.deadlineMs - SUBACK_MS);
    }
    if (twin.isWaiting) since = Math.min(since, twin.deadlineMs - TWIN_ANSWER_MS);
    if (report.isWaiting) since = Math.min(since, report.deadlineMs - TWIN_ANSWER_MS);
    return since;
  }
}

/** A request number as text; "" when it is none that a hub gives and could be answered on. */
function ascii(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  if (end - start > METHOD_RID_BYTES_MAX) return text;
  for (let at = start; at < end; at++) {
    if (bytes[at]! > 0x7e) return "";
    text += String.fromCharCode(bytes[at]!);
  }
  return text;
}

/** What the cloud has named, for the log: printable ASCII as it came, `?` for the rest. */
function shown(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let at = start; at < Math.min(end, start + NAME_BYTES_MAX); at++) {
    const isPlain = bytes[at]! > 0x20 && bytes[at]! < 0x7f;
    text += isPlain ? String.fromCharCode(bytes[at]!) : "?";
  }
  return text.length < end - start ? `${text}...` : text;
}
