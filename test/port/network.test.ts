// Network, tested: which address of which interface names a gateway.
// Neighbours: `src/port/network.ts`; the folder stands for /sys/class/net.
// Invariant: the folder of each test is its own and is gone after it.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { macAddress } from "../../src/port/network.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "azimuth-net-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function add(name: string, address: string, isHardware = true): void {
  mkdirSync(join(folder, name, isHardware ? "device" : "queues"), { recursive: true });
  writeFileSync(join(folder, name, "address"), `${address}\n`);
}

test("the first by number, not by letter", () => {
  add("eth10", "AC:DE:48:00:11:10");
  add("eth2", "AC:DE:48:00:11:22");
  expect(macAddress(folder)).toBe("acde48001122");
});

test("only of hardware, and only a real one", () => {
  add("br0", "02:00:00:00:00:01", false);
  add("eth0", "00:00:00:00:00:00");
  add("ib0", "80:00:02:08:fe:80:00:00:00:00:00:00:f4:52:14:03:00:7b:cb:a1");
  add("wlan0", "ac:de:48:00:11:33");
  expect(macAddress(folder)).toBe("acde48001133");
});

test("none where there is none", () => {
  expect(macAddress(folder)).toBe("");
  expect(macAddress(join(folder, "absent"))).toBe("");
  mkdirSync(join(folder, "eth0", "device"), { recursive: true });
  expect(macAddress(folder)).toBe("");
});
