// World: what a single machine needs around it, and what it did to it, in the tables' words.
// Neighbours: tests of machines that are smaller than a whole turn; `table` walks with it.
// Invariant: nothing answers by itself; a look tells all effects and packets since the last one.

import { PacketType } from "../../src/codec/packet.ts";
import { Writer } from "../../src/codec/writer.ts";
import { Counters } from "../../src/core/counters.ts";
import { Effects, Verb } from "../../src/core/effects.ts";
import { Rids } from "../../src/core/rids.ts";
import { Prng } from "../../src/kit/prng.ts";
import { TRANSMIT_BYTES } from "../../src/limits.ts";

/** The neighbours of one machine. */
export class World {
  readonly effects = new Effects();
  readonly writer = new Writer(TRANSMIT_BYTES);
  readonly counters = new Counters();
  readonly rids = new Rids();
  readonly prng = new Prng(7);
  /** What the test's own helpers saw; joins the next look. */
  readonly words: string[] = [];
  private strays = 0;
  private stales = 0;

  /** Packets, effects and counted oddities since the last look; log lines are left out. */
  look(): string[] {
    const { effects, counters } = this;
    const words = [...this.packets(), ...this.words.splice(0)];
    for (let slot = 0; slot < effects.count; slot++) {
      const verb = effects.verbs[slot]!;
      if (verb !== Verb.LOG) words.push(Verb[verb]!.toLowerCase());
    }
    effects.count = 0;
    if (counters.stray > this.strays) words.push("stray");
    if (counters.desiredStale > this.stales) words.push("stale");
    this.strays = counters.stray;
    this.stales = counters.desiredStale;
    return words;
  }

  /** The log lines of the effects not looked at yet. */
  logs(): string[] {
    const { effects } = this;
    const slots = Array.from({ length: effects.count }, (_, slot) => slot);
    const lines = slots.filter((slot) => effects.verbs[slot] === Verb.LOG);
    return lines.map((slot) => effects.texts[slot]!);
  }

  /** Names of the packets written since the last look. */
  private packets(): string[] {
    const { writer } = this;
    const names: string[] = [];
    for (let at = writer.start; at < writer.end; ) {
      const type = writer.bytes[at++]! >> 4;
      let length = 0;
      for (let shift = 0; ; shift += 7) {
        const group = writer.bytes[at++]!;
        length |= (group & 0x7f) << shift;
        if (group < 0x80) break;
      }
      names.push(nameOf(type, writer.bytes.subarray(at, at + length)));
      at += length;
    }
    writer.reset();
    return names;
  }
}

function nameOf(type: number, body: Uint8Array): string {
  if (type !== PacketType.PUBLISH) return PacketType[type]!;
  const end = 2 + ((body[0]! << 8) | body[1]!);
  const topic = new TextDecoder().decode(body.subarray(2, end));
  return /^\$iothub\/twin\/(GET|PATCH)\//.exec(topic)?.[1] ?? "PUBLISH";
}
