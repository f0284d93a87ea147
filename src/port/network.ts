// Network: the MAC address that names this gateway.
// Neighbours: `main` asks for it where the settings say `registration-id = mac`.
// Invariant: the same address at every start as long as the hardware is the same.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const INTERFACES = "/sys/class/net";

/**
 * Address of the first network interface that is a piece of hardware, by name in natural order:
 * twelve lower-case hexadecimal digits; "" when there is none.
 */
export function macAddress(folder = INTERFACES): string {
  const names = entries(folder).sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  for (const name of names) {
    // Bridges, tunnels and the like have no device behind them, and come and go.
    if (!entries(join(folder, name)).includes("device")) continue;
    const address = textOf(join(folder, name, "address"))
      .replaceAll(":", "")
      .toLowerCase();
    if (/^[0-9a-f]{12}$/.test(address) && !/^0+$/.test(address)) return address;
  }
  return "";
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
