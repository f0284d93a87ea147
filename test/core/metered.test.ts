// Metered, tested: 72 hours of a metered link under the connection schedule, with clocks that jump,
// links that fall and alarms that cannot wait.
// Neighbours: `src/core/schedule.ts`; the gateway around it is played here, second by second.
// Invariant: the link is paid for by the minute: what is asserted is minutes, connections, delay.

import { expect, test } from "bun:test";
import { Effects, Verb } from "../../src/core/effects.ts";
import { Schedule, type ScheduleSettings } from "../../src/core/schedule.ts";
import { Prng } from "../../src/kit/prng.ts";

const SETTINGS: ScheduleSettings = { isEnabled: true, overrideThreshold: 1, inactivityS: 60 };
const HOURS = 72;
const EVERY_S = 6 * 3600;
const CONNECT_S = 5;
const RATE = 5;

interface Bill {
  connections: number;
  upS: number;
  delivered: number;
  /** Longest wait of an alarm and of another message, in s of running time. */
  alarmS: number;
  otherS: number;
  left: number;
}

/** A gateway for {@link HOURS}: a message each 10 minutes, an alarm each 7 hours. */
class Gateway {
  readonly bill: Bill = { connections: 0, upS: 0, delivered: 0, alarmS: 0, otherS: 0, left: 0 };
  readonly effects = new Effects();
  readonly schedule = new Schedule(this.effects, SETTINGS);
  readonly queue: { priority: number; atS: number }[] = [];
  isUp = false;
  dialS = 0;
  jumpS = 0;
  nowS = 0;

  constructor(
    private readonly startS: number,
    readonly prng: Prng,
  ) {}

  get nowMs(): number {
    return this.nowS * 1000;
  }

  get wallS(): number {
    return this.startS + this.nowS + this.jumpS;
  }

  run(onSecond: (gateway: Gateway) => void): Bill {
    this.schedule.configure(SETTINGS, false, 0, this.wallS);
    this.answer();
    for (; this.nowS < HOURS * 3600; this.nowS++) {
      onSecond(this);
      if (this.nowS % 600 === 0) this.accept(7);
      if (this.nowS % (7 * 3600) === 3 * 3600) this.accept(0);
      this.step();
    }
    this.bill.left = this.queue.length;
    return this.bill;
  }

  /** The link falls without a word. */
  lose(): void {
    if (!this.isUp) return;
    this.isUp = false;
    this.schedule.onDown(this.hasUrgent, this.nowMs, this.wallS);
  }

  private accept(priority: number): void {
    this.queue.push({ priority, atS: this.nowS });
    this.queue.sort((a, b) => a.priority - b.priority);
    this.schedule.onMessage(priority, this.nowMs);
  }

  private get hasUrgent(): boolean {
    return this.queue.some(({ priority }) => this.schedule.isUrgent(priority));
  }

  private step(): void {
    const { schedule, nowMs } = this;
    if (nowMs >= schedule.deadlineMs) schedule.onDeadline(this.queue.length, nowMs, this.wallS);
    this.answer();
    if (!this.isUp && schedule.wants) this.dial();
    if (this.isUp) this.talk();
    if (this.isUp && !schedule.wants) {
      expect(this.queue).toEqual([]);
      this.isUp = false;
      schedule.onDown(this.hasUrgent, nowMs, this.wallS);
      this.answer();
    }
  }

  private dial(): void {
    if (++this.dialS < CONNECT_S) return;
    this.dialS = 0;
    this.isUp = true;
    this.bill.connections++;
    this.schedule.onUp(this.nowMs);
  }

  private talk(): void {
    const { bill } = this;
    bill.upS++;
    for (const { priority, atS } of this.queue.splice(0, RATE)) {
      const waitS = this.nowS - atS;
      bill.delivered++;
      if (priority === 0) bill.alarmS = Math.max(bill.alarmS, waitS);
      else bill.otherS = Math.max(bill.otherS, waitS);
      this.schedule.onActivity(this.nowMs);
    }
  }

  /** The calendar: each six hours of UTC. */
  private answer(): void {
    const { effects, wallS } = this;
    for (let slot = 0; slot < effects.count; slot++) {
      if (effects.verbs[slot] !== Verb.PLAN) continue;
      const nextS = (Math.floor(wallS / EVERY_S) + 1) * EVERY_S;
      this.schedule.onPlanned(nextS, this.nowMs, wallS);
    }
    effects.count = 0;
  }
}

/** 2027-01-15T08:00:00Z: four hours before an occurrence. */
const START_S = Date.UTC(2027, 0, 15, 8) / 1000;

test("72 hours: 12 windows and 10 alarms, a few minutes of link a day, all delivered", () => {
  const bill = new Gateway(START_S, new Prng(1)).run(() => {});
  // Windows at 4 h, 10 h, 16 h … 70 h; alarms at 3 h, 10 h, 17 h … 66 h: two meet a window.
  expect(bill.connections).toBe(12 + 10 - 2);
  expect(bill.delivered + bill.left).toBe(HOURS * 6 + 10);
  expect(bill.alarmS).toBeLessThanOrEqual(CONNECT_S);
  expect(bill.otherS).toBeLessThanOrEqual(EVERY_S + CONNECT_S + 600);
  expect(bill.upS / 60).toBeLessThan(20 * 1.5);
  expect(bill.left).toBeLessThanOrEqual(36);
});

test("72 hours with the clock set to and fro: every window is kept or made up for", () => {
  const bill = new Gateway(START_S, new Prng(2)).run((gateway) => {
    if (gateway.nowS % 3600 === 1800) gateway.jumpS += gateway.prng.between(-1200, 1200);
  });
  expect(bill.alarmS).toBeLessThanOrEqual(CONNECT_S);
  // Between two windows the clock is set seven times at most.
  expect(bill.otherS).toBeLessThanOrEqual(EVERY_S + 7 * 1200 + 600);
  expect(bill.connections).toBeGreaterThanOrEqual(18);
  expect(bill.connections).toBeLessThanOrEqual(30);
});

test("72 hours from 1970, with the time found after five: windows follow the true time", () => {
  const bill = new Gateway(17, new Prng(3)).run((gateway) => {
    if (gateway.nowS === 5 * 3600) gateway.jumpS = START_S;
  });
  // Known at 13:00:17, so windows at 18:00 and each six hours: 11, two of them met by an alarm.
  expect(bill.connections).toBe(11 + 10 - 2);
  expect(bill.otherS).toBeLessThanOrEqual(5 * 3600 + EVERY_S + 600);
});

test("72 hours with a link that falls every 20 seconds: all is delivered all the same", () => {
  const bill = new Gateway(START_S, new Prng(4)).run((gateway) => {
    if (gateway.nowS % 20 === 0 && gateway.prng.chance(0.7)) gateway.lose();
  });
  expect(bill.delivered + bill.left).toBe(HOURS * 6 + 10);
  expect(bill.left).toBeLessThanOrEqual(36);
  expect(bill.alarmS).toBeLessThanOrEqual(10 * CONNECT_S);
});
