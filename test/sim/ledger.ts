// Ledger: what was promised and what came true, message by message and lamp by lamp.
// Neighbours: the hub's events and the taps write into it; `fleet` reads the verdict at the end.
// Invariant: it counts from what the hub received, never from what our machines say they did.

import type { HubEvent } from "../azure/model/events.ts";

/** Verdict and counts of one run. */
export class Ledger {
  readonly violations: string[] = [];
  readonly faults = new Map<string, number>();
  readonly refusals = new Map<string, number>();
  readonly diagnoses = new Map<string, number>();
  delivered = 0;
  duplicates = 0;
  twinChanges = 0;
  /** Arrivals by sequence number, for each device. */
  private readonly arrivals = new Map<string, Uint8Array>();
  private readonly highest = new Map<string, number>();

  onViolation(text: string): void {
    if (this.violations.length < 100) this.violations.push(text);
  }

  onFault(kind: string): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
  }

  onLog(_device: string, text: string): void {
    const at = text.indexOf("; next attempt in ");
    if (at < 0) return;
    const kind = text.slice(0, at).replace(/\d+(\.\d+)? (ms|s|min|h|d)/g, "N");
    this.diagnoses.set(kind, (this.diagnoses.get(kind) ?? 0) + 1);
  }

  onHubEvent(event: HubEvent): void {
    switch (event.type) {
      case "telemetry":
        return this.onTelemetry(event.deviceId, event.properties.system.messageId ?? "", event.dup);
      case "refuse":
      case "close": {
        const name = `${event.type} ${event.codeName}`;
        this.refusals.set(name, (this.refusals.get(name) ?? 0) + 1);
        return;
      }
      case "twin":
        if (event.part === "desired") this.twinChanges++;
        return;
      default:
        return;
    }
  }

  /** All of 1 .. `accepted` must have arrived. */
  settle(device: string, accepted: number): number {
    const arrived = this.arrivals.get(device) ?? new Uint8Array(0);
    let lost = 0;
    for (let sequence = 1; sequence <= accepted; sequence++) {
      if ((arrived[sequence] ?? 0) > 0) continue;
      lost++;
      if (lost <= 3) this.onViolation(`${device}: message ${sequence} of ${accepted} is lost`);
    }
    return lost;
  }

  private onTelemetry(device: string, messageId: string, dup: boolean): void {
    const sequence = Number(messageId.slice(messageId.indexOf(".") + 1));
    if (!(sequence > 0)) return this.onViolation(`${device}: message id "${messageId}"`);
    let arrived = this.arrivals.get(device) ?? new Uint8Array(1024);
    if (sequence >= arrived.length) {
      const larger = new Uint8Array(2 * Math.max(sequence, arrived.length));
      larger.set(arrived);
      arrived = larger;
    }
    this.arrivals.set(device, arrived);
    const before = arrived[sequence]!;
    arrived[sequence] = Math.min(255, before + 1);
    if (before === 0) this.onFirst(device, sequence);
    else {
      this.duplicates++;
      if (!dup) this.onViolation(`${device}: message ${sequence} came again without DUP`);
    }
  }

  /** Order per source: first arrivals ascend. */
  private onFirst(device: string, sequence: number): void {
    this.delivered++;
    const highest = this.highest.get(device) ?? 0;
    if (sequence !== highest + 1) {
      this.onViolation(`${device}: message ${sequence} came first after ${highest}`);
    }
    this.highest.set(device, Math.max(sequence, highest));
  }
}
