// Tests of src/codec/outcome.ts: each row of the table of TPM failures, and any other number.
// Neighbours: `test/port/tpmfault.test.ts` shows that the port gives these codes.
// Invariant: codes are from part 2 of the TPM 2.0 Library, section 6.6, and from tpm2-tss.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { Outcome, outcomeOf, outcomeText } from "../../src/codec/outcome.ts";

const ROWS: readonly (readonly [number, Outcome])[] = [
  [0, Outcome.DONE],
  [0x922, Outcome.BUSY],
  [0x90a, Outcome.BUSY],
  [0x908, Outcome.BUSY],
  [0x920, Outcome.SLOW],
  [0x923, Outcome.SLOW],
  [0x921, Outcome.LOCKED],
  [0x98e, Outcome.PASSWORD],
  [0x9a2, Outcome.PASSWORD],
  [0x18b, Outcome.ABSENT],
  [0x28b, Outcome.ABSENT],
  [0x1cb, Outcome.ABSENT],
  [0x100, Outcome.UNSTARTED],
  [0x130, Outcome.RESTARTED],
  [0x910, Outcome.RESTARTED],
  [0x916, Outcome.RESTARTED],
  [0x918, Outcome.RESTARTED],
  [0x902, Outcome.FULL],
  [0x903, Outcome.FULL],
  [0x904, Outcome.FULL],
  [0x101, Outcome.FAILED],
  [0x1df, Outcome.REFUSED],
  [0x09f, Outcome.REFUSED],
  [0x2d2, Outcome.REFUSED],
  [0x99d, Outcome.REFUSED],
  [0x909, Outcome.REFUSED],
  [0x7ff, Outcome.REFUSED],
  [0x000b0143, Outcome.REFUSED],
  [0x000b0902, Outcome.FULL],
  [0x000b000a, Outcome.LOST],
  [0x000b0001, Outcome.LOST],
  [0x00070007, Outcome.LOST],
  [0x0007001b, Outcome.LOST],
  [0x00080013, Outcome.LOST],
  [0x00090006, Outcome.LOST],
  [0x00f00001, Outcome.REFUSED],
  [0x00f00002, Outcome.RESTARTED],
  [0x00f00003, Outcome.RESTARTED],
  [0x00f00005, Outcome.FULL],
  [0x00f00006, Outcome.LOST],
];

test.each(ROWS)("code %p is %p", (rc, outcome) => {
  expect(Outcome[outcomeOf(rc)]).toBe(Outcome[outcome]);
});

test("words name the code, the meaning and what it is about", () => {
  expect(outcomeText(0x921)).toBe("0x921: locked out after too many wrong passwords");
  expect(outcomeText(0x18b)).toBe("0x18b: there is nothing at this handle (handle 1)");
  expect(outcomeText(0x2d2)).toBe("0x2d2: scheme not supported (parameter 2)");
  expect(outcomeText(0x9a2)).toBe("0x9a2: wrong password (session 1)");
  expect(outcomeText(0x000b000a)).toBe("0xb000a: no connection to the TPM");
  expect(outcomeText(0x7ff)).toBe("0x7ff: refused by the TPM (parameter 7)");
});

test("every number has a kind and one line of words", () => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), (rc) => {
      const text = outcomeText(rc);
      return Outcome[outcomeOf(rc)] !== undefined && /^0x[0-9a-f]+: [^\n]+$/.test(text);
    }),
  );
});

test("nothing but zero is done", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 0xffffffff }), (rc) => outcomeOf(rc) !== 0));
});
