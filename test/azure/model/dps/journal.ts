/**
 * The reason log of the provisioning service: one event for each step.
 * Neighbours: every part tells; the hub's log carries the events.
 * Invariant: no key and no signature is ever told.
 */
import type { Context } from "../context.ts";
import type { DpsStep } from "../events.ts";

/** Tells a step of one registration or enrollment; `code` is 0 when all is well. */
export function tell(
  context: Context,
  step: DpsStep,
  registrationId: string,
  reason: string,
  code = 0,
): void {
  const deviceId = context.dps?.deviceId(registrationId) || registrationId;
  context.emit({ type: "dps", at: context.at(), deviceId, step, registrationId, code, reason });
}
