/**
 * What all commands need: words that must be there, JSON that must parse, lines on stdout, errors
 * in one line. Neighbours: `client.ts`, `enrollment.ts`. Invariant: a command that was called
 * wrongly ends in `Usage`, whose message is one line.
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

/** Throws `Usage` when there are more than `most` words. */
export function noMore(words: readonly string[], most: number): void {
  if (words.length <= most) return;
  throw new Usage(`"${words[most]}" is a word too many; put what has spaces in it into quotes`);
}

/** A key as it is written, or throws `Usage`; undefined stays so. */
export function base64<T extends string | undefined>(given: T, name: string): T {
  const isKey =
    given === undefined || (/^[A-Za-z0-9+/]+={0,2}$/.test(given) && given.length % 4 === 0);
  if (!isKey) throw new Usage(`--${name} is not base64`);
  return given;
}

const PROBLEMS: Readonly<Record<string, string>> = {
  EEXIST: "is not a folder",
  ENOTDIR: "is not in a folder",
  EISDIR: "is a folder",
  ENOENT: "is not there and cannot be made",
  EACCES: "no permission",
  EPERM: "no permission",
  EROFS: "is on a read-only file system",
};

/** An error in one line; one of the file system as the path and what is wrong with it. */
export function lineOf(error: unknown): string {
  const { code = "", path, message } = error as NodeJS.ErrnoException;
  const problem = Object.hasOwn(PROBLEMS, code) ? PROBLEMS[code] : undefined;
  if (path !== undefined && problem !== undefined) return `${path}: ${problem} (${code})`;
  return message.split("\n")[0] ?? "";
}
