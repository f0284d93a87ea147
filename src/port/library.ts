// Library: where libazimuth.so is.
// Neighbours: `main` asks and hands the path to `tpm`, which loads it; `make build` and
// `make install` put it there.
// Invariant: a library that an operator names is the one; else the first that exists.

import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const NAME = "libazimuth.so";
/** Where the sources seem to be in a built executable: no folder to send anybody to. */
const BUNDLE = "/$bunfs/";

/**
 * Path of the library: next to the executable, in `build` of the source tree, below the prefix
 * that the executable is installed in. Throws an Error of one line when it is nowhere.
 * @param executable path of this program
 * @param sources folder of the sources, or a place inside of the executable
 */
export function findLibrary(executable: string, sources: string): string {
  const folder = dirname(executable);
  const places = [
    join(folder, NAME),
    ...(sources.startsWith(BUNDLE) ? [] : [resolve(sources, "../build", NAME)]),
    resolve(folder, "../lib/azimuth", NAME),
  ];
  const found = places.find((place) => existsSync(place));
  if (found !== undefined) return found;
  throw new Error(
    `${NAME} is missing; looked for ${places.join(", ")}; make build makes it ` +
      "(Debian packages gcc, libc6-dev, libtss2-dev)",
  );
}
