// assert: what must hold, or the process ends.
// Neighbours: every room uses it; it knows none of them.
// Invariant: a broken assertion is a defect of ours, never a consequence of bad input;
// init restarts the process, which is safer than going on in an unknown state.

/** Thrown by a broken assertion; nothing in `src` catches it. */
export class Broken extends Error {
  override name = "Broken";
}

/** Ends the step with {@link Broken} unless `holds`. `what` says in words what was expected. */
export function assert(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Broken(what);
}

/** The default branch of a switch over every state: a forgotten state does not compile. */
export function unreachable(state: never): never {
  throw new Broken(`unreachable state ${String(state)}`);
}
