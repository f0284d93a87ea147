// Row: a message as a row of the store, and the sum by which a damaged row is known.
// Neighbours: the ports that write, read and save rows; core speaks of messages only.
// Invariant: a row becomes a message only when every column has its type and the sum over all of
// them is right; so no message is ever handed out that was not put in.

import { keyOf, priorityOf, sequenceOf } from "./key.ts";

/** A message as it lies in the store. */
export interface Message {
  /** Its number: 1 .. 2^49 - 1, ever rising, across restarts too. */
  readonly sequence: number;
  /** 0, the most urgent, .. 9. */
  readonly priority: number;
  /** When it was made, in whole Unix seconds by the calendar. */
  readonly acceptedS: number;
  /** From when on nobody wants it, in whole Unix seconds; 0: never. */
  readonly expiresS: number;
  /** Property bag as the hub wants it in a topic (URL encoding, ASCII), without the prefix. */
  readonly bag: string;
  /** 0 .. 262,144 bytes, which nobody changes any more. */
  readonly body: Uint8Array;
}

/** A row as the database gives it: of no type that could be relied on. */
export interface Row {
  readonly key?: unknown;
  readonly accepted?: unknown;
  readonly expires?: unknown;
  readonly sum?: unknown;
  readonly bag?: unknown;
  readonly body?: unknown;
}

/** Why a database cannot be the store, or not any more; its message is one line. */
export class Unfit extends Error {
  override name = "Unfit";
  /** Among the codes of SQLite and of files. */
  readonly code = "UNFIT";
}

/** CRC-32 (ISO 3309) of bytes, going on from an earlier value. */
export type Crc32 = (bytes: Uint8Array, from?: number) => number;

const HEAD_BYTES = 28;

/** Makes and checks sums. A bag is ASCII: what is not counts by its low eight bits. */
export class Seal {
  private head = new Uint8Array(1024);
  private view = new DataView(this.head.buffer);

  constructor(private readonly crc32: Crc32) {}

  /** The sum over a message, 0 .. 2^32 - 1. */
  sumOf({ sequence, priority, acceptedS, expiresS, bag, body }: Message): number {
    const length = HEAD_BYTES + bag.length;
    if (this.head.length < length) {
      this.head = new Uint8Array(2 * length);
      this.view = new DataView(this.head.buffer);
    }
    const { head, view } = this;
    view.setFloat64(0, keyOf(priority, sequence));
    view.setFloat64(8, acceptedS);
    view.setFloat64(16, expiresS);
    // Where the bag ends, or what moves between it and the body would not show.
    view.setUint32(24, bag.length);
    for (let at = 0; at < bag.length; at++) head[HEAD_BYTES + at] = bag.charCodeAt(at);
    return this.crc32(body, this.crc32(head.subarray(0, length)));
  }

  /** The message in a row; undefined when it is not what was once written. */
  messageOf(row: Row): Message | undefined {
    const { key, accepted: acceptedS, expires: expiresS, sum, bag, body } = row;
    if (!isWhole(key) || !isWhole(acceptedS) || !isWhole(expiresS)) return undefined;
    if (typeof bag !== "string" || !(body instanceof Uint8Array)) return undefined;
    const [priority, sequence] = [priorityOf(key), sequenceOf(key)];
    const message = { sequence, priority, acceptedS, expiresS, bag, body };
    return this.sumOf(message) === sum ? message : undefined;
  }
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value);
}
