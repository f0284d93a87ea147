// Property bags: the `key=value&key=value` that ends a hub topic (azure.md section 4.5).
// Neighbours: topic.ts finds where a received bag lies, telemetry in core sends one.
// Invariant: what encodeBag writes decodeBag reads back the same; a plus is never a space;
// a key without an equals sign has the value null, one with nothing behind it the value "".

import { assert } from "../kit/assert.ts";
import { STRING_BYTES_MAX } from "./packet.ts";
import { utf8Length, validUtf8 } from "./utf8.ts";

/** One property; null is a key that stands alone. */
export type Property = readonly [key: string, value: string | null];

/** Why a bag could not be read: `position` counts characters of the text from 0. */
export interface BagProblem {
  readonly position: number;
  readonly problem: string;
}

// encodeURIComponent leaves these five, which RFC 3986 section 2.2 reserves.
const LEFT_OVER = /[!'()*]/g;
const ESCAPES = /(?:%[0-9A-Fa-f]{2})+/g;
const BAD_ESCAPE = /%(?![0-9A-Fa-f]{2})/;

/**
 * The bag as text. Everything but RFC 3986's unreserved characters is percent-encoded; with
 * `rawDollar` the dollar of a system property's key stays as it is. Asserts non-empty keys and
 * no lone surrogates.
 */
export function encodeBag(pairs: readonly Property[], rawDollar = false): string {
  return pairs
    .map(([key, value]) => {
      assert(key !== "", "a property has a key");
      const name = rawDollar ? encode(key).replaceAll("%24", "$") : encode(key);
      return value === null ? name : `${name}=${encode(value)}`;
    })
    .join("&");
}

/**
 * The properties of a bag in their order, or what is wrong with it and where. Characters that
 * need no encoding may be encoded, others may be raw; empty entries (`a=1&&b=2`) are passed
 * over. At most 65,535 bytes, as a topic can hold no more.
 */
export function decodeBag(text: string): [string, string | null][] | BagProblem {
  const bytes = utf8Length(text);
  if (bytes < 0) return { position: 0, problem: "the bag holds a lone surrogate" };
  if (bytes > STRING_BYTES_MAX) {
    return { position: 0, problem: `the bag has ${bytes} bytes; at most ${STRING_BYTES_MAX}` };
  }
  const position = badEscape(text);
  if (position >= 0) {
    return { position, problem: `the escape at character ${position} is no UTF-8 in %XX form` };
  }
  const pairs: [string, string | null][] = [];
  let start = 0;
  for (const entry of text.split("&")) {
    const equals = entry.indexOf("=");
    if (equals === 0) return { position: start, problem: `no key at character ${start}` };
    if (equals > 0) pairs.push([decode(entry.slice(0, equals)), decode(entry.slice(equals + 1))]);
    else if (entry !== "") pairs.push([decode(entry), null]);
    start += entry.length + 1;
  }
  return pairs;
}

function encode(text: string): string {
  assert(utf8Length(text) >= 0, "a property holds no lone surrogate");
  return encodeURIComponent(text).replace(LEFT_OVER, (character) => {
    return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
  });
}

const decode = decodeURIComponent;

// Where decodeURIComponent would throw, which does not say where itself; -1 where it would not.
function badEscape(text: string): number {
  const broken = text.search(BAD_ESCAPE);
  for (const run of text.matchAll(ESCAPES)) {
    if (broken >= 0 && broken < run.index) return broken;
    const bytes = Uint8Array.from(run[0].slice(1).split("%"), (hex) => Number.parseInt(hex, 16));
    const offset = validUtf8(bytes, 0, bytes.length);
    if (offset >= 0) return run.index + 3 * offset;
  }
  return broken;
}
