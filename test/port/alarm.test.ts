// Tests of src/port/alarm.ts.
// Neighbours: the turn arms it after every step.
// Invariant: no assertion on how late it rings, only on never too early, how often and whether.

import { expect, test } from "bun:test";
import { TimerAlarm } from "../../src/port/alarm.ts";

/** An alarm with the times of its rings. */
class Bell {
  readonly rings: number[] = [];
  onRing: () => void = () => {};
  private resolve: () => void = () => {};
  readonly alarm = new TimerAlarm(() => {
    this.rings.push(performance.now());
    this.onRing();
    this.resolve();
  });

  async ring(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.resolve = resolve;
    await promise;
  }
}

test("rings once, not before its time", async () => {
  const bell = new Bell();
  const atMs = performance.now() + 12;
  bell.alarm.arm(atMs);
  await bell.ring();
  expect(bell.rings[0]).toBeGreaterThanOrEqual(atMs);
  await Bun.sleep(30);
  expect(bell.rings).toHaveLength(1);
});

test("a time in the past rings soon, but not from inside arm", async () => {
  const bell = new Bell();
  bell.alarm.arm(performance.now() - 1000);
  expect(bell.rings).toHaveLength(0);
  await bell.ring();
  expect(bell.rings).toHaveLength(1);
});

test("an earlier wish replaces a later one", async () => {
  const bell = new Bell();
  bell.alarm.arm(performance.now() + 3_600_000);
  bell.alarm.arm(performance.now() + 5);
  await bell.ring();
  await Bun.sleep(20);
  expect(bell.rings).toHaveLength(1);
});

test("a later wish replaces an earlier one, however often it moves", async () => {
  const bell = new Bell();
  const nowMs = performance.now();
  for (const delayMs of [4, 8, 16, 32]) bell.alarm.arm(nowMs + delayMs);
  await bell.ring();
  expect(bell.rings[0]).toBeGreaterThanOrEqual(nowMs + 32);
  await Bun.sleep(10);
  expect(bell.rings).toHaveLength(1);
});

test("Infinity means never, also after a wish", async () => {
  const bell = new Bell();
  bell.alarm.arm(performance.now() + 5);
  bell.alarm.arm(Number.POSITIVE_INFINITY);
  await Bun.sleep(30);
  expect(bell.rings).toHaveLength(0);
  bell.alarm.arm(performance.now() + 5);
  await bell.ring();
  expect(bell.rings).toHaveLength(1);
});

test("a wait longer than a timer can be does not ring at once", async () => {
  const bell = new Bell();
  bell.alarm.arm(performance.now() + 2 ** 33);
  await Bun.sleep(30);
  expect(bell.rings).toHaveLength(0);
  bell.alarm.arm(performance.now() + 1);
  await bell.ring();
  expect(bell.rings).toHaveLength(1);
  bell.alarm.arm(Number.POSITIVE_INFINITY);
});

test("can be armed from inside the ring", async () => {
  const bell = new Bell();
  const { promise: third, resolve } = Promise.withResolvers<void>();
  bell.onRing = () => {
    if (bell.rings.length < 3) bell.alarm.arm(performance.now() + 2);
    else resolve();
  };
  bell.alarm.arm(performance.now() + 2);
  await third;
  expect(bell.rings).toHaveLength(3);
});
