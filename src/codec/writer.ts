// Writes the packets that an MQTT 3.1.1 client sends, in place, into one fixed buffer.
// Neighbours: core calls it, the turn hands bytes[start..end) to the socket; text.ts checks
// the strings. QoS 2 and wills are not written: IoT Hub closes on the one, we use no other.
// Invariant: bytes[start..end) is whole packets but for a prefix already consumed; a packet
// that does not fit changes nothing a reader of that range could see.

import { assert } from "../kit/assert.ts";
import {
  HEADER_BYTES_MAX,
  PACKET_BYTES_MAX,
  PacketType,
  REMAINING_LENGTH_MAX,
  STRING_BYTES_MAX,
} from "./packet.ts";
import { checkFilter, checkIdentifier, checkName, checkText } from "./text.ts";
import { utf8Length, writeUtf8 } from "./utf8.ts";

const PROTOCOL_NAME = "MQTT";
const PROTOCOL_LEVEL = 4;
const CLEAN_SESSION = 0x02;
const HAS_PASSWORD = 0x40;
const HAS_USERNAME = 0x80;

/** Up to this many bytes a loop beats the view that `set()` needs for a part of an array. */
const LOOP_BYTES_MAX = 64;

/** A whole array is copied for the sake of its front when it is at most this many times that. */
const SURPLUS_MAX = 16;

/**
 * Packet writer over one buffer. Every packet method returns false and writes nothing when the
 * packet does not fit in `room()`. A caller's mistake (an identifier outside 1..65535, an empty
 * or over-long string, a wildcard in a topic) is a broken assertion.
 */
export class Writer {
  readonly bytes: Uint8Array;
  /** Room for whoever keeps messages: `publish` takes any part of it at no cost but the copy. */
  readonly shared: Uint8Array;
  start = 0;
  end = 0;
  /** `shared` and `bytes` in one array, for copyWithin() needs no view where set() does. */
  private readonly all: Uint8Array;

  /**
   * `capacity`: bytes of the buffer, so the largest packet written, 2 to 268,435,460;
   * `sharedBytes`: bytes of `shared`.
   */
  constructor(capacity: number, sharedBytes = 0) {
    const sound = Number.isInteger(capacity) && capacity >= 2 && capacity <= PACKET_BYTES_MAX;
    assert(sound, "a writer's capacity is 2..268435460 bytes");
    this.all = new Uint8Array(sharedBytes + capacity);
    this.shared = this.all.subarray(0, sharedBytes);
    this.bytes = this.all.subarray(sharedBytes);
  }

  /** Free bytes, those of the consumed prefix included. */
  room(): number {
    return this.bytes.length - (this.end - this.start);
  }

  /** The socket took `n` bytes of `bytes[start..end)`. */
  consume(n: number): void {
    assert(n >= 0 && n <= this.end - this.start, "no more is consumed than is held");
    this.start += n;
    if (this.start === this.end) this.reset();
  }

  /** For a new connection: forgets what is held. */
  reset(): void {
    this.start = 0;
    this.end = 0;
  }

  /**
   * CONNECT (section 3.1), protocol level 4, no will. `password` "" is absent. `keepAliveS`
   * 0..65535 seconds, 0 is off.
   */
  connect(
    clientId: string,
    username: string,
    password: string,
    keepAliveS: number,
    cleanSession: boolean,
  ): boolean {
    const sound = Number.isInteger(keepAliveS) && keepAliveS >= 0 && keepAliveS <= 65_535;
    assert(sound, "a keep-alive is 0..65535 seconds");
    // MQTT-3.1.2-22.
    assert(username !== "" || password === "", "no password without a user name");
    let length = 10 + 2 + checkText(clientId);
    let flags = cleanSession ? CLEAN_SESSION : 0;
    if (username !== "") {
      flags |= HAS_USERNAME;
      length += 2 + checkText(username);
    }
    if (password !== "") {
      flags |= HAS_PASSWORD;
      length += 2 + checkText(password);
    }
    let at = this.begin(PacketType.CONNECT << 4, length);
    if (at < 0) return false;
    at = this.text(PROTOCOL_NAME, at);
    this.bytes[at] = PROTOCOL_LEVEL;
    this.bytes[at + 1] = flags;
    at = this.number(keepAliveS, at + 2);
    at = this.text(clientId, at);
    if (username !== "") at = this.text(username, at);
    if (password !== "") at = this.text(password, at);
    return this.finish(at);
  }

  /**
   * PUBLISH (section 3.3) of `payload[payloadStart..payloadEnd)` to `topic[topicStart..topicEnd)`.
   * The topic's bytes are trusted to be a topic name in UTF-8. `identifier` 1..65535 at QoS 1,
   * ignored at QoS 0. Nothing is allocated when a range lies in `shared`, is at most 64 bytes, or
   * starts at 0 and is at least a sixteenth of its array.
   */
  publish(
    topic: Uint8Array,
    topicStart: number,
    topicEnd: number,
    payload: Uint8Array,
    payloadStart: number,
    payloadEnd: number,
    qos: 0 | 1,
    dup: boolean,
    retain: boolean,
    identifier: number,
  ): boolean {
    const topicLength = topicEnd - topicStart;
    const payloadLength = payloadEnd - payloadStart;
    const isSound =
      topicLength >= 1 &&
      topicLength <= STRING_BYTES_MAX &&
      payloadLength >= 0 &&
      (qos === 1 ? identifier >= 1 && identifier <= 0xffff : !dup);
    // Told apart only when something is wrong: this is the one packet that is written often.
    if (!isSound) checkPublish(topicLength, payloadLength, qos, dup, identifier);
    const { bytes } = this;
    const length = 2 + topicLength + 2 * qos + payloadLength;
    if (bytes.length - this.end < length + HEADER_BYTES_MAX && !this.fit(length)) return false;
    bytes[this.end] = (PacketType.PUBLISH << 4) | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
    let at = putLength(bytes, this.end + 1, length);
    bytes[at] = topicLength >> 8;
    bytes[at + 1] = topicLength;
    at += 2;
    if (topic === this.shared) this.all.copyWithin(topic.length + at, topicStart, topicEnd);
    else this.copy(topic, topicStart, topicEnd, at);
    at += topicLength;
    if (qos === 1) {
      bytes[at] = identifier >> 8;
      bytes[at + 1] = identifier;
      at += 2;
    }
    if (payload === this.shared) this.all.copyWithin(payload.length + at, payloadStart, payloadEnd);
    else this.copy(payload, payloadStart, payloadEnd, at);
    this.end = at + payloadLength;
    return true;
  }

  /**
   * PUBLISH of two strings, for packets that are rare (twin requests, method answers), DUP and
   * RETAIN clear. Lone surrogates in either string are a caller's mistake.
   */
  publishText(topic: string, payload: string, qos: 0 | 1, identifier: number): boolean {
    const topicLength = checkName(topic);
    const payloadLength = utf8Length(payload);
    assert(payloadLength >= 0, "a text payload holds no lone surrogate");
    if (qos === 1) checkIdentifier(identifier);
    const first = (PacketType.PUBLISH << 4) | (qos << 1);
    let at = this.begin(first, 2 + topicLength + 2 * qos + payloadLength);
    if (at < 0) return false;
    at = this.text(topic, at);
    if (qos === 1) at = this.number(identifier, at);
    return this.finish(writeUtf8(payload, this.bytes, at));
  }

  /** PUBACK (section 3.4). */
  puback(identifier: number): boolean {
    checkIdentifier(identifier);
    const at = this.begin(PacketType.PUBACK << 4, 2);
    return at >= 0 && this.finish(this.number(identifier, at));
  }

  /** SUBSCRIBE (section 3.8): one requested QoS for each filter, at least one filter. */
  subscribe(identifier: number, filters: readonly string[], qos: readonly (0 | 1)[]): boolean {
    assert(qos.length === filters.length, "each filter has its QoS");
    const length = filtersLength(identifier, filters) + qos.length;
    // MQTT-3.8.1-1: the reserved bits of SUBSCRIBE and UNSUBSCRIBE are 0010.
    let at = this.begin((PacketType.SUBSCRIBE << 4) | 2, length);
    if (at < 0) return false;
    at = this.number(identifier, at);
    for (let index = 0; index < filters.length; index += 1) {
      at = this.text(filters[index]!, at);
      this.bytes[at] = qos[index]!;
      at += 1;
    }
    return this.finish(at);
  }

  /** UNSUBSCRIBE (section 3.10): at least one filter. */
  unsubscribe(identifier: number, filters: readonly string[]): boolean {
    const length = filtersLength(identifier, filters);
    let at = this.begin((PacketType.UNSUBSCRIBE << 4) | 2, length);
    if (at < 0) return false;
    at = this.number(identifier, at);
    for (const filter of filters) at = this.text(filter, at);
    return this.finish(at);
  }

  /** PINGREQ (section 3.12). */
  pingreq(): boolean {
    const at = this.begin(PacketType.PINGREQ << 4, 0);
    return at >= 0 && this.finish(at);
  }

  /** DISCONNECT (section 3.14). */
  disconnect(): boolean {
    const at = this.begin(PacketType.DISCONNECT << 4, 0);
    return at >= 0 && this.finish(at);
  }

  // Writes the fixed header behind `end` and returns where the body goes, -1 without room.
  private begin(first: number, length: number): number {
    const bytes = this.bytes;
    if (bytes.length - this.end < length + HEADER_BYTES_MAX && !this.fit(length)) return -1;
    bytes[this.end] = first;
    return putLength(bytes, this.end + 1, length);
  }

  // Whether the packet fits, exactly counted, once the consumed prefix has been given up.
  private fit(length: number): boolean {
    const whole = length + headerBytes(length);
    if (this.room() < whole) return false;
    if (this.bytes.length - this.end < whole) {
      this.bytes.copyWithin(0, this.start, this.end);
      this.end -= this.start;
      this.start = 0;
    }
    return true;
  }

  private finish(at: number): true {
    this.end = at;
    return true;
  }

  private number(value: number, at: number): number {
    this.bytes[at] = value >> 8;
    this.bytes[at + 1] = value;
    return at + 2;
  }

  private text(text: string, at: number): number {
    const behind = writeUtf8(text, this.bytes, at + 2);
    this.number(behind - at - 2, at);
    return behind;
  }

  // What set() writes behind the wanted bytes is free space that the next field overwrites:
  // copying a little too much from the front costs less than the view that a part needs.
  private copy(from: Uint8Array, start: number, end: number, at: number): number {
    const whole = from.length;
    const length = end - start;
    if (from === this.shared) {
      this.all.copyWithin(whole + at, start, end);
    } else if (start === 0 && whole <= length * SURPLUS_MAX && at + whole <= this.bytes.length) {
      this.bytes.set(from, at);
    } else {
      copyPart(from, start, end, this.bytes, at);
    }
    return at + length;
  }
}

function copyPart(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  if (end - start > LOOP_BYTES_MAX) {
    to.set(from.subarray(start, end), at);
    return;
  }
  const shift = at - start;
  for (let index = start; index < end; index += 1) to[index + shift] = from[index]!;
}

function checkPublish(
  topicLength: number,
  payloadLength: number,
  qos: 0 | 1,
  dup: boolean,
  identifier: number,
): void {
  assert(topicLength >= 1 && topicLength <= STRING_BYTES_MAX, "a topic has 1..65535 bytes");
  assert(payloadLength >= 0, "a payload ends behind its start");
  if (qos === 1) checkIdentifier(identifier);
  // MQTT-3.3.1-2: at QoS 0 nothing is ever delivered a second time.
  else assert(!dup, "no DUP at QoS 0");
}

// Section 2.2.3; returns the position behind it.
function putLength(bytes: Uint8Array, at: number, length: number): number {
  let to = at;
  let rest = length;
  for (; rest > 0x7f; rest >>= 7) bytes[to++] = rest | 0x80;
  bytes[to] = rest;
  return to + 1;
}

function headerBytes(length: number): number {
  assert(length <= REMAINING_LENGTH_MAX, "a remaining length is at most 268435455");
  if (length < 0x80) return 2;
  if (length < 0x4000) return 3;
  return length < 0x20_0000 ? 4 : HEADER_BYTES_MAX;
}

function filtersLength(identifier: number, filters: readonly string[]): number {
  checkIdentifier(identifier);
  // MQTT-3.8.3-3 and MQTT-3.10.3-2: at least one filter.
  assert(filters.length > 0, "at least one topic filter is given");
  let length = 2;
  for (const filter of filters) length += 2 + checkFilter(filter);
  return length;
}
