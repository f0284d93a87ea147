// Statistics: the few that the benchmarks need.
// Neighbours: every benchmark; the parents of measuring processes only, never the measured.
// Invariant: pure; an empty list is a caller's mistake and throws.

/** The value below which `share` (0 .. 1) of the values lie, interpolated between neighbours. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new Error("no values to take a quantile of");
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const below = sorted[Math.floor(place)]!;
  const above = sorted[Math.ceil(place)]!;
  return below + (above - below) * (place - Math.floor(place));
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function minimum(values: readonly number[]): number {
  return quantile(values, 0);
}

/**
 * Median of `above[i] / below[i]`: what was measured in one round is compared with what was
 * measured in the same round, for the machine's mood changes between rounds.
 */
export function pairedRatio(above: readonly number[], below: readonly number[]): number {
  if (above.length !== below.length) throw new Error("rounds without a partner");
  return median(above.map((value, round) => value / below[round]!));
}

/** A straight line through points, and how sure its slope is. */
export interface Fit {
  readonly slope: number;
  /** Standard error of the slope, as if the residues were independent. */
  readonly error: number;
}

/** Least squares over at least three points. */
export function fit(xs: readonly number[], ys: readonly number[]): Fit {
  const count = xs.length;
  if (count < 3 || ys.length !== count) throw new Error("a fit takes three points or more");
  const meanX = xs.reduce((sum, x) => sum + x, 0) / count;
  const meanY = ys.reduce((sum, y) => sum + y, 0) / count;
  let squares = 0;
  let products = 0;
  for (let index = 0; index < count; index++) {
    squares += (xs[index]! - meanX) ** 2;
    products += (xs[index]! - meanX) * (ys[index]! - meanY);
  }
  const slope = products / squares;
  let residue = 0;
  for (let index = 0; index < count; index++) {
    residue += (ys[index]! - meanY - slope * (xs[index]! - meanX)) ** 2;
  }
  return { slope, error: Math.sqrt(residue / (count - 2) / squares) };
}
