/**
 * The codec on its own. Neighbours: `guard.ts` keeps from it what it cannot read; the fuzz test
 * sends both what nobody should. Invariant: one decoder serves every device, so what one device
 * has sent must never be felt by the next.
 */
import { expect, test } from "bun:test";
import { generate } from "mqtt-packet";
import { Codec } from "./model/codec.ts";

/** Protocol name and level, the flags, a keep-alive, a client identifier. */
const CONNECT = Buffer.from("100e00044d5154540403003c00026431", "hex");
const WRONG: [string, Buffer][] = [
  ["a CONNECT with its reserved flag", CONNECT],
  ["a SUBSCRIBE cut short", Buffer.of(0x82, 4, 0, 1, 0, 9)],
  ["half a packet", Buffer.of(0x30, 9, 0, 1, 97)],
];

for (const [name, frame] of WRONG) {
  test(`${name} is refused and leaves no trace`, () => {
    const codec = new Codec();
    expect(codec.decode(frame)).toBeNull();
    expect(codec.problem).not.toBe("");
    const next = codec.decode(generate({ cmd: "puback", messageId: 7 }));
    expect(next).toMatchObject({ cmd: "puback", messageId: 7 });
    expect(codec.problem).toBe("");
  });
}
