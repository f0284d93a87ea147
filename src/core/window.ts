// Window: messages on their way to the hub: sent and not acknowledged, or the next to be sent.
// Neighbours: `outbox` stages accepted messages in it and hears which are released; `session`
// sends from it.
// Invariant: head <= cursor <= tail; [head, cursor) was sent on this connection, [cursor, tail)
// waits; a message leaves only by its PUBACK, in whatever order those come.

import { assert } from "../kit/assert.ts";
import type { Message } from "./effects.ts";

/** Longest topic, in bytes (MQTT 3.1.1, 1.5.3). */
export const TOPIC_MAX = 0xffff;

/** A bounded queue of messages in one preallocated byte ring, in the order of sending. */
export class Window {
  /** Sends beyond a message's first. */
  redelivered = 0;
  /** Messages that are not acknowledged yet. */
  count = 0;
  /** Sent on this connection and not acknowledged. */
  inFlight = 0;

  private readonly mask: number;
  private readonly offsets: Uint32Array;
  private readonly topicLengths: Uint16Array;
  private readonly payloadLengths: Uint32Array;
  private readonly identifiers: Uint16Array;
  /** 1 for a message acknowledged that lies behind an older one which is not. */
  private readonly released: Uint8Array;
  private readonly owned = new Uint8Array(0x1_0000);
  private readonly sentMs: Float64Array;
  private readonly messages: (Message | undefined)[];
  private head = 0;
  private cursor = 0;
  private tail = 0;
  private writeOffset = 0;

  /**
   * @param bytes where topics and payloads lie; the writer copies from its own `shared` memory
   *   at less cost than from any other
   * @param slots messages at most; a power of two
   */
  constructor(
    readonly bytes: Uint8Array,
    slots: number,
  ) {
    assert((slots & (slots - 1)) === 0, "window slots are a power of two");
    this.mask = slots - 1;
    this.offsets = new Uint32Array(slots);
    this.topicLengths = new Uint16Array(slots);
    this.payloadLengths = new Uint32Array(slots);
    this.identifiers = new Uint16Array(slots);
    this.released = new Uint8Array(slots);
    this.sentMs = new Float64Array(slots);
    this.messages = new Array(slots).fill(undefined);
  }

  /**
   * Takes a copy of prefix and bag (ASCII), which are the topic, and of the body; false when there
   * is no room now.
   */
  stage(prefix: Uint8Array, message: Message): boolean {
    const { bag, body } = message;
    const topicLength = prefix.length + bag.length;
    assert(topicLength > 0 && topicLength <= TOPIC_MAX, "a topic has a length (MQTT-1.5.3)");
    const need = topicLength + body.length;
    const offset = this.place(need);
    if (offset < 0) return false;
    const { bytes } = this;
    bytes.set(prefix, offset);
    let at = offset + prefix.length;
    for (let index = 0; index < bag.length; index++) bytes[at++] = bag.charCodeAt(index);
    bytes.set(body, at);
    const slot = this.tail & this.mask;
    this.messages[slot] = message;
    this.offsets[slot] = offset;
    this.topicLengths[slot] = topicLength;
    this.payloadLengths[slot] = body.length;
    this.identifiers[slot] = 0;
    this.released[slot] = 0;
    this.tail++;
    this.count++;
    this.writeOffset = offset + need;
    return true;
  }

  /** Messages that wait for their (next) transmission. */
  get waiting(): number {
    return this.count - this.inFlight;
  }

  /** True when every message has been acknowledged. */
  get isEmpty(): boolean {
    return this.head === this.tail;
  }

  /** Moves the cursor over messages already released; true when one is there to be sent. */
  hasNext(): boolean {
    while (this.cursor < this.tail && this.released[this.cursor & this.mask] === 1) this.cursor++;
    return this.cursor < this.tail;
  }

  /** Of the message at the cursor: where its topic begins in {@link bytes}. */
  get topicStart(): number {
    return this.offsets[this.cursor & this.mask]!;
  }

  /** Where its topic ends and its payload begins. */
  get topicEnd(): number {
    return this.topicStart + this.topicLengths[this.cursor & this.mask]!;
  }

  /** Where its payload ends. */
  get payloadEnd(): number {
    return this.topicEnd + this.payloadLengths[this.cursor & this.mask]!;
  }

  /** The identifier it was sent with on an earlier connection; 0 when it was never sent. */
  get identifier(): number {
    return this.identifiers[this.cursor & this.mask]!;
  }

  /** The message at the cursor went out under `identifier`. */
  sent(identifier: number, nowMs: number): void {
    const slot = this.cursor & this.mask;
    if (this.identifiers[slot] !== 0) this.redelivered++;
    this.identifiers[slot] = identifier;
    this.owned[identifier] = 1;
    this.sentMs[slot] = nowMs;
    this.cursor++;
    this.inFlight++;
  }

  /** The message sent under `identifier`, now released; undefined when nothing in flight has it. */
  release(identifier: number): Message | undefined {
    for (let at = this.head; at < this.cursor; at++) {
      const slot = at & this.mask;
      if (this.identifiers[slot] !== identifier || this.released[slot] === 1) continue;
      this.released[slot] = 1;
      this.owned[identifier] = 0;
      this.inFlight--;
      this.count--;
      this.advance();
      const message = this.messages[slot];
      this.messages[slot] = undefined;
      return message;
    }
    return undefined;
  }

  /** When the oldest unacknowledged message was sent (monotonic ms); Infinity when none is. */
  get oldestSentMs(): number {
    return this.inFlight === 0 ? Number.POSITIVE_INFINITY : this.sentMs[this.head & this.mask]!;
  }

  /** Topic of the oldest message not released, for people; "" when there is none. */
  oldestTopic(): string {
    if (this.isEmpty) return "";
    const slot = this.head & this.mask;
    const start = this.offsets[slot]!;
    let topic = "";
    for (let at = start; at < start + this.topicLengths[slot]!; at++) {
      topic += String.fromCharCode(this.bytes[at]!);
    }
    return topic;
  }

  /** True while a message sent on this or an earlier connection still owns `identifier`. */
  owns(identifier: number): boolean {
    return this.owned[identifier] === 1;
  }

  /** The connection is gone: all unacknowledged messages wait again, in their old order. */
  rewind(): void {
    this.cursor = this.head;
    this.inFlight = 0;
  }

  /** Messages that are not acknowledged, in order. */
  get open(): Message[] {
    const found: Message[] = [];
    for (let at = this.head; at < this.tail; at++) {
      const message = this.messages[at & this.mask];
      if (message !== undefined) found.push(message);
    }
    return found;
  }

  /**
   * Forgets all, without a connection: `give` gets each that was not acknowledged, the last
   * first, and whether it was sent on an earlier connection.
   */
  clear(give: (message: Message, wasSent: boolean) => void): void {
    assert(this.inFlight === 0, "nothing is taken back while a connection has it");
    while (this.tail > this.head) {
      const slot = --this.tail & this.mask;
      const message = this.messages[slot];
      this.messages[slot] = undefined;
      if (message !== undefined) give(message, this.identifiers[slot] !== 0);
    }
    this.cursor = this.tail;
    this.count = 0;
    this.owned.fill(0);
  }

  private advance(): void {
    while (this.head < this.cursor && this.released[this.head & this.mask] === 1) this.head++;
  }

  /** Offset of `need` free bytes in a row, or -1. */
  private place(need: number): number {
    if (this.tail - this.head > this.mask) return -1;
    if (this.head === this.tail) return need <= this.bytes.length ? 0 : -1;
    const first = this.offsets[this.head & this.mask]!;
    // Equal means full, for an empty ring was dealt with above.
    if (this.writeOffset <= first) return first - this.writeOffset >= need ? this.writeOffset : -1;
    if (this.bytes.length - this.writeOffset >= need) return this.writeOffset;
    return first >= need ? 0 : -1;
  }
}
