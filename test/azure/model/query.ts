/**
 * The subset of the query language that tools use to list devices: `SELECT * FROM devices`, with an
 * optional comparison of one property. Neighbours: `hub.ts` offers it page by page.
 * Invariant: what is not understood is refused by name, never answered wrongly.
 */
import type { Device } from "./device.ts";
import { invalid } from "./errors.ts";
import type { JsonObject } from "./merge.ts";
import type { Registry } from "./registry.ts";

const QUERY = /^\s*select\s+(\*|deviceId)\s+from\s+devices(?:\s+where\s+(.+?))?\s*;?\s*$/is;
const CONDITION = /^(?:devices\.|c\.)?(deviceId|status|connectionState)\s*=\s*'([^']*)'$/i;

/** One page of an answer. */
export interface Page {
  items: JsonObject[];
  /** Where the next page begins, -1 at the end. */
  next: number;
}

function condition(text: string | undefined): (device: Device) => boolean {
  if (text === undefined) return () => true;
  const match = CONDITION.exec(text.trim());
  if (match === null) {
    throw invalid("query: only WHERE deviceId | status | connectionState = '…' is offered");
  }
  const [, name, value] = match as unknown as [string, string, string];
  switch (name.toLowerCase()) {
    case "deviceid":
      return (device) => device.id === value;
    case "status":
      return (device) => device.status === value;
    default:
      return (device) => device.connectionState === value;
  }
}

/** Runs a query from the item `from` on, at most `countMax` items; throws 400. */
export function runQuery(registry: Registry, text: string, from: number, countMax: number): Page {
  const match = QUERY.exec(text);
  if (match === null) {
    throw invalid("query: only SELECT * FROM devices [WHERE …] is offered");
  }
  const isMatch = condition(match[2]);
  const found = [...registry.all()].filter(isMatch);
  const page = found.slice(from, from + countMax);
  const items =
    match[1] === "*"
      ? page.map((device) => device.twinView())
      : page.map((device): JsonObject => ({ deviceId: device.id }));
  return { items, next: from + countMax < found.length ? from + countMax : -1 };
}
