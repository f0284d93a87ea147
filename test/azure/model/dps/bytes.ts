/**
 * Bytes as the TPM writes them: big-endian integers and TPM2B fields. Neighbours: `area.ts` reads
 * with these, `blob.ts` writes. Invariant: nothing is read beyond the end; base64 is taken only
 * when it is whole and canonical.
 */

/** Two bytes, big-endian. */
export function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

/** Four bytes, big-endian. */
export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A TPM2B: its size in two bytes, then the bytes. */
export function sized(...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([u16(body.length), body]);
}

/** Bytes of a base64 text, or undefined when it is not exactly one. */
export function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.length > 0 && bytes.toString("base64") === text ? bytes : undefined;
}
