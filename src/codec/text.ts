// What a client may put into an MQTT 3.1.1 packet: strings, topic names, filters, identifiers.
// Neighbours: writer.ts, the only caller.
// Invariant: a failed check is a mistake in this program, never bad input, so it is an
// assertion; its words hold nothing of the caller's text, which might be a password.

import { assert } from "../kit/assert.ts";
import { STRING_BYTES_MAX } from "./packet.ts";
import { utf8Length } from "./utf8.ts";

/** Asserts a packet identifier, 1..65535 (MQTT-2.3.1-1). */
export function checkIdentifier(identifier: number): void {
  const sound = identifier >= 1 && identifier <= 65_535 && (identifier | 0) === identifier;
  assert(sound, "a packet identifier is 1..65535");
}

/**
 * Bytes that `text` takes in a packet without its length prefix. Asserts 1..65535 of them, no
 * U+0000 (MQTT-1.5.3-2) and no lone surrogate (MQTT-1.5.3-1).
 */
export function checkText(text: string): number {
  const length = utf8Length(text);
  assert(length >= 0, "a string in a packet holds no lone surrogate");
  assert(length >= 1 && length <= STRING_BYTES_MAX, "a string in a packet has 1..65535 bytes");
  assert(!text.includes("\0"), "a string in a packet holds no U+0000");
  return length;
}

/** As `checkText`, and no wildcard (MQTT-3.3.2-2). */
export function checkName(topic: string): number {
  assert(!topic.includes("+") && !topic.includes("#"), "a topic name holds no wildcard");
  return checkText(topic);
}

/** As `checkText`; '#' only as the last level (MQTT-4.7.1-2), '+' only alone (MQTT-4.7.1-3). */
export function checkFilter(filter: string): number {
  const levels = filter.split("/");
  levels.forEach((level, index) => {
    const alone = level.length === 1;
    const last = index === levels.length - 1;
    assert(!level.includes("#") || (alone && last), "'#' is the whole last level of a filter");
    assert(!level.includes("+") || alone, "'+' is a whole level of a filter");
  });
  return checkText(filter);
}
