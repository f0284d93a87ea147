// Tests of test/fuzz: the real reader passes, and readers with a planted fault are found out.
// Neighbours: campaign.ts and all it calls; reader.ts is the long run of the same.
// Invariant: each planted fault is one that only its own check can see.

import { describe, expect, test } from "bun:test";
import { PacketType } from "../../src/codec/packet.ts";
import { Reader, ReadResult, Refusal } from "../../src/codec/reader.ts";
import { campaign } from "./campaign.ts";
import { shrink } from "./shrink.ts";

const INPUTS = 20_000;

describe("the real reader", () => {
  const make = (capacity: number) => new Reader(capacity);

  test("passes, with every kind of refusal seen", () => {
    const tally = campaign(INPUTS, 2, make);
    expect(tally.failure).toBeUndefined();
    const refused = tally.refused.reduce((sum, count) => sum + count, 0);
    expect(tally.accepted + refused).toBe(INPUTS);
    expect(tally.accepted).toBeGreaterThan(INPUTS / 10);
    const unseen = tally.refused.flatMap((count, refusal) =>
      count === 0 ? [Refusal[refusal]] : [],
    );
    expect(unseen).toEqual(["NONE"]);
  });

  test("gives the same counts for the same seed, others for another", () => {
    expect(campaign(2000, 7, make)).toEqual(campaign(2000, 7, make));
    expect(campaign(2000, 7, make)).not.toEqual(campaign(2000, 8, make));
  });
});

/** Takes a refusal of one kind back, as a reader would that lacks the rule. */
class Lax extends Reader {
  constructor(
    capacity: number,
    private readonly lacking: Refusal,
  ) {
    super(capacity);
  }

  override next(): ReadResult {
    const result = super.next();
    if (result !== ReadResult.REFUSED || this.refusal !== this.lacking) return result;
    this.refusal = Refusal.NONE;
    return ReadResult.MORE;
  }
}

class Leaky extends Reader {
  override feed(chunk: Uint8Array, from: number): number {
    const taken = super.feed(chunk, from);
    if (this.buffered > 2 && chunk.length === 1) this.bytes[2] = 0x21;
    return taken;
  }
}

class Stuck extends Reader {
  override feed(chunk: Uint8Array, from: number): number {
    return chunk.length - from > 40 ? 0 : super.feed(chunk, from);
  }
}

class Throwing extends Reader {
  override next(): ReadResult {
    const result = super.next();
    if (this.type === PacketType.SUBACK && this.codesEnd - this.codesStart > 4)
      throw new Error("x");
    return result;
  }
}

class Careless extends Reader {
  override next(): ReadResult {
    const result = super.next();
    if (result === ReadResult.PACKET && this.type === PacketType.PUBACK) this.identifier &= 0x7fff;
    return result;
  }
}

class Overrunning extends Reader {
  override next(): ReadResult {
    const result = super.next();
    if (result === ReadResult.PACKET && this.retain) this.payloadEnd = this.bytes.length + 1;
    return result;
  }
}

/** Lets a byte stand in a topic that has no place there. */
class Blind extends Reader {
  constructor(
    capacity: number,
    private readonly byte: number,
  ) {
    super(capacity);
  }

  override next(): ReadResult {
    const result = super.next();
    const isPublish = result === ReadResult.PACKET && this.type === PacketType.PUBLISH;
    const last = this.topicEnd - 1;
    if (isPublish && this.bytes[last]! < 0x80) this.bytes[last] = this.byte;
    return result;
  }
}

class Strict extends Reader {
  override next(): ReadResult {
    const result = super.next();
    const isPublish = result === ReadResult.PACKET && this.type === PacketType.PUBLISH;
    if (!isPublish || !this.dup) return result;
    this.refusal = Refusal.FLAGS;
    return ReadResult.REFUSED;
  }
}

describe("a planted fault is found", () => {
  const faults: [string, (capacity: number) => Reader, string][] = [
    ["QoS 3 passes", (capacity) => new Lax(capacity, Refusal.QOS_3), "the peer refuses"],
    ["SUBACK codes pass", (capacity) => new Lax(capacity, Refusal.SUBACK_CODE), "the peer refuses"],
    ["bytes change when torn", (capacity) => new Leaky(capacity), "in pieces"],
    ["feed() stops", (capacity) => new Stuck(capacity), "feed() took 0"],
    ["an exception", (capacity) => new Throwing(capacity), "an exception"],
    ["a wrong identifier", (capacity) => new Careless(capacity), "than the peer's"],
    ["positions outside", (capacity) => new Overrunning(capacity), "lie outside"],
    ["a wildcard passes", (capacity) => new Blind(capacity, 0x2b), "a wildcard passed"],
    ["U+0000 passes", (capacity) => new Blind(capacity, 0), "NUL topic passed"],
    ["bad UTF-8 passes", (capacity) => new Blind(capacity, 0xc3), "an ill-formed topic passed"],
    ["a legal packet refused", (capacity) => new Strict(capacity), "a legal stream was refused"],
  ];

  test.each(faults)("%s", (_name, make, what) => {
    const { failure } = campaign(INPUTS, 3, make);
    expect(failure?.what).toContain(what);
    // A legal stream is shown as it is.
    if (!what.includes("legal")) expect(failure!.bytes.length).toBeLessThan(200);
  });
});

test("shrinking leaves only what is needed", () => {
  const bytes = Uint8Array.from({ length: 200 }, (_, index) => index);
  const needed = [17, 90, 91, 180];
  const small = shrink(bytes, (some) => needed.every((byte) => some.includes(byte)));
  expect([...small]).toEqual(needed);
});
