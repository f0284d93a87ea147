// Spoils a stream: single bits and bytes, runs of bytes, and what the grammar is made of.
// Neighbours: grammar.ts writes the stream, check.ts judges what the reader makes of it.
// Invariant: stays within STREAM_BYTES_MAX; all randomness comes from the given generator.

import type { Prng } from "../../src/kit/prng.ts";
import { STREAM_BYTES_MAX, type Stream } from "./grammar.ts";

// Bytes at which a meaning changes: zero, wildcards, UTF-8 leads, lengths, packet types.
const EDGES = [
  0x00, 0x01, 0x02, 0x03, 0x05, 0x06, 0x20, 0x23, 0x2b, 0x30, 0x34, 0x36, 0x38, 0x40, 0x7f, 0x80,
  0x81, 0x90, 0xb0, 0xbf, 0xc0, 0xc2, 0xd0, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xfe, 0xff,
];

const BAD_UTF8 = [
  [0xc0, 0x80],
  [0xe0, 0x80, 0x80],
  [0xed, 0xa0, 0x80],
  [0xef, 0xbf],
  [0xf0, 0x80, 0x80, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
];

/** Applies one random change to `stream`. */
export function damage(stream: Stream, prng: Prng): void {
  const { bytes, length } = stream;
  if (length === 0) return;
  const at = prng.below(length);
  switch (prng.below(12)) {
    case 0:
      bytes[at]! ^= 1 << prng.below(8);
      return;
    case 1:
      bytes[at] = prng.below(256);
      return;
    case 2:
    case 3:
      bytes[at] = EDGES[prng.below(EDGES.length)]!;
      return;
    case 4:
      bytes[at]! += prng.below(2) === 0 ? 1 : 255;
      return;
    case 5:
      stream.length = at;
      return;
    case 6:
      remove(stream, at, 1 + prng.below(8));
      return;
    case 7:
      insert(
        stream,
        at,
        Array.from({ length: 1 + prng.below(4) }, () => prng.below(256)),
      );
      return;
    case 8:
      insert(stream, at, [...bytes.subarray(at, Math.min(at + 1 + prng.below(32), length))]);
      return;
    case 9:
      insert(stream, at, BAD_UTF8[prng.below(BAD_UTF8.length)]!);
      return;
    default:
      header(stream, prng);
  }
}

// The first bytes of one packet: its type, its length, its topic's length.
function header(stream: Stream, prng: Prng): void {
  const { bytes, starts, length } = stream;
  const start = starts[prng.below(starts.length)];
  if (start === undefined || start + 4 > length) return;
  switch (prng.below(5)) {
    case 0:
      bytes[start] = prng.below(256);
      return;
    case 1:
      bytes[start + 1] = EDGES[prng.below(EDGES.length)]!;
      return;
    case 2:
      bytes[start + 1]! += prng.below(2) === 0 ? 1 : 255;
      return;
    case 3:
      bytes[start + 3]! += prng.below(2) === 0 ? 1 : 255;
      return;
    default:
      bytes[start + 1]! |= 0x80;
      insert(stream, start + 2, [0x80, 0x80, 0x80, 0x00].slice(1 + prng.below(3)));
  }
}

function remove(stream: Stream, at: number, count: number): void {
  const end = Math.min(at + count, stream.length);
  stream.bytes.copyWithin(at, end, stream.length);
  stream.length -= end - at;
}

function insert(stream: Stream, at: number, inserted: readonly number[]): void {
  const length = stream.length + inserted.length;
  if (length > STREAM_BYTES_MAX) return;
  stream.bytes.copyWithin(at + inserted.length, at, stream.length);
  stream.bytes.set(inserted, at);
  stream.length = length;
}
