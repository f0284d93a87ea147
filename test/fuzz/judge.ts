// Judge: what TPM bytes mean, by a second reader that shares nothing with the first.
// Neighbours: `tpm.ts` compares the two over many damaged inputs.
// Invariant: written from the TPM 2.0 Library alone; whatever does not fit throws a RangeError,
// which is its whole way of refusing.

/** Takes TPM2Bs off the front of bytes. */
class Pieces {
  private at = 0;

  constructor(private readonly bytes: Buffer) {}

  get isEmpty(): boolean {
    return this.at === this.bytes.length;
  }

  number(size: number): number {
    const value = this.bytes.readUIntBE(this.at, size);
    this.at += size;
    return value;
  }

  next(min: number, max: number): Buffer {
    const size = this.number(2);
    if (size < min || size > max || this.at + size > this.bytes.length) throw new RangeError();
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }
}

/** Whether the bytes of a TPMT_PUBLIC are one of an RSA key or a keyed hash, and which. */
function publicType(body: Buffer): number {
  const pieces = new Pieces(body);
  const type = pieces.number(2);
  pieces.number(2);
  pieces.number(4);
  pieces.next(0, 64);
  if (type === 1) {
    if (pieces.number(2) !== 0x10) pieces.number(4);
    if (pieces.number(2) !== 0x10) pieces.number(2);
    pieces.number(2);
    pieces.number(4);
    pieces.next(0, 512);
  } else if (type === 8) {
    const scheme = pieces.number(2);
    if (scheme !== 0x10) pieces.number(scheme === 0x0a ? 4 : 2);
    pieces.next(0, 64);
  } else throw new RangeError();
  if (!pieces.isEmpty) throw new RangeError();
  return type;
}

/** The five parts of a blob without their sizes. */
export function blobParts(bytes: Buffer): Buffer[] {
  const pieces = new Pieces(bytes);
  const credential = pieces.next(1, 132);
  const inner = new Pieces(credential);
  inner.next(1, 64);
  if (inner.isEmpty) throw new RangeError();
  const parts = [credential, pieces.next(1, 512), pieces.next(1, 1550), pieces.next(1, 512)];
  parts.push(pieces.next(1, 612));
  if (!pieces.isEmpty) pieces.next(0, 1024);
  if (!pieces.isEmpty || publicType(parts[4]!) !== 8) throw new RangeError();
  return parts;
}

/** The body of a TPM2B_PUBLIC that is whole. */
export function publicBody(bytes: Buffer): Buffer {
  const pieces = new Pieces(bytes);
  const body = pieces.next(1, 612);
  publicType(body);
  if (!pieces.isEmpty) throw new RangeError();
  return body;
}

/** Numbers of a capability answer: handles one by one, or properties and values in turn. */
export function capabilityNumbers(bytes: Buffer, capability: 1 | 6): number[] {
  const pieces = new Pieces(bytes);
  pieces.number(1);
  if (pieces.number(4) !== capability) throw new RangeError();
  const count = pieces.number(4) * (capability === 6 ? 2 : 1);
  if (count > 1018 || bytes.length !== 9 + 4 * count) throw new RangeError();
  return Array.from({ length: count }, () => pieces.number(4));
}

/** Length of a response by its head, or 0 when it is not whole or is none. */
export function responseLength(bytes: Buffer): number {
  const tag = bytes.readUInt16BE(0);
  const size = bytes.readUInt32BE(2);
  if ((tag !== 0x8001 && tag !== 0x8002) || size < 10 || size > 4096) throw new RangeError();
  return size;
}
