// A run of the reader's fuzzer: writes streams, spoils them, checks them, counts verdicts.
// Neighbours: grammar.ts, damage.ts, check.ts, shrink.ts; reader.ts is its command.
// Invariant: the same seed and count give the same streams and counts; the first finding ends
// the run with its smallest reproducer.

import { type Reader, Refusal } from "../../src/codec/reader.ts";
import { Prng } from "../../src/kit/prng.ts";
import { Check, Finding } from "./check.ts";
import { damage } from "./damage.ts";
import { Stream } from "./grammar.ts";
import { shrink } from "./shrink.ts";

/** One of so many streams is also read byte by byte. */
const BYTEWISE_EVERY = 4;

/** Attempts at tearing a stream when it is made smaller, as the tears are random. */
const SHRINK_TEARS = 24;

/** Receive buffers that streams go through; the smaller make TOO_LONG and compaction common. */
const CAPACITIES = [64, 300, 1024];

/** What a run has seen. */
export interface Tally {
  inputs: number;
  packets: number;
  accepted: number;
  /** Counts of refused inputs by Refusal. */
  readonly refused: number[];
  /** The finding that ended the run. */
  failure?: { readonly what: string; readonly bytes: Uint8Array; readonly capacity: number };
}

/** Runs `count` inputs through readers made by `make`. */
export function campaign(count: number, seed: number, make: (capacity: number) => Reader): Tally {
  const prng = new Prng(seed);
  const stream = new Stream(prng);
  const checks = CAPACITIES.map((capacity) => new Check(make(capacity), prng));
  const tally: Tally = { inputs: 0, packets: 0, accepted: 0, refused: [] };
  for (const value of Object.values(Refusal)) {
    if (typeof value === "number") tally.refused[value] = 0;
  }
  while (tally.inputs < count) {
    const harmless = write(stream, prng);
    const index = prng.below(CAPACITIES.length);
    const capacity = CAPACITIES[index]!;
    const bytes = stream.bytes.slice(0, stream.length);
    const bytewise = tally.inputs % BYTEWISE_EVERY === 0;
    const check = checks[index]!;
    const expected = harmless && stream.largest <= capacity ? stream.starts.length : -1;
    const verdict = judge(check, bytes, bytewise, expected);
    tally.inputs += 1;
    if (typeof verdict === "string") {
      const small = smallest(bytes, capacity, make, verdict);
      tally.failure = { what: verdict, bytes: small, capacity };
      return tally;
    }
    tally.packets += check.packets;
    if (verdict === Refusal.NONE) tally.accepted += 1;
    else tally.refused[verdict]! += 1;
  }
  return tally;
}

// Fills `stream`; true when it is legal from end to end.
function write(stream: Stream, prng: Prng): boolean {
  if (prng.below(20) === 0) {
    stream.noise();
    return false;
  }
  stream.legal();
  const harmless = prng.below(8) === 0;
  for (let left = harmless ? 0 : 1 + prng.below(3); left > 0; left -= 1) damage(stream, prng);
  return harmless;
}

// The refusal, or what must not have happened; `expected` packets of a legal stream, else -1.
function judge(
  check: Check,
  bytes: Uint8Array,
  bytewise: boolean,
  expected: number,
): Refusal | string {
  try {
    const refusal = check.run(bytes, bytewise);
    if (expected < 0) return refusal;
    if (refusal !== Refusal.NONE) return `a legal stream was refused: ${Refusal[refusal]}`;
    return check.packets === expected ? refusal : "a legal stream lost packets";
  } catch (error) {
    return error instanceof Finding ? error.message : `an exception: ${String(error)}`;
  }
}

// A legal stream that is refused stays as it is: most of its parts are rightly refused.
function smallest(
  bytes: Uint8Array,
  capacity: number,
  make: (capacity: number) => Reader,
  what: string,
): Uint8Array {
  if (what.startsWith("a legal stream")) return bytes;
  return shrink(bytes, (shorter) => {
    const check = new Check(make(capacity), new Prng(shorter.length));
    for (let left = SHRINK_TEARS; left > 0; left -= 1) {
      if (typeof judge(check, shorter, true, -1) === "string") return true;
    }
    return false;
  });
}
