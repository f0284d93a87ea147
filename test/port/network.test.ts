// Network, tested: which address names the gateway, in folders as /sys/class/net has them.
// Neighbours: `src/port/network.ts`.
// Invariant: what is no hardware is never taken, whatever its name.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { macAddress } from "../../src/port/network.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "azimuth-net-"));
});
afterEach(() => rmSync(root, { recursive: true }));

function put(name: string, address: string, isHardware = true): void {
  mkdirSync(join(root, name, isHardware ? "device" : "statistics"), { recursive: true });
  writeFileSync(join(root, name, "address"), `${address}\n`);
}

test("the first piece of hardware by name, in twelve digits", () => {
  put("lo", "00:00:00:00:00:00", false);
  put("br0", "0a:00:00:00:00:01", false);
  put("eth10", "0A:1B:2C:3D:4E:10");
  put("eth2", "0A:1B:2C:3D:4E:02");
  expect(macAddress(root)).toBe("0a1b2c3d4e02");
});

test("an interface without an address of its own is passed over", () => {
  put("can0", "");
  put("eth0", "00:00:00:00:00:00");
  put("wwan0", "0a:1b:2c:3d:4e:5f");
  expect(macAddress(root)).toBe("0a1b2c3d4e5f");
});

test("none where there is none", () => {
  put("lo", "00:00:00:00:00:00", false);
  expect(macAddress(root)).toBe("");
  expect(macAddress(join(root, "nowhere"))).toBe("");
});
