// Outbox: messages that were accepted and that the hub has not acknowledged yet.
// Neighbours: producers (telemetry) accept into it; `session` sends from it and releases.
// Invariant: head <= cursor <= tail; [head, cursor) was sent on this connection, [cursor, tail)
// waits; a message leaves only by its PUBACK, in whatever order those come, or when all are
// dropped because their sender is no more.

import { assert } from "../kit/assert.ts";

/** Why a message was not accepted. */
export enum Refused {
  NO,
  FULL,
  TOO_LONG,
}

/** A bounded queue of messages in one preallocated byte ring, oldest first. */
export class Outbox {
  /** Messages accepted, acknowledged and refused since start; sends beyond a message's first. */
  accepted = 0;
  acknowledged = 0;
  refused = 0;
  redelivered = 0;
  /** Dropped because they could not be sent as what they were accepted as. */
  dropped = 0;
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
  private head = 0;
  private cursor = 0;
  private tail = 0;
  private writeOffset = 0;

  /**
   * @param bytes where topics and payloads lie; the writer copies from its own `shared` memory
   *   at less cost than from any other
   * @param slots messages at most; a power of two
   * @param messageMax bytes of topic and payload of one message, at most
   */
  constructor(
    readonly bytes: Uint8Array,
    slots: number,
    private readonly messageMax: number,
  ) {
    assert((slots & (slots - 1)) === 0, "outbox slots are a power of two");
    this.mask = slots - 1;
    this.offsets = new Uint32Array(slots);
    this.topicLengths = new Uint16Array(slots);
    this.payloadLengths = new Uint32Array(slots);
    this.identifiers = new Uint16Array(slots);
    this.released = new Uint8Array(slots);
    this.sentMs = new Float64Array(slots);
  }

  /** Takes a copy of topic (1 .. 65535 bytes) and payload, or says why not. */
  accept(topic: Uint8Array, payload: Uint8Array): Refused {
    assert(topic.length > 0, "a message has a topic");
    const need = topic.length + payload.length;
    if (need > this.messageMax || topic.length > 0xffff) return this.refuse(Refused.TOO_LONG);
    const offset = this.place(need);
    if (offset < 0) return this.refuse(Refused.FULL);
    this.bytes.set(topic, offset);
    this.bytes.set(payload, offset + topic.length);
    const slot = this.tail & this.mask;
    this.offsets[slot] = offset;
    this.topicLengths[slot] = topic.length;
    this.payloadLengths[slot] = payload.length;
    this.identifiers[slot] = 0;
    this.released[slot] = 0;
    this.tail++;
    this.writeOffset = offset + need;
    this.accepted++;
    return Refused.NO;
  }

  /** Messages that wait for their (next) transmission. */
  get waiting(): number {
    return this.accepted - this.acknowledged - this.dropped - this.inFlight;
  }

  /** True when every accepted message has been acknowledged. */
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

  /** The hub acknowledged `identifier`; false when nothing in flight has it. */
  release(identifier: number): boolean {
    for (let at = this.head; at < this.cursor; at++) {
      const slot = at & this.mask;
      if (this.identifiers[slot] !== identifier || this.released[slot] === 1) continue;
      this.released[slot] = 1;
      this.owned[identifier] = 0;
      this.inFlight--;
      this.acknowledged++;
      this.advance();
      return true;
    }
    return false;
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

  /** Drops all that waits: it was accepted for an identity that is ours no more. How many. */
  clear(): number {
    assert(this.inFlight === 0, "nothing is dropped while a connection has it");
    const count = this.waiting;
    this.dropped += count;
    this.head = this.tail;
    this.cursor = this.tail;
    this.owned.fill(0);
    return count;
  }

  private refuse(why: Refused): Refused {
    this.refused++;
    return why;
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
