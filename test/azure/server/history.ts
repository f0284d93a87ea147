/**
 * The latest events and those who follow them. Neighbours: `control.ts` streams from here,
 * `serve.ts` feeds it. Invariant: bounded in events and bytes; sequence numbers grow by one, so a
 * follower sees whether it missed some.
 */
import type { HubEvent } from "../model/events.ts";

const EVENTS_MAX = 5_000;
const BYTES_MAX = 8_388_608;
/** What an event takes beside its payload, roughly. */
const EVENT_BYTES = 500;

interface Item {
  sequence: number;
  event: HubEvent;
}

function sizeOf(event: HubEvent): number {
  if (event.type === "telemetry") return EVENT_BYTES + event.payload.length + event.topic.length;
  return event.type === "twin" ? EVENT_BYTES + JSON.stringify(event.patch).length : EVENT_BYTES;
}

function lineOf(sequence: number, event: HubEvent): string {
  return `${JSON.stringify({ sequence, ...event })}\n`;
}

/** One event as a line of JSON with its number. */
export type Follower = (line: string, deviceId: string) => void;

/** Event history of one emulator. */
export class History {
  private items: (Item | undefined)[] = [];
  private first = 0;
  private bytes = 0;
  private sequence = 0;
  private readonly followers = new Set<Follower>();

  /** Number of the newest event, 0 before the first. */
  get last(): number {
    return this.sequence;
  }

  /** Number of followers. */
  get following(): number {
    return this.followers.size;
  }

  add(event: HubEvent): void {
    this.sequence++;
    this.items.push({ sequence: this.sequence, event });
    this.bytes += sizeOf(event);
    while (this.items.length - this.first > EVENTS_MAX || this.bytes > BYTES_MAX) this.drop();
    if (this.followers.size === 0) return;
    const line = lineOf(this.sequence, event);
    for (const follower of this.followers) follower(line, event.deviceId);
  }

  /** Lines of events after number `since`, of one device or (`''`) all. */
  after(since: number, deviceId: string): string[] {
    const lines: string[] = [];
    for (let index = this.first; index < this.items.length; index++) {
      const { sequence, event } = this.items[index]!;
      if (sequence > since && isFor(event.deviceId, deviceId)) lines.push(lineOf(sequence, event));
    }
    return lines;
  }

  /** Follows new events until the returned function is called. */
  follow(follower: Follower): () => void {
    this.followers.add(follower);
    return () => this.followers.delete(follower);
  }

  private drop(): void {
    this.bytes -= sizeOf(this.items[this.first]!.event);
    this.items[this.first] = undefined;
    this.first++;
    if (this.first > EVENTS_MAX) {
      this.items = this.items.slice(this.first);
      this.first = 0;
    }
  }
}

/** Whether an event of `deviceId` concerns a follower of `wanted`; `''` means all. */
export function isFor(deviceId: string, wanted: string): boolean {
  return wanted === "" || deviceId === "" || deviceId === wanted;
}
