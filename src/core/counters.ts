// Counters: what happened since the process started, for status and tests.
// Neighbours: machines count; `status` shows.
// Invariant: numbers only grow; a stray event never changes a state.

/** Event counts since start. */
export class Counters {
  /** Attempts to connect, and those that reached CONNACK 0. */
  attempts = 0;
  connects = 0;
  /** Events that a state could not use: late answers, acknowledgements of nothing. */
  stray = 0;
  /** Packets taken from the hub and their bytes. */
  packetsIn = 0;
  bytesIn = 0;
  bytesOut = 0;
  /** Desired changes applied, and those already known by their version. */
  desired = 0;
  desiredStale = 0;
  /** Desired changes that came with a gap before them. */
  desiredGaps = 0;
  /** Cloud-to-device messages and method calls that nothing here handles. */
  unhandled = 0;
  /** Tokens signed. */
  tokens = 0;
}
