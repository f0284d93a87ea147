// Hardware: the shape of the world around the TPM.
// Neighbours: `effects` hands these names on to the ports; `vault` and `survey` ask for them.
// Invariant: types alone, no behaviour.

import type { TpmRequest } from "../codec/request.ts";

/** What the TPM port tells the turn; never from inside a call into the port. */
export interface TpmEvents {
  /** There is a connection; sessions and transient handles from before mean nothing on it. */
  onTpmOpened(): void;
  /** There is none any more, or still none; it is tried again. The detail is one line. */
  onTpmClosed(detail: string): void;
  /**
   * The answer to `perform` or `flushAll` with this ticket, in the order of asking. `rc` 0 is
   * success, with a handle where one was made (else 0) and the bytes that
   * `native/azimuth.h` names, valid until the event returns; `codec/outcome.ts` explains others.
   */
  onTpmDone(ticket: number, rc: number, handle: number, output: Uint8Array): void;
}

/** The TPM, one command at a time. Handles are those of the TPM. */
export interface Tpm {
  /** Connects and stays connected until `close`. */
  open(): void;
  /** Drops connection and requests at once; no event follows. */
  close(): void;
  /** Queues an operation; without a connection it is answered with RC_LOST. */
  perform(ticket: number, request: TpmRequest): void;
  /** Queues the end of all sessions and transient objects that this connection can see. */
  flushAll(ticket: number): void;
  /** Sets the password of a hierarchy, 0 .. 64 bytes, until the process ends. */
  setPassword(hierarchy: number, password: Uint8Array): void;
}

/** Carries commands to a TPM. Answers never come from inside a call. */
export interface Chip {
  /** True when closing frees what was made: each connection has a TPM of its own. */
  readonly isManaged: boolean;
  /** Connects; answered by `onChipOpened` or `onChipClosed`. */
  open(): void;
  /** Sends a command, valid during the call; answered by `onChipAnswer` or `onChipClosed`. */
  send(command: Uint8Array): void;
  /** Forgets the connection; no event follows, and no late answer is taken for another. */
  abandon(): void;
}

/** What a chip tells the TPM port. After `onChipClosed` nothing more comes until `open`. */
export interface ChipEvents {
  onChipOpened(): void;
  /** One response, unchecked but for its length; valid until the event returns. */
  onChipAnswer(response: Uint8Array): void;
  onChipClosed(detail: string): void;
}
