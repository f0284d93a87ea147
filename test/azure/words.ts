/**
 * What all commands of the client need: words that must be there, JSON that must parse, lines on
 * stdout. Neighbours: `client.ts`, `enrollment.ts`. Invariant: a command that was called wrongly
 * ends in `Usage`, whose message is one line.
 */

/** A command that was called wrongly, for exit code 2. */
export class Usage extends Error {}

/** A JSON object of an answer. */
export type Row = Record<string, unknown>;

/** One line on stdout. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** JSON for people on stdout. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** The word, or throws `Usage`. */
export function need(word: string | undefined, what: string): string {
  if (word === undefined || word === "") throw new Usage(`${what} is missing`);
  return word;
}

/** The value of a JSON text, or throws `Usage`. */
export function parse(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Usage(`${what} is not JSON`);
  }
}
