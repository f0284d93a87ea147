/**
 * The `?$rid=…` tail of twin and method topics. Neighbours: `twins.ts` and
 * `methods.ts` read it. Invariant: a request id is opaque and goes back exactly as
 * it came.
 */

/** The request id in `?$rid=x&…`, as sent; null when there is none. */
export function requestId(tail: string): string | null {
  const question = tail.indexOf("?");
  if (question < 0) return null;
  for (const pair of tail.slice(question + 1).split("&")) {
    const equals = pair.indexOf("=");
    const key = pair.slice(0, equals);
    if (key === "$rid" || key === "%24rid") return pair.slice(equals + 1) || null;
  }
  return null;
}
