// Reads the packets that an MQTT 3.1.1 server may send, in place, out of one fixed buffer.
// Neighbours: refusal.ts names what is turned down; core takes positions, never copies.
// Invariant: bytes[head..tail) is unread; the same stream gives the same packets and the same
// refusal however it is torn; after a refusal nothing is read until reset().

import { assert } from "../kit/assert.ts";
import { PACKET_BYTES_MAX, PacketType } from "./packet.ts";
import { Refusal, refusalText } from "./refusal.ts";
import { validUtf8 } from "./utf8.ts";

export { Refusal, refusalText };

/** What `next()` found. */
export enum ReadResult {
  MORE,
  PACKET,
  REFUSED,
}

const CONNACK_CODE_MAX = 5;
const SUBACK_FAILURE = 0x80;

// The first byte alone decides much; one table for each stage of a connection makes it one load.
const BEFORE = firstBytes((type) => {
  return type === PacketType.CONNACK ? Refusal.NONE : Refusal.BEFORE_CONNACK;
});
const DURING = firstBytes((type) => {
  return type === PacketType.CONNACK ? Refusal.SECOND_CONNACK : Refusal.NONE;
});
const AFTER = firstBytes(() => Refusal.AFTER_REFUSED_CONNACK);

function firstBytes(order: (type: number) => Refusal): Uint8Array {
  const table = new Uint8Array(256);
  for (let first = 0; first < 256; first += 1) {
    const refusal = firstByteRefusal(first);
    table[first] = refusal === Refusal.NONE ? order(first >> 4) : refusal;
  }
  return table;
}

function firstByteRefusal(first: number): Refusal {
  const flags = first & 0x0f;
  switch (first >> 4) {
    case 0:
    case 15:
      return Refusal.RESERVED_TYPE;
    case PacketType.PUBLISH:
      if ((flags & 0x06) === 0x06) return Refusal.QOS_3;
      if ((flags & 0x06) === 0x04) return Refusal.QOS_2;
      return (flags & 0x0e) === 0x08 ? Refusal.DUP_AT_QOS_0 : Refusal.NONE;
    case PacketType.CONNACK:
    case PacketType.PUBACK:
    case PacketType.SUBACK:
    case PacketType.UNSUBACK:
    case PacketType.PINGRESP:
      return flags === 0 ? Refusal.NONE : Refusal.FLAGS;
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
      return Refusal.QOS2_TYPE;
    default:
      return Refusal.CLIENT_ONLY_TYPE;
  }
}

/**
 * Strict client-side packet reader. Feed it chunks as they come, call `next()` until it says
 * MORE, feed the rest. The fields describe the packet that `next()` returned; positions index
 * into `bytes` and hold until the next `feed()` or `reset()`.
 *
 * A remaining length that is not in its shortest form (`82 00` for 2) is refused. Section 2.2.3
 * has one byte for values up to 127, and table 2.4 one number of bytes for each value; only its
 * non-normative decoder would let padding pass, and MQTT 5 forbids it by name.
 */
export class Reader {
  readonly bytes: Uint8Array;
  type: PacketType = PacketType.CONNACK;
  qos: 0 | 1 = 0;
  dup = false;
  retain = false;
  identifier = 0;
  topicStart = 0;
  topicEnd = 0;
  payloadStart = 0;
  payloadEnd = 0;
  returnCode = 0;
  sessionPresent = false;
  codesStart = 0;
  codesEnd = 0;
  refusal: Refusal = Refusal.NONE;
  private readonly words: Int32Array;
  private head = 0;
  private tail = 0;
  private first = BEFORE;

  /** `capacity`: bytes of the buffer and so the largest packet read, 2 to 268,435,460. */
  constructor(capacity: number) {
    const sound = Number.isInteger(capacity) && capacity >= 2 && capacity <= PACKET_BYTES_MAX;
    assert(sound, "a reader's capacity is 2..268435460 bytes");
    const buffer = new ArrayBuffer((capacity + 3) & ~3);
    this.bytes = new Uint8Array(buffer, 0, capacity);
    this.words = new Int32Array(buffer);
  }

  /** Bytes held and not yet read. */
  get buffered(): number {
    return this.tail - this.head;
  }

  /** For a new connection: forgets what is held and expects CONNACK first. */
  reset(): void {
    this.head = 0;
    this.tail = 0;
    this.first = BEFORE;
    this.refusal = Refusal.NONE;
  }

  /**
   * Takes as much of `chunk[from..]` as fits and returns how many bytes that was. Between two
   * calls `next()` must have said MORE, then at least one byte fits. After a refusal the rest
   * of the stream has no meaning: it is taken and dropped.
   */
  feed(chunk: Uint8Array, from: number): number {
    const offered = chunk.length - from;
    if (this.refusal !== Refusal.NONE) return offered;
    const bytes = this.bytes;
    if (this.head === this.tail) {
      this.head = 0;
      this.tail = 0;
    } else if (this.head !== 0 && bytes.length - this.tail < offered) {
      bytes.copyWithin(0, this.head, this.tail);
      this.tail -= this.head;
      this.head = 0;
    }
    const room = bytes.length - this.tail;
    const taken = Math.min(offered, room);
    if (taken === chunk.length) {
      bytes.set(chunk, this.tail);
    } else if (taken > 0) {
      bytes.set(chunk.subarray(from, from + taken), this.tail);
    }
    this.tail += taken;
    return taken;
  }

  /** Reads one packet into the fields; REFUSED is final until `reset()`. */
  next(): ReadResult {
    if (this.refusal !== Refusal.NONE) return ReadResult.REFUSED;
    const { bytes, head, tail } = this;
    if (head === tail) return ReadResult.MORE;
    const first = bytes[head]!;
    const refusal = this.first[first]!;
    if (refusal !== Refusal.NONE) return this.refuse(refusal);
    let at = head + 1;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      if (at === tail) return ReadResult.MORE;
      const group = bytes[at]!;
      at += 1;
      length |= (group & 0x7f) << shift;
      if (group < 0x80) {
        if (group === 0 && shift > 0) return this.refuse(Refusal.LENGTH_PADDED);
        break;
      }
      if (shift === 21) return this.refuse(Refusal.LENGTH_ENCODING);
    }
    return first >> 4 === PacketType.PUBLISH
      ? this.publish(first, at, length)
      : this.answer(first >> 4, at, length);
  }

  private publish(first: number, at: number, length: number): ReadResult {
    const { bytes, head, tail } = this;
    const qos = ((first >> 1) & 1) as 0 | 1;
    if (length < 3 + 2 * qos) return this.refuse(Refusal.LENGTH);
    const end = at + length;
    if (end - head > bytes.length) return this.refuse(Refusal.TOO_LONG);
    const topicStart = at + 2;
    if (tail < topicStart) return ReadResult.MORE;
    const topicLength = (bytes[at]! << 8) | bytes[at + 1]!;
    if (topicLength === 0) return this.refuse(Refusal.TOPIC_EMPTY);
    const topicEnd = topicStart + topicLength;
    const payloadStart = topicEnd + 2 * qos;
    if (payloadStart > end) return this.refuse(Refusal.TOPIC_LENGTH);
    if (tail < end) return ReadResult.MORE;
    if (!isPlain(bytes, this.words, topicStart, topicEnd)) {
      const refusal = topicRefusal(bytes, topicStart, topicEnd);
      if (refusal !== Refusal.NONE) return this.refuse(refusal);
    }
    let identifier = 0;
    if (qos === 1) {
      identifier = (bytes[topicEnd]! << 8) | bytes[topicEnd + 1]!;
      if (identifier === 0) return this.refuse(Refusal.IDENTIFIER_ZERO);
    }
    this.type = PacketType.PUBLISH;
    this.qos = qos;
    this.dup = (first & 0x08) !== 0;
    this.retain = (first & 0x01) !== 0;
    this.identifier = identifier;
    this.topicStart = topicStart;
    this.topicEnd = topicEnd;
    this.payloadStart = payloadStart;
    this.payloadEnd = end;
    this.head = end;
    return ReadResult.PACKET;
  }

  private answer(type: PacketType, at: number, length: number): ReadResult {
    if (type === PacketType.PINGRESP) {
      if (length !== 0) return this.refuse(Refusal.LENGTH);
      this.type = type;
      this.head = at;
      return ReadResult.PACKET;
    }
    if (type === PacketType.SUBACK ? length < 3 : length !== 2) return this.refuse(Refusal.LENGTH);
    const end = at + length;
    if (end - this.head > this.bytes.length) return this.refuse(Refusal.TOO_LONG);
    if (this.tail < end) return ReadResult.MORE;
    if (type === PacketType.CONNACK) return this.connack(at);
    const identifier = (this.bytes[at]! << 8) | this.bytes[at + 1]!;
    if (identifier === 0) return this.refuse(Refusal.IDENTIFIER_ZERO);
    if (type === PacketType.SUBACK) {
      for (let code = at + 2; code < end; code += 1) {
        const value = this.bytes[code]!;
        if (value > 2 && value !== SUBACK_FAILURE) return this.refuse(Refusal.SUBACK_CODE);
      }
      this.codesStart = at + 2;
      this.codesEnd = end;
    }
    this.type = type;
    this.identifier = identifier;
    this.head = end;
    return ReadResult.PACKET;
  }

  private connack(at: number): ReadResult {
    const flags = this.bytes[at]!;
    const code = this.bytes[at + 1]!;
    if (flags > 1) return this.refuse(Refusal.CONNACK_FLAGS);
    if (code > CONNACK_CODE_MAX) return this.refuse(Refusal.CONNACK_CODE);
    if (code !== 0 && flags !== 0) return this.refuse(Refusal.CONNACK_SESSION);
    this.type = PacketType.CONNACK;
    this.sessionPresent = flags === 1;
    this.returnCode = code;
    this.first = code === 0 ? DURING : AFTER;
    this.head = at + 2;
    return ReadResult.PACKET;
  }

  private refuse(refusal: Refusal): ReadResult {
    this.refusal = refusal;
    return ReadResult.REFUSED;
  }
}

// '#' (23) and '+' (2B) differ in one bit, so one masked comparison finds both.
const WILDCARD_MASK = 0xf7;
const WILDCARD = 0x23;

/**
 * Whether `bytes[start..end)` is ASCII without U+0000, '+' and '#': true for every topic the
 * hub sends, and then nothing else needs a look. Four bytes at a time where they are aligned:
 * less 1, a byte has its top bit clear only if it was 1..128. No byte above 127 is within that
 * both as it is and with the wildcards' bits turned over; a borrow begins only at a refused byte.
 */
function isPlain(bytes: Uint8Array, words: Int32Array, start: number, end: number): boolean {
  let at = start;
  const aligned = Math.min((start + 3) & ~3, end);
  for (; at < aligned; at += 1) {
    if (!isPlainByte(bytes[at]!)) return false;
  }
  const last = end >> 2;
  for (let index = at >> 2; index < last; index += 1) {
    const word = words[index]!;
    const wild = (word & -0x08080809) ^ 0x23232323;
    if ((((word - 0x01010101) | (wild - 0x01010101)) & -0x7f7f7f80) !== 0) return false;
  }
  for (at = Math.max(at, last << 2); at < end; at += 1) {
    if (!isPlainByte(bytes[at]!)) return false;
  }
  return true;
}

function isPlainByte(byte: number): boolean {
  return byte !== 0 && byte < 0x80 && (byte & WILDCARD_MASK) !== WILDCARD;
}

function topicRefusal(bytes: Uint8Array, start: number, end: number): Refusal {
  if (validUtf8(bytes, start, end) >= 0) return Refusal.TOPIC_UTF8;
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]!;
    if (byte === 0) return Refusal.TOPIC_NUL;
    if ((byte & WILDCARD_MASK) === WILDCARD) return Refusal.TOPIC_WILDCARD;
  }
  return Refusal.NONE;
}
