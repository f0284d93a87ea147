// Leftover: what must be undone when the run ends, however it ends.
// Neighbours: `cloud`, `tap` and `puppet` note themselves here; `main` ends the run.
// Invariant: what is undone once is forgotten; undoing waits for nothing.

const works = new Set<() => void>();

process.on("exit", () => {
  for (const work of works) work();
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

/** Notes work for the end of the run; the result does it now instead. */
export function atEnd(work: () => void): () => void {
  works.add(work);
  return () => {
    if (works.delete(work)) work();
  };
}
