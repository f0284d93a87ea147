// Stopwatch: a ledger that also takes the time of each message, from durable to PUBACK.
// Neighbours: `stage` reads it for the scenes; disk, hub and tap write into it as into any ledger.
// Invariant: times are those of the disk and of the wire, never what our machines say of them.

import type { HubEvent } from "../azure/model/events.ts";
import { idOf, Ledger } from "./ledger.ts";

/** A live message that waits longer is late. */
const LATE_MS = 2_000;

/** Waits of the messages of one source. */
export interface Waits {
  readonly count: number;
  /** Longest wait, and that which 99 and 50 of 100 stay within, in ms. */
  readonly longestMs: number;
  readonly p99Ms: number;
  readonly medianMs: number;
  /** Messages that waited more than 2 s. */
  readonly late: number;
  /** Longest wait from when there was both the message and the connection, in ms. */
  readonly connectedMs: number;
}

/** Times the messages of one gateway; sources are what stands before the dot of a message id. */
export class Stopwatch extends Ledger {
  /** Messages without a PUBACK at each DISCONNECT. */
  readonly left: number[] = [];
  /** The hub has taken a CONNECT. */
  onConnect: () => void = () => {};
  private readonly durableMs = new Map<string, number>();
  private readonly timed = new Map<string, number[]>();
  private readonly connected = new Map<string, number>();
  private connectMs = 0;

  constructor(private readonly nowMs: () => number) {
    super();
  }

  override onDurable(device: string, bag: string): void {
    super.onDurable(device, bag);
    this.durableMs.set(idOf(bag), this.nowMs());
  }

  override onHubEvent(event: HubEvent): void {
    super.onHubEvent(event);
    if (event.type !== "connect") return;
    this.connectMs = this.nowMs();
    this.onConnect();
  }

  override onAcknowledged(_device: string, id: string): void {
    const fromMs = this.durableMs.get(id);
    // After a power cut one that was acknowledged before may come again.
    if (fromMs === undefined) return;
    this.durableMs.delete(id);
    const source = id.slice(0, id.indexOf("."));
    const waits = this.timed.get(source);
    const nowMs = this.nowMs();
    if (waits === undefined) this.timed.set(source, [nowMs - fromMs]);
    else waits.push(nowMs - fromMs);
    const connectedMs = nowMs - Math.max(fromMs, this.connectMs);
    this.connected.set(source, Math.max(this.connected.get(source) ?? 0, connectedMs));
  }

  override onDisconnect(): void {
    this.left.push(this.durableMs.size);
  }

  /** Durable messages whose PUBACK has not come. */
  get open(): number {
    return this.durableMs.size;
  }

  acknowledgedOf(source: string): number {
    return this.timed.get(source)?.length ?? 0;
  }

  waitsOf(source: string): Waits {
    const sorted = [...(this.timed.get(source) ?? [])].sort((one, other) => one - other);
    const { length } = sorted;
    const within = (share: number): number => sorted[Math.ceil(share * length) - 1] ?? 0;
    const [longestMs, p99Ms, medianMs] = [within(1), within(0.99), within(0.5)];
    const late = sorted.filter((waitMs) => waitMs > LATE_MS).length;
    const connectedMs = this.connected.get(source) ?? 0;
    return { count: length, longestMs, p99Ms, medianMs, late, connectedMs };
  }
}
