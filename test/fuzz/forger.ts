// Forger: damages a blob of DPS in what is signed or encrypted in it.
// Neighbours: `forgery.ts` takes the results to a TPM; `mutant` damages bytes of any kind.
// Invariant: a forgery differs from the blob in at least one of the five parts that count.

import { type Blob, splitBlob } from "../../src/codec/blob.ts";
import type { Prng } from "../../src/kit/prng.ts";
import { mutant } from "./mutant.ts";

const PARTS = ["credential", "secret", "duplicate", "seed", "publicArea"] as const;

/** Bytes of the parts that count, in their order. */
function counting(blob: Blob): Buffer {
  return Buffer.concat(PARTS.map((part) => blob[part]));
}

/** One bit of one part, a part of another blob, or damage of any kind. */
function damaged(blob: Blob, other: Blob, prng: Prng): Buffer {
  const kind = prng.below(3);
  if (kind === 0) return mutant(counting(blob), prng);
  const part = PARTS[prng.below(PARTS.length)]!;
  const bytes = Buffer.from(kind === 1 ? blob[part] : other[part]);
  // Behind the size: a change of that is no sound blob any more.
  if (kind === 1) bytes[2 + prng.below(bytes.length - 2)]! ^= 1 << prng.below(8);
  return counting({ ...blob, [part]: bytes });
}

/**
 * A blob that is well-formed and forged, as its bytes.
 * @param bytes a sound blob; @param otherBytes another one for the same TPM
 */
export function forgery(bytes: Uint8Array, otherBytes: Uint8Array, prng: Prng): Buffer {
  const [blob, other] = [splitBlob(bytes), splitBlob(otherBytes)];
  if (typeof blob === "string" || typeof other === "string") throw new Error("no sound blob");
  for (;;) {
    const made = damaged(blob, other, prng);
    const read = splitBlob(made);
    if (typeof read !== "string" && !counting(read).equals(counting(blob))) return made;
  }
}
