// Tests of lamp: what its file shows, and which LEDs are refused.
// Neighbours: lamp.ts.
// Invariant: files lie in a folder of the test, removed after it.

import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileLamp, Light, light, namedLamp } from "./lamp.ts";

const folder = mkdtempSync(join(tmpdir(), "azimuth-lamp-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("a file shows 1 for lit, 0 for dark, and may not be there", () => {
  const lamp = fileLamp(join(folder, "LED1"));
  expect(light(lamp)).toBe(Light.NONE);
  writeFileSync(lamp.file, "1\n");
  expect(light(lamp)).toBe(Light.LIT);
  writeFileSync(lamp.file, "0\n");
  expect(light(lamp)).toBe(Light.DARK);
});

test("an LED of the kernel is lit at any brightness but 0", () => {
  mkdirSync(join(folder, "leds", "user"), { recursive: true });
  writeFileSync(join(folder, "leds", "user", "brightness"), "255\n");
  const lamp = namedLamp("user", join(folder, "leds"));
  expect([lamp.driver, lamp.target]).toEqual(["leds", "user"]);
  expect(light(lamp)).toBe(Light.LIT);
});

test("an LED that is not there is refused with those that are", () => {
  mkdirSync(join(folder, "some", "mmc0"), { recursive: true });
  expect(() => namedLamp("user", join(folder, "some"))).toThrow("ENOENT); there are: mmc0");
  expect(() => namedLamp("user", join(folder, "none"))).toThrow("has no LED there");
});
