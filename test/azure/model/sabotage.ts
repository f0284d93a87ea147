/**
 * What a fault does in the moment it is set: cut, darken or close the connections that are there.
 * Neighbours: `faults.ts` calls it; `connection.ts` has the verbs.
 * Invariant: connections are struck in the order in which they were made.
 */
import { type Connection, Stage } from "./connection.ts";
import type { Context } from "./context.ts";
import { HubCode } from "./errors.ts";
import type { Fault } from "./faults.ts";

function victims(context: Context, fault: Fault): Connection[] {
  return [...context.connections].filter((connection) => {
    const id = connection.device?.id;
    return connection.stage === Stage.Up && id !== undefined && context.faults.bites(fault, id);
  });
}

/** Strikes at once where the kind does so; whether the fault stays in force. */
export function strike(context: Context, fault: Fault): boolean {
  const isLasting = Number.isFinite(fault.left) || Number.isFinite(fault.untilMs);
  switch (fault.kind) {
    case "drop":
      if (fault.value > 0) return true;
      for (const connection of victims(context, fault)) {
        connection.close(HubCode.DeviceConnectionClosedRemotely, "fault drop");
      }
      return isLasting && fault.left > 0;
    case "upgrade":
      for (const connection of victims(context, fault)) {
        const code = HubCode.ConnectionClosedForServiceUpgrade;
        connection.close(code, "service upgrade (fault): an immediate retry may succeed");
      }
      return isLasting && fault.left > 0;
    case "blackhole":
      for (const connection of victims(context, fault)) connection.darken();
      return fault.left > 0;
    default:
      return true;
  }
}
