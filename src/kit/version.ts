// version: the product's name and version as it tells them to hubs and people.
// Neighbours: `package.json` carries the same version; a test compares them.
// Invariant: one place in the sources, so that a release changes one line.

/** Semantic version of this tree. */
export const VERSION = "0.1.0";
