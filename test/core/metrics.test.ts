// Metrics, tested: the figures of a rig as a strict reader sees them, and when a text is due.
// Neighbours: `src/core/metrics.ts`, `src/core/status.ts`; `openmetrics.ts` is the reader.
// Invariant: names are written out here, for dashboards outside rely on them.

import { describe, expect, test } from "bun:test";
import { AgentState } from "../../src/core/agent.ts";
import { Counters } from "../../src/core/counters.ts";
import { Metrics } from "../../src/core/metrics.ts";
import { statusOf } from "../../src/core/status.ts";
import { VERSION } from "../../src/kit/version.ts";
import { KEY, lamp, puback, Rig, SIGNATURE, settings } from "../rig.ts";
import { type Family, read } from "./openmetrics.ts";

function families(rig: Rig): Map<string, Family> {
  return read(new Metrics().text(statusOf(rig.turn.agent)));
}

function figure(from: Map<string, Family>, name: string): number | undefined {
  return from.get(name)?.samples[0]?.value;
}

function online(): Rig {
  const rig = new Rig(settings({ lamps: [lamp("LED1"), lamp("LED2")] }));
  rig.online({ LED1: true }, 7);
  rig.accept("a", "b");
  return rig;
}

test("an agent that is online", () => {
  const seen = families(online());
  expect(seen.get("azimuth")!.samples[0]!.labels).toEqual({
    version: VERSION,
    device_id: "dev1",
    hub: "hub.example",
  });
  const names = ["connected", "failing", "connects", "messages_accepted", "desired_version"];
  const values = names.map((name) => [name, figure(seen, `azimuth_${name}`)]);
  expect(Object.fromEntries(values)).toEqual({
    connected: 1,
    failing: 0,
    connects: 1,
    messages_accepted: 2,
    desired_version: 7,
  });
  const states = seen.get("azimuth_state")!.samples;
  const isOn = ({ value }: { value: number }) => value === 1;
  expect(states.filter(isOn).map(({ labels }) => labels.azimuth_state)).toEqual(["online"]);
  expect(states.length).toBe(Object.keys(AgentState).length / 2);
  expect(
    seen.get("azimuth_queue_messages")!.samples.map(({ labels, value }) => [labels.state, value]),
  ).toEqual([
    ["waiting", 0],
    ["in-flight", 2],
  ]);
  expect(
    seen.get("azimuth_led_on")!.samples.map(({ labels, value }) => [labels.led, value]),
  ).toEqual([
    ["LED1", 1],
    ["LED2", 0],
  ]);
  expect(seen.get("azimuth_received_bytes")!.unit).toBe("bytes");
});

test("an agent that failed: no sample where there is nothing to say", () => {
  const rig = online();
  rig.pass(25_000);
  const seen = families(rig);
  expect(figure(seen, "azimuth_failing")).toBe(1);
  expect(figure(seen, "azimuth_uptime_seconds")).toBe(25);
  const nextMs = rig.turn.agent.deadlineMs - rig.nowMs;
  expect(figure(seen, "azimuth_next_attempt_seconds")).toBe(Math.round(nextMs) / 1000);
  expect(families(online()).get("azimuth_next_attempt_seconds")!.samples).toEqual([]);
});

test("messages by priority, and by what became of them", () => {
  const rig = online();
  rig.offer("urgent", 0);
  rig.offer("x".repeat(262_145), 0);
  rig.turn.onWritable();
  rig.settle();
  rig.turn.onData(puback(2));
  const seen = families(rig);
  const samples = (name: string) =>
    seen.get(name)!.samples.map(({ labels, value }) => {
      return [labels.priority, labels.fate, value].filter((one) => one !== undefined).join(" ");
    });
  expect(samples("azimuth_queued_messages")).toEqual(["0 1", "7 1"]);
  const fates = samples("azimuth_messages").filter((line) => !line.endsWith(" 0"));
  expect(fates).toEqual(["0 accepted 1", "0 refused_long 1", "7 accepted 2", "7 acknowledged 1"]);
  expect(figure(seen, "azimuth_messages_refused")).toBe(1);
  expect(figure(seen, "azimuth_messages_dropped")).toBe(0);
  expect(figure(seen, "azimuth_queue_bytes")).toBeGreaterThan(0);
  expect(figure(seen, "azimuth_store_failing")).toBe(0);
});

test("every counter has its family, and every family its help", () => {
  const rig = online();
  const { counters } = rig.turn.agent.machines;
  const keys = Object.keys(new Counters()) as (keyof Counters)[];
  keys.forEach((key, at) => {
    counters[key] = 1000 + at;
  });
  const seen = families(rig);
  const counted = [...seen.values()].filter(({ type }) => type === "counter");
  const values = counted.map(({ samples }) => samples[0]!.value);
  for (const [at] of keys.entries()) expect(values).toContain(1000 + at);
  for (const { help } of seen.values()) expect(help).toEndWith(".");
});

test("no secret, and a small text", () => {
  const rig = online();
  const text = new Metrics().text(statusOf(rig.turn.agent));
  expect(text).not.toContain(SIGNATURE);
  expect(text).not.toContain(KEY);
  expect(text.length).toBeLessThan(8192);
});

describe("due", () => {
  test("never, unless asked for", () => {
    const metrics = new Metrics();
    expect(metrics.deadlineMs).toBe(Number.POSITIVE_INFINITY);
    expect(metrics.isDue(1e12)).toBe(false);
  });

  test("at once and then each interval; a stall makes one text late, not many", () => {
    const metrics = new Metrics();
    metrics.configure(15_000, 100);
    const moments = [100, 101, 15_099, 15_100, 90_000, 90_001, 105_000].filter((nowMs) =>
      metrics.isDue(nowMs),
    );
    expect(moments).toEqual([100, 15_100, 90_000, 105_000]);
  });

  test("with a new interval at once, with the same one as before, without one never", () => {
    const metrics = new Metrics();
    metrics.configure(15_000, 0);
    metrics.isDue(0);
    metrics.configure(15_000, 5_000);
    expect(metrics.deadlineMs).toBe(15_000);
    metrics.configure(30_000, 5_000);
    expect(metrics.deadlineMs).toBe(5_000);
    metrics.configure(0, 5_000);
    expect(metrics.isDue(1e12)).toBe(false);
  });
});
