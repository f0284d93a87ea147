/**
 * Collects everything for one device during one step, so that it leaves in one write. Neighbours:
 * the codec package writes into it as into a stream; `connection.ts` takes it at the end of a step.
 * Invariant: `take` hands out a copy that nobody writes to again.
 */
const BYTES_MIN = 256;
const BYTES_KEPT_MAX = 65_536;

/** A growing buffer with the few stream methods that the codec package calls. */
export class Outbox {
  private bytes = Buffer.allocUnsafe(BYTES_MIN);
  private length = 0;

  get isEmpty(): boolean {
    return this.length === 0;
  }

  /** Appends bytes or UTF-8 text. */
  write(chunk: Uint8Array | string): boolean {
    if (typeof chunk === "string") {
      // Three bytes is the most that one UTF-16 unit takes in UTF-8.
      this.reserve(chunk.length * 3);
      this.length += this.bytes.write(chunk, this.length);
    } else {
      this.reserve(chunk.length);
      this.bytes.set(chunk, this.length);
      this.length += chunk.length;
    }
    return true;
  }

  /** The codec package reports a packet that cannot be written this way. */
  destroy(error: Error): never {
    throw error;
  }

  /** Everything written since the last call. */
  take(): Uint8Array {
    const taken = Buffer.from(this.bytes.subarray(0, this.length));
    this.length = 0;
    if (this.bytes.length > BYTES_KEPT_MAX) this.bytes = Buffer.allocUnsafe(BYTES_MIN);
    return taken;
  }

  private reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.bytes.length));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}
