// Nearest: which known word a mistyped one was meant to be.
// Neighbours: `sheet` asks it for sections and keys, `usage` for commands and options.
// Invariant: pure and bounded; a word that resembles nothing gets no answer rather than a bad one.

/** Longest word that is compared; nothing known is near this long. */
const WORD_CHARS_MAX = 64;

/**
 * Damerau-Levenshtein distance (optimal string alignment): the least number of insertions,
 * deletions, replacements and swaps of two neighbours that turn `a` into `b`.
 */
export function distance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous: number[] = [];
  for (let column = 0; column <= b.length; column++) previous.push(column);
  for (let row = 1; row <= a.length; row++) {
    const current: number[] = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = a[row - 1] === b[column - 1] ? 0 : 1;
      let best = Math.min(
        previous[column]! + 1,
        current[column - 1]! + 1,
        previous[column - 1]! + replaced,
      );
      const swapped =
        row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) best = Math.min(best, beforePrevious[column - 2]! + 1);
      current.push(best);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length]!;
}

/**
 * The known word nearest to `word`, the first of equals, ignoring case; "" when even that one
 * differs in more than a third of its letters (at least one may differ).
 */
export function nearest(word: string, known: readonly string[]): string {
  if (word.length > WORD_CHARS_MAX) return "";
  const lower = word.toLowerCase();
  let best = "";
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const apart = distance(lower, candidate.toLowerCase());
    const allowed = Math.max(1, Math.floor(candidate.length / 3));
    if (apart <= allowed && apart < bestDistance) {
      best = candidate;
      bestDistance = apart;
    }
  }
  return best;
}
