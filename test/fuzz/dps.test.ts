// Tests of the command that fuzzes what the agent makes of DPS.
// Neighbours: `dps.ts` and what it uses; `creed` is tested by texts whose fate is known.
// Invariant: a few thousand inputs; `make fuzz` has the millions.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import * as creed from "./creed.ts";

function run(...words: readonly string[]) {
  const command = [process.execPath, join(import.meta.dir, "dps.ts"), ...words];
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  return { exitCode, output: stdout.toString(), errors: stderr.toString() };
}

test("nothing is thrown, hangs or is forged, and each subject accepts something", () => {
  const { exitCode, output, errors } = run("--count", "30000", "--seed", "7");
  expect([exitCode, errors]).toEqual([0, ""]);
  expect(output).toMatch(
    /^dps fuzz: 30000 inputs, seed 7, accepted (\d{3,} [a-z ]+, ){3}0 failures, [\d.]+ s\n$/,
  );
});

test("the same seed gives the same run", () => {
  const counts = () => run("--count", "3000", "--seed", "8").output.replace(/[\d.]+ s\n$/, "");
  expect(counts()).toBe(counts());
});

test("what it does not understand it says", () => {
  expect(run("--count", "many")).toMatchObject({ exitCode: 2 });
  expect(run("--cuont", "1").errors).toStartWith("usage: dps.ts [--count N] [--seed N]: ");
});

describe("the creed", () => {
  const body = (assignedHub: unknown, deviceId: unknown, status = "assigned"): string =>
    JSON.stringify({ status, registrationState: { assignedHub, deviceId } });

  test("knows a place from none", () => {
    const place = { hub: "h7.example", device: "gw:1" };
    expect(creed.placeIn(body("h7.example", "gw:1"))).toEqual(place);
    for (const none of [
      body("h7..example", "gw"),
      body("h7.example:1", "gw"),
      body("h7.example", "g w"),
      body("h7.example", "gw#"),
      body("h7.example", "x".repeat(129)),
      body("h7.example", ["gw"]),
      body("h7.example", "gw", "assigning"),
      "[]",
      "no JSON",
    ]) {
      expect(creed.placeIn(none)).toBeUndefined();
    }
  });

  test("knows a line from what steers a terminal", () => {
    expect(creed.isLine("DPS: ü (no \u{1f600})")).toBe(true);
    for (const text of ["a\nb", "a\u001b[2J", "\u202ea", "a\u2028", "\ud800", "x".repeat(1001)]) {
      expect(creed.isLine(text)).toBe(false);
    }
  });

  test("knows a request from one that leads elsewhere", () => {
    const isRequest = (method: string, path: string, authorization = ""): boolean =>
      creed.isRequest(method, path, authorization, "0ne1", "gw");
    const base = "/0ne1/registrations/gw";
    expect(isRequest("PUT", `${base}/register?api-version=2021-06-01`)).toBe(true);
    expect(isRequest("GET", `${base}/operations/4.a%2Fb?api-version=2021-06-01`)).toBe(true);
    expect(isRequest("GET", `${base}/operations/?api-version=2021-06-01`)).toBe(false);
    expect(isRequest("GET", `${base}/operations/a/b?api-version=2021-06-01`)).toBe(false);
    expect(isRequest("GET", `${base}/operations/a?b?api-version=2021-06-01`)).toBe(false);
    expect(isRequest("PUT", `${base}/register?api-version=1`, "x\r\nHost: y")).toBe(false);
    expect(isRequest("PUT", "/0ne2/registrations/gw/register?api-version=1")).toBe(false);
  });

  test("wants a key that is base64 of a whole blob", () => {
    expect(creed.keyProblem('{"authenticationKey":"AAAA"}')).toBe("a broken key");
    expect(creed.keyProblem('{"authenticationKey":"-"}')).toBe("a broken key");
    expect(creed.keyProblem("{}")).toBe("no key");
  });
});
