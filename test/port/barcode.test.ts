// Barcode, tested: a code as large as an operator's is read back by a reader of QR codes.
// Neighbours: `src/port/barcode.ts`; the reader comes with the library but shares no code with
// the writer but its tables.
// Invariant: the border shrinks before anything is refused.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import decodeQR from "qr/decode.js";
import { barcode } from "../../src/port/barcode.ts";

/** As long as a registration id and an endorsement key. */
const TEXT = `${"a7".repeat(26)}\n${"AToA+/9z".repeat(52)}AToAAQ==`;

async function squaresIn(columns: number): Promise<boolean[][]> {
  const squares = await barcode(TEXT, columns);
  if (typeof squares === "number") throw new Error(`wants ${squares} columns`);
  return squares;
}

/** The text of a picture of it, four dots a square. */
function read(squares: boolean[][]): string {
  const dots = 4;
  const size = squares.length * dots;
  const data = new Uint8Array(size * size * 4).fill(255);
  for (let at = 0; at < size * size; at++) {
    const row = Math.floor(at / size / dots);
    const column = Math.floor((at % size) / dots);
    if (squares[row]![column]) data.fill(0, at * 4, at * 4 + 3);
  }
  return decodeQR({ width: size, height: size, data }, { timeLimit: 10_000 });
}

test("is read back, also with the narrowest border", async () => {
  expect(TEXT).toHaveLength(477);
  expect(read(await squaresIn(200))).toBe(TEXT);
  expect(read(await squaresIn(80))).toBe(TEXT);
});

test("its border is as wide as the columns allow, up to 4", async () => {
  const borders = [];
  for (const columns of [200, 85, 84, 83, 82, 79]) {
    const squares = await squaresIn(columns);
    borders.push(squares.findIndex((row) => row.includes(true)));
    expect(squares.every((row) => row.length === squares.length)).toBe(true);
  }
  expect(borders).toEqual([4, 4, 3, 3, 2, 1]);
});

test("too few columns: how many it needs", async () => {
  expect(await barcode(TEXT, 78)).toBe(79);
});

test("the library is loaded at the first call only", () => {
  const text = readFileSync(resolve(import.meta.dir, "../../src/port/barcode.ts"), "utf8");
  expect(text).not.toMatch(/^import .*"qr"/m);
});
