// Ledger: what the hub has seen of the device, from its own events.
// Neighbours: `world` feeds it the event stream of local Azure; `story` and `screen` read it.
// Invariant: nothing enters but what hub and DPS said; a message counts once however often it
// comes, and every further time as a repetition; each start of the agent counts from 1.

import type { DpsStep, HubEvent, TelemetryEvent } from "../azure/model/events.ts";

/** Messages kept for the screen. */
const LATEST_MAX = 32;

/** Steps of DPS that a request of the device brings about. */
const ASKED: ReadonlySet<DpsStep> = new Set([
  "challenge",
  "register",
  "poll",
  "lookup",
  "refused",
  "throttled",
]);

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
  /** Requests of the device to DPS, those of them that DPS answered with a challenge. */
  asked = 0;
  challenges = 0;
  /** Registrations that ended with a hub for the device. */
  registrations = 0;
  private readonly ids = new Set<string>();
  private readonly boots = new Set<string>();
  /** What the messages of the agent's latest start have in common; "" before the first one. */
  private boot = "";

  constructor(private readonly deviceId: string) {}

  /** Distinct messages. */
  get count(): number {
    return this.ids.size;
  }

  /** The agent starts once more and numbers its messages anew. */
  onStart(): void {
    this.boot = "";
  }

  /** Which of the messages 1 .. `last` of the agent's latest start the hub has never seen. */
  missing(last: number): number[] {
    const missing: number[] = [];
    for (let sequence = 1; sequence <= last; sequence++) {
      if (!this.ids.has(`${this.boot}.${sequence}`)) missing.push(sequence);
    }
    return missing;
  }

  /** Enters one event; those of other devices change nothing. */
  enter(event: HubEvent): void {
    // DPS knows a device by another name at first, and here is only one.
    if (event.type === "dps") return this.onProvisioning(event.step);
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
    const dot = id.lastIndexOf(".");
    const sequence = Number(id.slice(dot + 1));
    this.take(id.slice(0, Math.max(0, dot)));
    const isRepeated = this.ids.has(id);
    if (isRepeated) this.repeated++;
    this.ids.add(id);
    const { at, payload, qos } = event;
    this.latest.push({ at, id, sequence, payload, qos, isRepeated });
    if (this.latest.length > LATEST_MAX) this.latest.shift();
  }

  private onProvisioning(step: DpsStep): void {
    if (ASKED.has(step)) this.asked++;
    if (step === "challenge") this.challenges++;
    if (step === "assigned") this.registrations++;
  }

  /** A boot that was not heard of before is that of the latest start. */
  private take(boot: string): void {
    if (this.boot === "" && !this.boots.has(boot)) this.boot = boot;
    this.boots.add(boot);
  }
}
