// Types of the npm package `ini` (7.0.0), as far as settings.ts uses it.
// Neighbours: settings.ts, the only file that imports the package.
// Invariant: says no more than what the package does.

declare module "ini" {
  /** The sections of an INI text; a value is a string, or true, false or null when it says so. */
  export function parse(text: string): Record<string, unknown>;
}
