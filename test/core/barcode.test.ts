// Barcode, tested: squares as characters, two rows a line.
// Neighbours: `src/core/barcode.ts`; `test/port/barcode.test.ts` reads a real one back.
// Invariant: colours are set and reset in every line, so that no line colours what follows.

import { expect, test } from "bun:test";
import { drawBarcode } from "../../src/core/barcode.ts";

const D = true;
const L = false;
const line = (text: string) => `\x1b[38;5;16;48;5;231m${text}\x1b[0m\n`;

test("two rows share a line", () => {
  const squares = [
    [D, D, L, L],
    [D, L, D, L],
  ];
  expect(drawBarcode(squares)).toBe(line("█▀▄ "));
});

test("an odd last row has light below", () => {
  expect(
    drawBarcode([
      [L, L],
      [L, L],
      [D, L],
    ]),
  ).toBe(line("  ") + line("▀ "));
});
