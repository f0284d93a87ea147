// Judges what a reader makes of one stream: whole, torn at random, byte by byte, and beside
// mqtt-packet.
// Neighbours: trace.ts and peer.ts; reader.ts (the command) and shrink.ts call it.
// Invariant: a finding is a thrown Finding; the verdict on a sound reading is its refusal.

import { PacketType } from "../../src/codec/packet.ts";
import { type Reader, ReadResult, Refusal } from "../../src/codec/reader.ts";
import type { Prng } from "../../src/kit/prng.ts";
import { STREAM_BYTES_MAX } from "./grammar.ts";
import { peerReads } from "./peer.ts";
import { hash, Trace } from "./trace.ts";

/** What a reader did that it must not do. */
export class Finding extends Error {
  override name = "Finding";
}

/** Largest piece of a torn delivery. */
const PIECE_BYTES_MAX = 64;
const PIECES = Array.from({ length: PIECE_BYTES_MAX + 1 }, (_, size) => new Uint8Array(size));
const judge = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Holds the readings of one stream after another; `reader` is used for all of them. */
export class Check {
  /** Packets of the last stream, read whole. */
  packets = 0;
  private readonly whole = new Trace(STREAM_BYTES_MAX);
  private readonly torn = new Trace(STREAM_BYTES_MAX);
  private readonly peer = new Trace(STREAM_BYTES_MAX);

  constructor(
    private readonly reader: Reader,
    private readonly prng: Prng,
  ) {}

  /**
   * Reads `bytes` whole and torn, `bytewise` also byte by byte, and what is accepted beside
   * the peer. Returns the refusal.
   * @throws Finding for whatever must not happen.
   */
  run(bytes: Uint8Array, bytewise: boolean): Refusal {
    const { reader, whole } = this;
    this.start(whole);
    const sound = this.give(bytes, whole);
    this.packets = whole.count;
    if (sound) whole.add(0, 0, reader.buffered);
    const refusal = reader.refusal;
    this.tear(bytes, refusal, PIECE_BYTES_MAX);
    if (bytewise) this.tear(bytes, refusal, 1);
    if (refusal === Refusal.NONE) this.compare(bytes);
    return refusal;
  }

  private tear(bytes: Uint8Array, refusal: Refusal, most: number): void {
    const { reader, torn, whole } = this;
    this.start(torn);
    let sound = true;
    for (let at = 0; at < bytes.length && sound; ) {
      const size = Math.min(1 + this.prng.below(most), bytes.length - at);
      const piece = PIECES[size]!;
      for (let offset = 0; offset < size; offset += 1) piece[offset] = bytes[at + offset]!;
      sound = this.give(piece, torn);
      at += size;
    }
    if (sound) torn.add(0, 0, reader.buffered);
    if (reader.refusal !== refusal) {
      throw new Finding(`whole ${Refusal[refusal]}, in pieces ${Refusal[reader.refusal]}`);
    }
    if (!torn.equals(whole)) throw new Finding("other packets in pieces than whole");
  }

  private start(trace: Trace): void {
    this.reader.reset();
    trace.clear();
  }

  // Feeds one chunk and reads on; false once the reader has refused.
  private give(chunk: Uint8Array, trace: Trace): boolean {
    const { reader } = this;
    for (let from = 0; from < chunk.length; ) {
      const taken = reader.feed(chunk, from);
      if (taken <= 0 || taken > chunk.length - from) throw new Finding(`feed() took ${taken}`);
      from += taken;
      let result = reader.next();
      for (; result === ReadResult.PACKET; result = reader.next()) this.note(trace);
      if ((result === ReadResult.REFUSED) !== (reader.refusal !== Refusal.NONE)) {
        throw new Finding("result and refusal do not agree");
      }
      if (result === ReadResult.REFUSED) {
        if (reader.next() !== ReadResult.REFUSED) throw new Finding("a refusal did not last");
        return false;
      }
    }
    return true;
  }

  private note(trace: Trace): void {
    const { reader } = this;
    const { bytes, type, identifier } = reader;
    switch (type) {
      case PacketType.CONNACK:
        trace.add(type, reader.sessionPresent ? 1 : 0, reader.returnCode);
        return;
      case PacketType.PUBLISH: {
        const { topicStart, topicEnd, payloadStart, payloadEnd } = reader;
        this.bounds(topicStart, topicEnd);
        this.bounds(payloadStart, payloadEnd);
        if (payloadStart - topicEnd !== 2 * reader.qos) throw new Finding("a gap in PUBLISH");
        const flags = (reader.dup ? 8 : 0) | (reader.qos << 1) | (reader.retain ? 1 : 0);
        const topic = hash(bytes, topicStart, topicEnd);
        const payload = hash(bytes, payloadStart, payloadEnd);
        const size = payloadEnd - payloadStart;
        trace.add(type, flags, identifier, topic, topicEnd - topicStart, payload, size);
        if (trace === this.whole) this.topic(bytes.subarray(topicStart, topicEnd));
        return;
      }
      case PacketType.SUBACK: {
        const { codesStart, codesEnd } = reader;
        this.bounds(codesStart, codesEnd);
        const codes = hash(bytes, codesStart, codesEnd);
        trace.add(type, 0, identifier, codes, codesEnd - codesStart);
        return;
      }
      default:
        trace.add(type, 0, type === PacketType.PINGRESP ? 0 : identifier);
    }
    if (type !== PacketType.PINGRESP && identifier === 0) throw new Finding("identifier 0 passed");
  }

  private bounds(start: number, end: number): void {
    if (start < 2 || start > end || end > this.reader.bytes.length) {
      throw new Finding(`positions ${start}..${end} lie outside`);
    }
  }

  // What mqtt-packet does not look at, so that it cannot be the judge of it.
  private topic(bytes: Uint8Array): void {
    if (this.reader.qos === 1 && this.reader.identifier === 0) {
      throw new Finding("identifier 0 passed");
    }
    let text = "";
    try {
      text = judge.decode(bytes);
    } catch {
      throw new Finding("an ill-formed topic passed");
    }
    if (text === "" || text.includes("\0")) throw new Finding("an empty or NUL topic passed");
    if (text.includes("+") || text.includes("#")) throw new Finding("a wildcard passed");
  }

  private compare(bytes: Uint8Array): void {
    const { peer, whole } = this;
    peer.clear();
    const complaint = peerReads(bytes, peer);
    if (complaint !== "") throw new Finding(`accepted what the peer refuses: ${complaint}`);
    peer.add(0, 0, this.reader.buffered);
    if (!peer.equals(whole)) throw new Finding("other packets than the peer's");
  }
}
