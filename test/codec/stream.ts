// Helpers of the codec's tests: bytes from hex, and a stream delivered to a reader in pieces.
// Neighbours: every test of test/codec; mirror of nothing in src.
// Invariant: packets are copied out of the reader, so that tests compare values, not positions.

import { PacketType } from "../../src/codec/packet.ts";
import { type Reader, ReadResult, Refusal } from "../../src/codec/reader.ts";

/** What a reader gave for one packet, copied. */
export interface Packet {
  readonly type: PacketType;
  readonly qos?: 0 | 1;
  readonly dup?: boolean;
  readonly retain?: boolean;
  readonly identifier?: number;
  readonly topic?: string;
  readonly payload?: string;
  readonly returnCode?: number;
  readonly sessionPresent?: boolean;
  readonly codes?: string;
}

/** All that came out of a stream; `at` is how many bytes had been fed at the refusal. */
export interface Outcome {
  readonly packets: Packet[];
  readonly refusal: Refusal;
  readonly at: number;
  readonly left: number;
}

/** Bytes of hex digits; blanks and words in parentheses are for the human reader. */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/\([^)]*\)/g, "").replace(/\s+/g, "");
  if (!/^(?:[0-9a-f]{2})*$/i.test(digits)) throw new Error(`not hex: ${text}`);
  return Uint8Array.from({ length: digits.length / 2 }, (_, index) =>
    Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16),
  );
}

/** Hex of bytes, for comparisons that a person has to read. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** Latin-1 is one character a byte: loses nothing and prints well. */
export function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

/** Feeds `bytes` cut at the given positions and collects what comes out. */
export function deliver(reader: Reader, bytes: Uint8Array, cuts: readonly number[]): Outcome {
  const packets: Packet[] = [];
  let start = 0;
  for (const end of [...cuts, bytes.length]) {
    const chunk = bytes.slice(start, end);
    let from = 0;
    do {
      from += reader.feed(chunk, from);
      let result = reader.next();
      for (; result === ReadResult.PACKET; result = reader.next()) packets.push(copy(reader));
      if (result === ReadResult.REFUSED) {
        return { packets, refusal: reader.refusal, at: start + from, left: reader.buffered };
      }
    } while (from < chunk.length);
    start = end;
  }
  return { packets, refusal: Refusal.NONE, at: bytes.length, left: reader.buffered };
}

/** Every position between two bytes. */
export function everyCut(bytes: Uint8Array): number[] {
  return Array.from({ length: Math.max(bytes.length - 1, 0) }, (_, index) => index + 1);
}

function copy(reader: Reader): Packet {
  const { type, identifier } = reader;
  switch (type) {
    case PacketType.PUBLISH:
      return {
        type,
        qos: reader.qos,
        dup: reader.dup,
        retain: reader.retain,
        identifier,
        topic: latin1(reader.bytes.subarray(reader.topicStart, reader.topicEnd)),
        payload: latin1(reader.bytes.subarray(reader.payloadStart, reader.payloadEnd)),
      };
    case PacketType.CONNACK:
      return { type, returnCode: reader.returnCode, sessionPresent: reader.sessionPresent };
    case PacketType.SUBACK:
      return {
        type,
        identifier,
        codes: toHex(reader.bytes.subarray(reader.codesStart, reader.codesEnd)),
      };
    case PacketType.PINGRESP:
      return { type };
    default:
      return { type, identifier };
  }
}
