/**
 * What the model asks of whoever runs it: the service's calendar, randomness, and a way out to
 * one device. Neighbours: `hub.ts` takes both; `server/` gives the real ones, a simulator its own.
 * Invariant: the model has no other source of time, randomness or input.
 */

/** The world around one hub. */
export interface World {
  /** Unix time of the service, ms. It may stand still between two calls but never goes back. */
  nowMs(): number;
  /** `length` random bytes; a seeded source makes the whole hub repeatable. */
  randomBytes(length: number): Uint8Array;
}

/** The hub's end of one device socket, above TLS. */
export interface Link {
  /** Sends bytes in order. The array is the link's to keep; it is never written to again. */
  send(bytes: Uint8Array): void;
  /** Ends the socket after what was sent; `code` and `reason` are for the log, not for the wire. */
  close(code: number, reason: string): void;
}

/** Lower-case hexadecimal text of `length` random bytes. */
export function randomHex(world: World, length: number): string {
  return Buffer.from(world.randomBytes(length)).toString("hex");
}

/** A random identifier in the form of a UUID, as services write tracking ids. */
export function randomUuid(world: World): string {
  const hex = randomHex(world, 16);
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)];
  return `${parts.join("-")}-${hex.slice(20)}`;
}
