// Dial, tested: what a failed dial carries.
// Neighbours: `src/core/dial.ts`; `test/port/dial.test.ts` has the dials themselves.
// Invariant: one class for all ports, whichever file it comes from.

import { expect, test } from "bun:test";
import { DialError } from "../../src/core/dial.ts";
import { Cause, DialError as Passed } from "../../src/core/effects.ts";

test("a failed dial is an error with its cause, and its detail as message", () => {
  const error = new DialError(Cause.PROXY_REFUSED, "403 Filtered");
  expect(error).toBeInstanceOf(Error);
  expect(error).toBeInstanceOf(Passed);
  expect([error.reason, error.message]).toEqual([Cause.PROXY_REFUSED, "403 Filtered"]);
  expect(`${error}`).toBe("DialError: 403 Filtered");
});
