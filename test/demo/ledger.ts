// Ledger: what the hub has seen of the device, from its own events.
// Neighbours: `world` feeds it the event stream of local Azure; `story` and `screen` read it.
// Invariant: nothing enters but what the hub said; a message counts once however often it comes,
// and every further time as a repetition.

import type { HubEvent, TelemetryEvent } from "../azure/model/events.ts";

/** Messages kept for the screen. */
const LATEST_MAX = 32;

/** One message as the hub got it. */
export interface Message {
  /** When the hub took it, ISO 8601. */
  readonly at: string;
  /** `boot.sequence`, from its system properties. */
  readonly id: string;
  readonly sequence: number;
  readonly payload: string;
  readonly qos: number;
  /** It had been seen before. */
  readonly isRepeated: boolean;
}

/** The hub's side of the story, of one device. */
export class Ledger {
  isConnected = false;
  connects = 0;
  /** Times the hub lost or closed a connection of the device. */
  closes = 0;
  isCreated = false;
  /** Messages seen more than once, each time after the first. */
  repeated = 0;
  /** The latest messages, oldest first. */
  readonly latest: Message[] = [];
  private readonly sequences = new Set<number>();

  constructor(private readonly deviceId: string) {}

  /** Distinct messages. */
  get count(): number {
    return this.sequences.size;
  }

  /** Which of the messages 1 .. `last` the hub has never seen. */
  missing(last: number): number[] {
    const missing: number[] = [];
    for (let sequence = 1; sequence <= last; sequence++) {
      if (!this.sequences.has(sequence)) missing.push(sequence);
    }
    return missing;
  }

  /** Enters one event; those of other devices change nothing. */
  enter(event: HubEvent): void {
    if (event.deviceId !== this.deviceId) return;
    switch (event.type) {
      case "connect":
        this.connects++;
        this.isConnected = true;
        return;
      case "close":
        this.closes++;
        this.isConnected = false;
        return;
      case "device":
        if (event.change === "created") this.isCreated = true;
        return;
      case "telemetry":
        return this.onTelemetry(event);
      default:
        return;
    }
  }

  private onTelemetry(event: TelemetryEvent): void {
    const id = event.properties.system.messageId ?? "";
    const sequence = Number(id.slice(id.lastIndexOf(".") + 1));
    const isRepeated = this.sequences.has(sequence);
    if (isRepeated) this.repeated++;
    this.sequences.add(sequence);
    const { at, payload, qos } = event;
    this.latest.push({ at, id, sequence, payload, qos, isRepeated });
    if (this.latest.length > LATEST_MAX) this.latest.shift();
  }
}
