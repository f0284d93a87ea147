// Vendor, tested: known letters have a name, all others none.
// Neighbours: `src/core/vendor.ts`.
// Invariant: names of an object's own members are not taken for letters.

import { expect, test } from "bun:test";
import { vendorName } from "../../src/core/vendor.ts";

test.each([
  ["IFX", "Infineon"],
  ["NTC", "Nuvoton"],
  ["STM", "STMicroelectronics"],
  ["XYZ", ""],
  ["ifx", ""],
  ["", ""],
  ["constructor", ""],
])("%s is %p", (letters, name) => {
  expect(vendorName(letters)).toBe(name);
});
