// Makes a failing stream small: leaves out runs of bytes for as long as it still fails.
// Neighbours: reader.ts prints the result as a reproducer.
// Invariant: the result fails; none of its bytes can be left out without it passing.

/** The smallest stream found by leaving bytes out of `bytes`, which itself `fails`. */
export function shrink(bytes: Uint8Array, fails: (bytes: Uint8Array) => boolean): Uint8Array {
  let small = bytes.slice();
  for (let size = small.length; size >= 1; size = size > 1 ? Math.ceil(size / 2) : 0) {
    for (let at = 0; at + size <= small.length; ) {
      const shorter = Uint8Array.from([...small.subarray(0, at), ...small.subarray(at + size)]);
      if (fails(shorter)) {
        small = shorter;
        at = size === 1 ? 0 : at;
      } else {
        at += size === 1 ? 1 : size;
      }
    }
  }
  return small;
}
