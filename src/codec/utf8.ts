// UTF-8 as MQTT 3.1.1 section 1.5.3 has it: checking received bytes, writing strings in place.
// Neighbours: reader.ts (topics), writer.ts (strings), topic.ts and bag.ts (small byte arrays).
// Invariant: neither direction lets an overlong form, a surrogate or a value above U+10FFFF pass.

import { assert } from "../kit/assert.ts";

/** Length of a well-formed sequence by lead byte, 0 where no sequence may start (RFC 3629). */
const SEQUENCE = new Uint8Array(256);
SEQUENCE.fill(1, 0x00, 0x80);
SEQUENCE.fill(2, 0xc2, 0xe0);
SEQUENCE.fill(3, 0xe0, 0xf0);
SEQUENCE.fill(4, 0xf0, 0xf5);

/**
 * Offset of the first byte of the first ill-formed sequence in `bytes[start..end)`, or -1.
 * U+0000 and U+FEFF are well-formed here; whoever forbids U+0000 looks for it himself.
 * Source: RFC 3629 section 4.
 */
export function validUtf8(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end) {
    const lead = bytes[at]!;
    if (lead < 0x80) {
      at += 1;
      continue;
    }
    const length = SEQUENCE[lead]!;
    if (length === 0 || at + length > end) return at;
    const second = bytes[at + 1]!;
    if (second < secondMin(lead) || second > secondMax(lead)) return at;
    for (let offset = 2; offset < length; offset += 1) {
      if ((bytes[at + offset]! & 0xc0) !== 0x80) return at;
    }
    at += length;
  }
  return -1;
}

// The narrowed second byte is what shuts out overlong forms, surrogates and U+110000 upwards.
function secondMin(lead: number): number {
  if (lead === 0xe0) return 0xa0;
  return lead === 0xf0 ? 0x90 : 0x80;
}

function secondMax(lead: number): number {
  if (lead === 0xed) return 0x9f;
  return lead === 0xf4 ? 0x8f : 0xbf;
}

/** Bytes that `text` takes as UTF-8, or -1 when it holds a lone surrogate. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    if (unit < 0x800) {
      bytes += 1;
    } else if (unit < 0xd800 || unit > 0xdfff) {
      bytes += 2;
    } else {
      const low = index + 1 < text.length ? text.charCodeAt(index + 1) : 0;
      if (unit > 0xdbff || low < 0xdc00 || low > 0xdfff) return -1;
      bytes += 2;
      index += 1;
    }
  }
  return bytes;
}

/**
 * Writes `text` as UTF-8 at `bytes[at..]` and returns the position behind it. The caller has
 * made sure with `utf8Length` that it fits and holds no lone surrogate.
 */
export function writeUtf8(text: string, bytes: Uint8Array, at: number): number {
  let to = at;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) {
      bytes[to++] = unit;
      continue;
    }
    if (unit < 0x800) {
      bytes[to++] = 0xc0 | (unit >> 6);
    } else if (unit < 0xd800 || unit > 0xdfff) {
      bytes[to++] = 0xe0 | (unit >> 12);
      bytes[to++] = 0x80 | ((unit >> 6) & 0x3f);
    } else {
      index += 1;
      const point = 0x10000 + ((unit - 0xd800) << 10) + (text.charCodeAt(index) - 0xdc00);
      bytes[to++] = 0xf0 | (point >> 18);
      bytes[to++] = 0x80 | ((point >> 12) & 0x3f);
      bytes[to++] = 0x80 | ((point >> 6) & 0x3f);
      bytes[to++] = 0x80 | (point & 0x3f);
      continue;
    }
    bytes[to++] = 0x80 | (unit & 0x3f);
  }
  return to;
}

/**
 * `text` as UTF-8 in an array of its own, for what is built once (a topic, bytes to sign).
 * Asserts that it holds no lone surrogate.
 */
export function utf8(text: string): Uint8Array {
  const length = utf8Length(text);
  assert(length >= 0, "a text with a UTF-8 form holds no lone surrogate");
  const bytes = new Uint8Array(length);
  writeUtf8(text, bytes, 0);
  return bytes;
}
