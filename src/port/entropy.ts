// Randomness of the operating system.
// Neighbours: `kit/prng` is seeded with it; message ids begin with the boot id; the recovery's
// logbook names runs of the machine; WebSockets are masked with it.
// Invariant: nothing here is used as a key; keys come from the settings or the TPM.

import { readFileSync } from "node:fs";
import type { Entropy } from "../core/effects.ts";

/** 53 random bits as an integer, 0 .. 2^53 - 1: a seed for the pseudo-random generator. */
export function seed(): number {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return (words[0]! >>> 11) * 0x1_0000_0000 + words[1]!;
}

/** Eight lower-case hexadecimal characters that tell this run of the process from others. */
export function bootId(): string {
  return crypto.getRandomValues(new Uint8Array(4)).toHex();
}

/** The kernel's name for this run of the machine (random(4)); "" when it tells none. */
export function machineId(path = "/proc/sys/kernel/random/boot_id"): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

/** Words drawn from the operating system at a time; one is used for each WebSocket frame sent. */
const POOL_WORDS = 256;

/** Unpredictable bits for WebSockets, which RFC 6455, 10.3 demands for its masks. */
export class SystemEntropy implements Entropy {
  private readonly pool = new Uint32Array(POOL_WORDS);
  private used = POOL_WORDS;

  word(): number {
    if (this.used === POOL_WORDS) {
      crypto.getRandomValues(this.pool);
      this.used = 0;
    }
    return this.pool[this.used++]!;
  }

  nonce(): string {
    return crypto.getRandomValues(new Uint8Array(16)).toBase64();
  }

  sha1(text: string): string {
    return new Bun.CryptoHasher("sha1").update(text).digest("base64");
  }
}
