// Key: priority and sequence of a message as one number, by which the store orders messages.
// Neighbours: the store port keeps rows under it, the journal asks for ranges of it.
// Invariant: a key is a safe integer; keys of one priority lie together and rise with sequence.

/** Priorities are 0, the most urgent, to 9, as in Kura. */
export const PRIORITIES = 10;
/** Sequences end below this: at 1,000 messages a second after 17,000 years. */
export const SEQUENCE_END = 2 ** 49;
/** What a row needs in the store beside bag and body, about. */
const ROW_BYTES = 32;

/** @param priority 0 .. 9. @param sequence 0 .. SEQUENCE_END - 1. */
export function keyOf(priority: number, sequence: number): number {
  return priority * SEQUENCE_END + sequence;
}

/** 0 .. 9 for a key made by {@link keyOf}. */
export function priorityOf(key: number): number {
  return Math.floor(key / SEQUENCE_END);
}

/** 0 .. SEQUENCE_END - 1. */
export function sequenceOf(key: number): number {
  return key % SEQUENCE_END;
}

/** What a message counts for against a bound in bytes. */
export function messageBytes(bagBytes: number, bodyBytes: number): number {
  return ROW_BYTES + bagBytes + bodyBytes;
}
