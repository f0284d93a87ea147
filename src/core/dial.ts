// Dial: how a socket is opened, directly or through a proxy, and what a WebSocket over it needs,
// as the ports see it.
// Neighbours: `effects` passes it on to the ports; `proxy` has the words for a proxy, `port/dial`
// carries them; `websocket` draws on the entropy.
// Invariant: a proxy that has not opened the tunnel never sees a byte of TLS.

import type { Cause } from "./cause.ts";

/** A proxy that stands between here and every target. */
export interface HttpProxy {
  /** Host name or address dialled, and its TCP port. */
  readonly host: string;
  readonly port: number;
  /** Begins the talk for a tunnel to a target; one for each attempt. */
  tunnel(host: string, port: number): Tunnel;
}

/** The talk with a proxy before TLS begins. */
export interface Tunnel {
  /** What is said first, whole; empty when the target cannot be asked for. */
  readonly request: Uint8Array;
  /** True once the tunnel stands; then, or once `cause` is set, nothing more is taken. */
  readonly isOpen: boolean;
  /** Why there will be no tunnel; NONE as long as that is open. */
  readonly cause: Cause;
  readonly detail: string;
  /** Takes what the proxy says. */
  onData(chunk: Uint8Array): void;
}

/**
 * Opens TCP and TLS by the runtime's own options, directly or through a proxy. A dial that fails
 * comes out of `connectError` as a {@link DialError}. The answer drops a dial that is under way:
 * nothing of it is heard again; once the socket was opened it does nothing.
 */
export type Dial<Options> = (options: Options) => () => void;

/** Why a dial failed; the message is the detail. */
export class DialError extends Error {
  override name = "DialError";

  constructor(
    readonly reason: Cause,
    detail: string,
  ) {
    super(detail);
  }
}

/** What a WebSocket needs of the world. */
export interface Entropy {
  /** 32 unpredictable bits, 0 .. 2^32 - 1. */
  word(): number;
  /** 16 unpredictable bytes in base64. */
  nonce(): string;
  /** SHA-1 of an ASCII text, in base64. */
  sha1(text: string): string;
}
