// Randomness of the operating system, drawn once at start.
// Neighbours: `kit/prng` is seeded with it; message ids begin with the boot id.
// Invariant: nothing here is used as a key; keys come from the settings or the TPM.

/** 53 random bits as an integer, 0 .. 2^53 - 1: a seed for the pseudo-random generator. */
export function seed(): number {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return (words[0]! >>> 11) * 0x1_0000_0000 + words[1]!;
}

/** Eight lower-case hexadecimal characters that tell this run of the process from others. */
export function bootId(): string {
  return crypto.getRandomValues(new Uint8Array(4)).toHex();
}
