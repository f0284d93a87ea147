/**
 * The rules of MQTT 3.1.1 that the codec package does not check, on the bytes of one packet.
 * Neighbours: `framer.ts` asks about the fixed header before the body is there, `connection.ts`
 * about the whole packet before it is decoded. Invariant: what passes here is well-formed for a
 * client of protocol level 4; every refusal is a line that cites the standard.
 */
import { isUtf8 } from "node:buffer";

/** Control packet types, MQTT-3.1.1 table 2.1. */
export enum PacketType {
  Connect = 1,
  Connack = 2,
  Publish = 3,
  Puback = 4,
  Pubrec = 5,
  Pubrel = 6,
  Pubcomp = 7,
  Subscribe = 8,
  Suback = 9,
  Unsubscribe = 10,
  Unsuback = 11,
  Pingreq = 12,
  Pingresp = 13,
  Disconnect = 14,
}

/** Name of a packet type as the standard writes it. */
export function packetName(type: number): string {
  return PacketType[type]?.toUpperCase() ?? `type ${type}`;
}

const PLUS = 0x2b;
const HASH = 0x23;

/** What is wrong with a first byte from a client, `''` for nothing. */
export function typeProblem(first: number): string {
  const type = first >> 4;
  const flags = first & 15;
  switch (type) {
    case PacketType.Publish:
      if ((flags & 6) === 6) return "PUBLISH with QoS 3 [MQTT-3.3.1-4]";
      if (flags >= 8 && (flags & 6) === 0) return "PUBLISH with DUP at QoS 0 [MQTT-3.3.1-2]";
      return "";
    case PacketType.Pubrel:
    case PacketType.Subscribe:
    case PacketType.Unsubscribe:
      return flags === 2 ? "" : `reserved flags of ${packetName(type)} [MQTT-2.2.2-2]`;
    case PacketType.Connect:
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubcomp:
    case PacketType.Pingreq:
    case PacketType.Disconnect:
      return flags === 0 ? "" : `reserved flags of ${packetName(type)} [MQTT-2.2.2-2]`;
    case 0:
    case 15:
      return `reserved packet type ${type}`;
    default:
      return `${packetName(type)} is sent by servers only`;
  }
}

/** What is wrong with the remaining length of a packet, before its body is there. */
export function lengthProblem(first: number, remaining: number): string {
  const type: PacketType = first >> 4;
  switch (type) {
    case PacketType.Publish:
      return remaining >= ((first & 6) === 0 ? 3 : 5) ? "" : "PUBLISH without a topic";
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp:
      return remaining === 2 ? "" : `${packetName(type)} of ${remaining} bytes, 2 are allowed`;
    case PacketType.Pingreq:
    case PacketType.Disconnect:
      return remaining === 0 ? "" : `${packetName(type)} of ${remaining} bytes, 0 are allowed`;
    case PacketType.Connect:
      return remaining >= 12 ? "" : `CONNECT of ${remaining} bytes, at least 12 are needed`;
    case PacketType.Subscribe:
      return remaining >= 6 ? "" : "SUBSCRIBE without a topic filter [MQTT-3.8.3-3]";
    case PacketType.Unsubscribe:
      return remaining >= 5 ? "" : "UNSUBSCRIBE without a topic filter [MQTT-3.10.3-2]";
    default:
      return `${packetName(type)} is sent by servers only`;
  }
}

/** Index of the first byte after the fixed header. */
function bodyStart(frame: Buffer): number {
  let index = 1;
  while (frame[index]! >= 128) index++;
  return index + 1;
}

/** End of the length-prefixed field at `start`, or -1 when it leaves the packet. */
function fieldEnd(frame: Buffer, start: number): number {
  if (start + 2 > frame.length) return -1;
  const end = start + 2 + frame.readUInt16BE(start);
  return end <= frame.length ? end : -1;
}

/** MQTT-1.5.3-1 (ill-formed UTF-8, surrogates) and MQTT-1.5.3-2 (U+0000). */
function textProblem(frame: Buffer, start: number, end: number, what: string): string {
  let high = 0;
  for (let index = start; index < end; index++) {
    const byte = frame[index]!;
    if (byte === 0) return `U+0000 in the ${what} [MQTT-1.5.3-2]`;
    high |= byte;
  }
  if (high >= 128 && !isUtf8(frame.subarray(start, end))) {
    return `ill-formed UTF-8 in the ${what} [MQTT-1.5.3-1]`;
  }
  return "";
}

function publishProblem(frame: Buffer): string {
  const start = bodyStart(frame);
  const end = fieldEnd(frame, start);
  if (end < 0) return "topic longer than its PUBLISH";
  if (end === start + 2) return "PUBLISH with an empty topic [MQTT-4.7.3-1]";
  let high = 0;
  for (let index = start + 2; index < end; index++) {
    const byte = frame[index]!;
    if (byte === PLUS || byte === HASH) return "wildcard in a PUBLISH topic [MQTT-3.3.2-2]";
    if (byte === 0) return "U+0000 in the topic [MQTT-1.5.3-2]";
    high |= byte;
  }
  if (high >= 128 && !isUtf8(frame.subarray(start + 2, end))) {
    return "ill-formed UTF-8 in the topic [MQTT-1.5.3-1]";
  }
  if ((frame[0]! & 6) === 0) return "";
  if (end + 2 > frame.length) return "PUBLISH without an identifier";
  return frame[end] === 0 && frame[end + 1] === 0 ? "PUBLISH with identifier 0 [MQTT-2.3.1-1]" : "";
}

function filtersProblem(frame: Buffer, withQos: boolean): string {
  let index = bodyStart(frame);
  if (frame.readUInt16BE(index) === 0) return "identifier 0 [MQTT-2.3.1-1]";
  index += 2;
  while (index < frame.length) {
    const end = fieldEnd(frame, index);
    if (end < 0) return "topic filter longer than its packet";
    if (end === index + 2) return "empty topic filter [MQTT-4.7.3-1]";
    const problem = textProblem(frame, index + 2, end, "topic filter");
    if (problem !== "") return problem;
    index = end;
    if (!withQos) continue;
    if (index >= frame.length) return "topic filter without a QoS";
    if (frame[index]! > 2) return "reserved bits in a requested QoS [MQTT-3.8.3-4]";
    index++;
  }
  return "";
}

function flagsProblem(flags: number): string {
  if ((flags & 1) !== 0) return "reserved flag of CONNECT is set [MQTT-3.1.2-3]";
  const will = (flags & 4) !== 0;
  if (!will && (flags & 0x38) !== 0) return "will QoS or retain without a will [MQTT-3.1.2-13]";
  if ((flags & 0x18) === 0x18) return "will with QoS 3 [MQTT-3.1.2-14]";
  if ((flags & 0xc0) === 0x40) return "password without a user name [MQTT-3.1.2-22]";
  return "";
}

/** Result of looking at a CONNECT: a problem, or a protocol level to be answered with code 1. */
export interface ConnectCheck {
  problem: string;
  /** The level is not 4: MQTT-3.1.2-2 asks for CONNACK 1. */
  isLevelRefused: boolean;
}

/** Checks a whole CONNECT. */
export function connectCheck(frame: Buffer): ConnectCheck {
  const bad = (problem: string): ConnectCheck => ({ problem, isLevelRefused: false });
  let index = bodyStart(frame);
  const nameEnd = fieldEnd(frame, index);
  if (nameEnd < 0 || nameEnd + 4 > frame.length) return bad("CONNECT is cut short");
  const name = frame.toString("latin1", index + 2, nameEnd);
  const level = frame[nameEnd]!;
  if (name === "MQIsdp" || (name === "MQTT" && level !== 4)) {
    return { problem: `protocol ${name} level ${level}, 4 is allowed`, isLevelRefused: true };
  }
  if (name !== "MQTT") return bad("protocol name is not MQTT [MQTT-3.1.2-1]");
  const flags = frame[nameEnd + 1]!;
  const flagged = flagsProblem(flags);
  if (flagged !== "") return bad(flagged);
  index = nameEnd + 4;
  const fields: [boolean, string, boolean][] = [
    [true, "client identifier", true],
    [(flags & 4) !== 0, "will topic", true],
    [(flags & 4) !== 0, "will message", false],
    [(flags & 0x80) !== 0, "user name", true],
    [(flags & 0x40) !== 0, "password", false],
  ];
  for (const [isPresent, what, isText] of fields) {
    if (!isPresent) continue;
    const end = fieldEnd(frame, index);
    if (end < 0) return bad(`${what} is missing or longer than its CONNECT`);
    const problem = isText ? textProblem(frame, index + 2, end, what) : "";
    if (problem !== "") return bad(problem);
    index = end;
  }
  return bad(index === frame.length ? "" : "bytes behind the last field of CONNECT");
}

/** Checks any whole packet but CONNECT; `''` when it may be decoded. */
export function packetProblem(frame: Buffer): string {
  const type: PacketType = frame[0]! >> 4;
  switch (type) {
    case PacketType.Publish:
      return publishProblem(frame);
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp:
      return frame.readUInt16BE(bodyStart(frame)) === 0
        ? `${packetName(type)} with identifier 0`
        : "";
    case PacketType.Subscribe:
      return filtersProblem(frame, true);
    case PacketType.Unsubscribe:
      return filtersProblem(frame, false);
    default:
      return "";
  }
}
