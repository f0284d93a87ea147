// Letter: what each message of the power-cut model holds, by seed and sequence alone.
// Neighbours: `script` writes them, `judge` knows by this what must be there.
// Invariant: two sequences never have the same body.

import type { Message } from "../../src/core/effects.ts";
import { Prng } from "../../src/kit/prng.ts";

/** Kinds of marks in a record. */
export const MARK_ACCEPTED = 1;
export const MARK_RELEASED = 2;
export const MARK_BOOT = 3;
export const MARK_TEXT = 4;

const WALL_S = 1_790_000_000;

/** The message with this sequence: mostly short, now and then longer than several pages. */
export function letterOf(seed: number, sequence: number): Message {
  const prng = new Prng(seed * 7919 + sequence);
  const priority = prng.chance(0.8) ? 7 : prng.below(10);
  const length = prng.chance(0.02) ? prng.below(12_000) : prng.between(20, 300);
  const body = Buffer.alloc(length, prng.below(256));
  body.write(`${sequence} `, 0, "latin1");
  for (let at = 16; at < length; at += 7) body[at] = prng.below(256);
  const bag = prng.chance(0.5) ? `id=${sequence}&kind=${prng.below(100)}` : "";
  return { sequence, priority, acceptedS: WALL_S + prng.below(3600), expiresS: 0, bag, body };
}
