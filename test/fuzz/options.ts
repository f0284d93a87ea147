// Options: the words that every fuzzer takes: --count N and --seed N.
// Neighbours: the commands beside; their tests try wrong words.
// Invariant: a wrong word ends the process with 2 and one line that says what is allowed.

import { parseArgs } from "node:util";

/** What to play: so many inputs, made by chance from this seed. */
export interface Options {
  readonly count: number;
  readonly seed: number;
}

/** The options of the command line. @param name of the command, for the usage line */
export function optionsOf(name: string, countDefault: number): Options {
  try {
    const { values } = parseArgs({
      options: { count: { type: "string" }, seed: { type: "string" } },
    });
    const seed = number("seed", values.seed, crypto.getRandomValues(new Uint32Array(1))[0]!);
    return { count: number("count", values.count, countDefault), seed };
  } catch (error) {
    console.error(`usage: ${name} [--count N] [--seed N]: ${(error as Error).message}`);
    process.exit(2);
  }
}

function number(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  console.error(`--${name} ${text}: not a number; allowed: 0 to 999999999999999`);
  process.exit(2);
}
