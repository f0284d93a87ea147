// Mutant: a sound structure of the TPM with something wrong in it, or nothing.
// Neighbours: `tpm.ts` feeds them to the readers.
// Invariant: the same generator gives the same mutants.

import type { Prng } from "../../src/kit/prng.ts";

/** Values that sizes and counts break at. */
const EDGES = [0, 1, 2, 9, 10, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xfffe, 0xffff];
const BYTES_MAX = 8192;

/** A copy of `base` with 0 to 4 damages, at most 8192 bytes. */
export function mutant(base: Buffer, prng: Prng): Buffer {
  let bytes = Buffer.from(base);
  for (let left = prng.below(5); left > 0; left--) bytes = damaged(bytes, prng);
  return bytes.subarray(0, BYTES_MAX);
}

function damaged(bytes: Buffer, prng: Prng): Buffer<ArrayBuffer> {
  const copy = Buffer.from(bytes);
  const at = prng.below(bytes.length + 1);
  const [before, after] = [copy.subarray(0, at), copy.subarray(at)];
  switch (prng.below(8)) {
    case 0:
      if (at < bytes.length) copy[at] = prng.below(256);
      return copy;
    case 1:
      if (at < bytes.length) copy[at]! ^= 1 << prng.below(8);
      return copy;
    case 2:
    case 3:
      if (at + 2 <= bytes.length) copy.writeUInt16BE(EDGES[prng.below(EDGES.length)]!, at);
      return copy;
    case 4:
      if (at + 2 <= bytes.length) {
        const step = prng.between(-2, 2);
        copy.writeUInt16BE((copy.readUInt16BE(at) + step) & 0xffff, at);
      }
      return copy;
    case 5:
      return before;
    case 6:
      return Buffer.concat([before, Buffer.alloc(prng.below(40), prng.below(256)), after]);
    default:
      return Buffer.concat([before, after.subarray(prng.below(40))]);
  }
}
