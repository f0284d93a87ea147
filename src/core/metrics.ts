// Metrics: what `status` knows, as OpenMetrics, every so often.
// Neighbours: `status` gives the figures, `exposition` the form; the world keeps the text for
// whoever collects it.
// Invariant: names and meanings are a contract; a figure that the status does not have is left out.

import { METRICS_BYTES_MAX } from "../limits.ts";
import type { Counters } from "./counters.ts";
import { Exposition } from "./exposition.ts";
import type { QueueStatus } from "./queue.ts";
import { AgentState } from "./state.ts";
import type { Status } from "./status.ts";

const NEVER = Number.POSITIVE_INFINITY;

/** Name after `azimuth_`, unit and meaning of a counter. */
type Row = readonly [name: string, unit: string, help: string];

const COUNTERS: { readonly [key in keyof Counters]: Row } = {
  attempts: ["connect_attempts", "", "Attempts to connect to the hub."],
  connects: ["connects", "", "Connections that the hub accepted."],
  stray: ["stray_events", "", "Events that no state could use."],
  packetsIn: ["received_packets", "", "MQTT packets from the hub."],
  bytesIn: ["received_bytes", "bytes", "Bytes from the hub, below TLS."],
  bytesOut: ["sent_bytes", "bytes", "Bytes to the hub, below TLS."],
  desired: ["desired_changes", "", "Desired changes applied."],
  desiredStale: ["desired_stale", "", "Desired changes already known by their version."],
  desiredGaps: ["desired_gaps", "", "Desired changes that came with a gap before them."],
  unhandled: ["unhandled_messages", "", "Messages and method calls that nothing here handles."],
  tokens: ["tokens", "", "Tokens signed."],
};

/** Of the queue as a whole. */
const QUEUE_EVER: { readonly [key in keyof QueueStatus]?: Row } = {
  accepted: ["messages_accepted", "", "Messages taken over for delivery."],
  acknowledged: ["messages_acknowledged", "", "Messages that the hub has acknowledged."],
  refused: ["messages_refused", "", "Messages not taken over."],
  dropped: ["messages_dropped", "", "Messages taken over and given up."],
  redelivered: ["messages_redelivered", "", "Messages sent again after a lost connection."],
};

/** Makes the text when it is due. */
export class Metrics {
  deadlineMs = NEVER;
  private intervalMs = 0;
  private readonly exposition = new Exposition(METRICS_BYTES_MAX);

  /** A text each `intervalMs` from now on, the first one at once; 0: none. */
  configure(intervalMs: number, nowMs: number): void {
    if (intervalMs === this.intervalMs) return;
    this.intervalMs = intervalMs;
    this.deadlineMs = intervalMs === 0 ? NEVER : nowMs;
  }

  /** True when a text is due; the next one then is an interval away. */
  isDue(nowMs: number): boolean {
    if (nowMs < this.deadlineMs) return false;
    this.deadlineMs = nowMs + this.intervalMs;
    return true;
  }

  /** All metrics, at most METRICS_BYTES_MAX bytes. */
  text(status: Status): string {
    const { exposition } = this;
    writeState(exposition, status);
    writeQueue(exposition, status);
    for (const [key, row] of Object.entries(COUNTERS)) {
      writeCounter(exposition, row, status.counters[key]);
    }
    writeLamps(exposition, status);
    return exposition.finish();
  }
}

function writeState(exposition: Exposition, status: Status): void {
  const { version, endpoint, uptimeS, connected, nextAttemptMs, lastDiagnosis, twin } = status;
  exposition.family("info", "azimuth", "", "Version and identity.");
  exposition.sample(
    1,
    ["version", version],
    ["device_id", endpoint.deviceId],
    ["hub", endpoint.hubName],
  );
  gauge(exposition, "uptime_seconds", "seconds", "Time since the process started.", uptimeS);
  gauge(exposition, "connected", "", "1 while a connection to the hub stands.", Number(connected));
  exposition.family("stateset", "azimuth_state", "", "What the agent is doing.");
  for (const name of Object.keys(AgentState).filter((key) => Number.isNaN(Number(key)))) {
    const state = name.toLowerCase();
    exposition.sample(Number(state === status.state), ["azimuth_state", state]);
  }
  const failing = Number(lastDiagnosis?.over === false);
  gauge(exposition, "failing", "", "1 while the last diagnosis is not over.", failing);
  const nextS = nextAttemptMs === null ? Number.NaN : nextAttemptMs / 1000;
  gauge(exposition, "next_attempt_seconds", "seconds", "Until the next attempt, if any.", nextS);
  const desired = twin.desiredVersion ?? Number.NaN;
  gauge(exposition, "desired_version", "", "Version of the desired properties, if known.", desired);
}

function writeQueue(exposition: Exposition, { queue }: Status): void {
  const { waiting, inFlight, bytes, priorities } = queue;
  exposition.family("gauge", "azimuth_queue_messages", "", "Messages not yet acknowledged.");
  exposition.sample(waiting, ["state", "waiting"]);
  exposition.sample(inFlight, ["state", "in-flight"]);
  gauge(exposition, "queue_bytes", "bytes", "What they need.", bytes);
  const troubled = Number(queue.trouble !== null);
  gauge(exposition, "store_failing", "", "1 while the store does not take messages.", troubled);
  for (const [key, row] of Object.entries(QUEUE_EVER)) {
    writeCounter(exposition, row, queue[key as "accepted"]);
  }
  if (priorities.length === 0) return;
  exposition.family("gauge", "azimuth_queued_messages", "", "Not yet acknowledged, by priority.");
  for (const { priority, queued } of priorities) {
    exposition.sample(queued, ["priority", String(priority)]);
  }
  const help = "What became of messages, by priority.";
  exposition.family("counter", "azimuth_messages", "", help);
  for (const { priority, queued: _, ...fates } of priorities) {
    for (const [fate, count] of Object.entries(fates)) {
      exposition.sample(count, ["priority", String(priority)], ["fate", snake(fate)]);
    }
  }
}

/** `refusedFull` -> `refused_full`. */
function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function writeLamps(exposition: Exposition, { leds }: Status): void {
  if (leds.length === 0) return;
  exposition.family("gauge", "azimuth_led_on", "", "1 while the lamp is lit.");
  for (const { name, on } of leds) exposition.sample(Number(on), ["led", name]);
  exposition.family("gauge", "azimuth_led_fault", "", "1 while the lamp's pin cannot be driven.");
  for (const { name, fault } of leds) exposition.sample(Number(fault !== null), ["led", name]);
}

function writeCounter(exposition: Exposition, row: Row, value = Number.NaN): void {
  const [name, unit, help] = row;
  exposition.family("counter", `azimuth_${name}`, unit, help);
  exposition.sample(value);
}

function gauge(
  exposition: Exposition,
  name: string,
  unit: string,
  help: string,
  value: number,
): void {
  exposition.family("gauge", `azimuth_${name}`, unit, help);
  exposition.sample(value);
}
