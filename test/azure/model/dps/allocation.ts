/**
 * Which hub a device goes to.
 * Neighbours: `registrar.ts` asks at each assignment. Facts: DPS allocation policies.
 * Invariant: only hubs that are linked; the same device, the same choice.
 */
import { createHash } from "node:crypto";
import type { Settings } from "./settings.ts";

/** Host name of the chosen hub, undefined when none of those wanted is linked. */
export function allocate(
  settings: Settings,
  registrationId: string,
  linked: readonly string[],
): string | undefined {
  const find = (wanted: string): string[] =>
    linked.filter((name) => name.toLowerCase() === wanted.toLowerCase());
  const fitting = settings.hubs.length === 0 ? linked : settings.hubs.flatMap(find);
  if (settings.allocation !== "hashed") return fitting[0];
  const digest = createHash("sha256").update(registrationId.toLowerCase()).digest();
  return fitting[digest.readUInt32BE(0) % fitting.length];
}
