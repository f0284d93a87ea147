// Backlog, tested: 100,000 messages behind live ones, through hubs that take 100 a second.
// Neighbours: `src/core/drain.ts`, `src/core/throttle.ts`; hub, window and queue are played here.
// Invariant: every message is a number in its queue, so that order and loss can be seen.

import { describe, expect, test } from "bun:test";
import { Drain } from "../../src/core/drain.ts";

const WINDOW = 8;
const BACKLOG = 100_000;
const RECONNECT_MS = 3_000;

/** A hub: when it acknowledges a message sent at `nowMs`, or -1: it closes the connection. */
type Hub = (nowMs: number) => number;

/** Takes 100 a second one after the other, as long as it must. */
function patient(): Hub {
  let freeMs = 0;
  return (nowMs) => {
    freeMs = Math.max(freeMs, nowMs) + 10;
    return freeMs + 20;
  };
}

/** Answers at once; closes on whoever sends more than 100 a second for long. */
function strict(): Hub {
  let level = 0;
  let lastMs = 0;
  return (nowMs) => {
    level = Math.max(0, level - ((nowMs - lastMs) * 100) / 1000) + 1;
    lastMs = nowMs;
    if (level > 200) {
      level = 0;
      return -1;
    }
    return nowMs + 20;
  };
}

interface Message {
  readonly priority: number;
  readonly number: number;
  readonly atMs: number;
}

/** A device with a queue for each priority, a window and a drain. */
class Device {
  readonly drain = new Drain({ sharePercent: 20, limit: null });
  readonly heads = Array(10).fill(0);
  readonly tails = Array(10).fill(0);
  readonly arrivals = new Map<string, number>();
  readonly delivered: Message[] = [];
  closes = 0;
  private flight: (Message & { ackMs: number })[] = [];
  private upMs = 0;

  constructor(
    private readonly hub: Hub,
    private readonly isThrottled = true,
  ) {}

  accept(priority: number, nowMs: number): void {
    this.arrivals.set(`${priority}.${this.tails[priority]++}`, nowMs);
  }

  get waiting(): number[] {
    return this.tails.map((tail, priority) => tail - this.heads[priority]);
  }

  step(nowMs: number): void {
    if (nowMs < this.upMs) return;
    const done = this.flight.filter(({ ackMs }) => ackMs <= nowMs);
    this.flight = this.flight.filter(({ ackMs }) => ackMs > nowMs);
    this.delivered.push(...done.map((message) => ({ ...message, atMs: nowMs })));
    while (this.flight.length < WINDOW) {
      const priority = this.drain.next(this.waiting, nowMs);
      if (priority < 0) return;
      const ackMs = this.hub(nowMs);
      if (ackMs < 0) return this.lose(nowMs);
      this.drain.onSent(priority, nowMs);
      this.flight.push({ priority, number: this.heads[priority]++, atMs: nowMs, ackMs });
    }
  }

  /** Longest time from acceptance to acknowledgement. */
  longestMs(priority: number): number {
    const own = this.delivered.filter((message) => message.priority === priority);
    const waits = own.map(({ number, atMs }) => atMs - this.arrivals.get(`${priority}.${number}`)!);
    return waits.reduce((longest, wait) => Math.max(longest, wait), 0);
  }

  countOf(priority: number): number {
    return this.delivered.filter((message) => message.priority === priority).length;
  }

  /** What was in flight waits again, in its place: it was the head of each queue. */
  private lose(nowMs: number): void {
    this.closes++;
    if (this.isThrottled) this.drain.throttle.onClosed(this.flight.length, nowMs);
    for (const { priority } of this.flight) this.heads[priority]--;
    this.flight = [];
    this.upMs = nowMs + RECONNECT_MS;
  }
}

function run(device: Device, seconds: number, onMs: (nowMs: number) => void): void {
  for (let nowMs = 0; nowMs < seconds * 1000; nowMs++) {
    onMs(nowMs);
    device.step(nowMs);
  }
}

function backlog(device: Device): Device {
  for (let message = 0; message < BACKLOG; message++) device.accept(7, 0);
  return device;
}

describe("a hub that takes 100 a second, with 100,000 messages waiting", () => {
  test("a live message a second never waits more than 2 s, and the backlog drains", () => {
    const device = backlog(new Device(patient()));
    run(device, 120, (nowMs) => {
      if (nowMs % 1000 === 137) device.accept(1, nowMs);
    });
    expect(device.countOf(1)).toBe(120);
    expect(device.longestMs(1)).toBeLessThan(2_000);
    expect(device.countOf(7)).toBeGreaterThan(120 * 98);
  });

  test("60 live messages a second still never wait more than 2 s", () => {
    const device = backlog(new Device(patient()));
    run(device, 120, (nowMs) => {
      if (nowMs % 50 < 3) device.accept(1, nowMs);
    });
    expect(device.longestMs(1)).toBeLessThan(2_000);
    expect(device.countOf(7)).toBeGreaterThan(120 * 38);
  });

  test("more live messages than the hub takes leave the backlog its share", () => {
    const device = backlog(new Device(patient()));
    run(device, 60, (nowMs) => {
      if (nowMs % 5 === 0) device.accept(1, nowMs);
    });
    const share = device.countOf(7) / device.delivered.length;
    expect(share).toBeGreaterThan(0.19);
    expect(share).toBeLessThan(0.21);
  });

  test("the whole of it, in order within each priority, nothing left out", () => {
    const device = backlog(new Device(patient()));
    run(device, 1100, (nowMs) => {
      if (nowMs % 2000 === 0) device.accept(nowMs % 3 === 0 ? 0 : 4, nowMs);
    });
    expect(device.waiting).toEqual(Array(10).fill(0));
    for (const priority of [0, 4, 7]) {
      const numbers = device.delivered.filter((message) => message.priority === priority);
      expect(numbers.every(({ number }, at) => number === at)).toBe(true);
    }
    expect(device.countOf(7)).toBe(BACKLOG);
  });
});

describe("a hub that closes on whoever is too fast", () => {
  const minutes = 10;
  const play = (isThrottled: boolean) => {
    const device = backlog(new Device(strict(), isThrottled));
    run(device, minutes * 60, (nowMs) => {
      if (nowMs % 1000 === 0) device.accept(1, nowMs);
    });
    return device;
  };

  test("is slowed down for, not hammered", () => {
    const slow = play(true);
    const fast = play(false);
    expect(fast.closes).toBeGreaterThan(100);
    expect(slow.closes).toBeLessThanOrEqual(2 * minutes);
    expect(slow.delivered.length).toBeGreaterThan(0.6 * 100 * 60 * minutes);
  });

  test("and live messages are there within 2 s, or with the next connection", () => {
    const slow = play(true);
    expect(slow.longestMs(1)).toBeLessThan(2_000 + RECONNECT_MS);
  });
});
