// Frames: what a WebSocket server's bytes mean, by a second reader that shares nothing with the
// first; and legal streams to begin with.
// Neighbours: websocket.ts compares the two; test/codec/websocket.test.ts too.
// Invariant: written from RFC 6455 alone, over the whole stream at once, without src/codec.

import type { Prng } from "../../src/kit/prng.ts";

/** All that a stream says. */
export interface Said {
  /** Payload of all binary frames and their continuations, one behind the other. */
  readonly data: string;
  readonly pings: readonly string[];
  /** Code of the close frame that ends it, 1005 for one without; 0 when none came. */
  readonly close: number;
  readonly isRefused: boolean;
}

class Refused extends Error {}

function demand(holds: boolean): void {
  if (!holds) throw new Refused();
}

interface Header {
  readonly isFinal: boolean;
  readonly opcode: number;
  readonly size: number;
  /** Bytes of the header; 0 when it is not whole. */
  readonly length: number;
}

const UNFINISHED: Header = { isFinal: false, opcode: 0, size: 0, length: 0 };

/** The header at the front; refuses as soon as one of its bytes is against the rules. */
function headerOf(bytes: Buffer, isWithin: boolean, bytesMax: number): Header {
  if (bytes.length < 1) return UNFINISHED;
  const isFinal = bytes[0]! >= 0x80;
  const opcode = bytes[0]! % 16;
  demand(bytes[0]! % 128 < 16);
  demand([0, 2, 8, 9, 10].includes(opcode));
  demand(opcode < 8 ? isWithin === (opcode === 0) : isFinal);
  if (bytes.length < 2) return UNFINISHED;
  const first = bytes[1]!;
  demand(first < 128);
  demand(opcode < 8 || first <= 125);
  if (first <= 125) return { isFinal, opcode, size: first, length: 2 };
  const width = first === 126 ? 2 : 8;
  const digits = bytes.subarray(2, 2 + width).toString("hex");
  const size = BigInt(`0x${digits || "0"}`);
  demand(size <= BigInt(bytesMax));
  if (bytes.length < 2 + width) return UNFINISHED;
  demand(size >= (width === 2 ? 126n : 65_536n));
  return { isFinal, opcode, size: Number(size), length: 2 + width };
}

function closeCode(payload: Buffer): number {
  if (payload.length === 0) return 1005;
  demand(payload.length > 1);
  const code = payload.readUInt16BE(0);
  const known = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
  demand(known.includes(code) || (code >= 3000 && code < 5000));
  try {
    new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload.subarray(2));
  } catch {
    demand(false);
  }
  return code;
}

/** Reads a stream; `bytesMax` is the longest payload of a frame. */
export function judgeFrames(bytes: Buffer, bytesMax: number): Said {
  const data: Buffer[] = [];
  const pings: string[] = [];
  let close = 0;
  let isRefused = false;
  let isWithin = false;
  try {
    for (let at = 0; at < bytes.length && close === 0; ) {
      const header = headerOf(bytes.subarray(at), isWithin, bytesMax);
      if (header.length === 0) break;
      at += header.length;
      const payload = bytes.subarray(at, at + header.size);
      at += header.size;
      if (header.opcode < 8) {
        data.push(payload);
        isWithin = !header.isFinal;
      }
      if (payload.length < header.size) break;
      if (header.opcode === 9) pings.push(payload.toString("hex"));
      if (header.opcode === 8) close = closeCode(payload);
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    isRefused = true;
  }
  return { data: Buffer.concat(data).toString("hex"), pings, close, isRefused };
}

/** A server's frame, its length in the shortest form unless `width` says how many bytes. */
export function frame(first: number, payload: Uint8Array, width = -1): Buffer {
  const size = payload.length;
  const bytes = width >= 0 ? width : size <= 125 ? 0 : size <= 65_535 ? 2 : 8;
  const length = Buffer.alloc(1 + bytes);
  length[0] = bytes === 0 ? size : bytes === 2 ? 126 : 127;
  if (bytes === 2) length.writeUInt16BE(size, 1);
  if (bytes === 8) length.writeBigUInt64BE(BigInt(size), 1);
  return Buffer.concat([Buffer.of(first), length, payload]);
}

const CODES = [1000, 1001, 1011, 1014, 3000, 4999];

/** A legal stream of a few frames, messages in fragments with pings among them. */
export function legalFrames(prng: Prng): Buffer {
  const parts: Buffer[] = [];
  const payload = (most: number) => Buffer.alloc(prng.below(most + 1), prng.below(256));
  for (let left = 1 + prng.below(5); left > 0; left--) {
    const fragments = prng.chance(0.5) ? 1 : 1 + prng.below(4);
    for (let at = 0; at < fragments; at++) {
      const isLast = at === fragments - 1;
      const size = prng.chance(0.1) ? 300 : 40;
      parts.push(frame((isLast ? 0x80 : 0) | (at === 0 ? 2 : 0), payload(size)));
      if (prng.chance(0.3)) parts.push(frame(prng.chance(0.5) ? 0x89 : 0x8a, payload(125)));
    }
  }
  if (prng.chance(0.2)) {
    const code = Buffer.alloc(2);
    code.writeUInt16BE(CODES[prng.below(CODES.length)]!);
    const text = prng.chance(0.5) ? "bye é€😀" : "";
    const reason = Buffer.concat([code, Buffer.from(text)]);
    parts.push(frame(0x88, prng.chance(0.2) ? Buffer.alloc(0) : reason));
  }
  return Buffer.concat(parts);
}
