/**
 * Events as lines for people: the reason log. Neighbours: `serve.ts` prints them
 * on stderr. Invariant: one event, one line; payloads are shortened, control
 * characters made visible.
 */
import type { HubEvent } from "../model/events.ts";

const TEXT_CHARS_MAX = 120;

function short(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  const cut = text.length > TEXT_CHARS_MAX ? `${text.slice(0, TEXT_CHARS_MAX)}…` : text;
  return cut.replace(/[\u0000-\u001f\u007f]/g, (char) => JSON.stringify(char).slice(1, -1));
}

function bagText(properties: Record<string, unknown>): string {
  const pairs = Object.entries(properties).map(([key, value]) => `${key}=${value ?? ""}`);
  return pairs.length === 0 ? "" : ` {${pairs.join(", ")}}`;
}

function detail(event: HubEvent): string {
  switch (event.type) {
    case "telemetry": {
      const bag = bagText({ ...event.properties.system, ...event.properties.app });
      return `${event.bytes} B qos ${event.qos}${event.dup ? " dup" : ""}${bag} ${event.payload}`;
    }
    case "connect": {
      const session = event.clean ? "clean session" : event.sessionPresent ? "stored" : "new";
      return `from ${event.remote}, session ${session}, keep-alive ${event.keepAlive} s`;
    }
    case "refuse":
      return `CONNACK ${event.returnCode}, ${event.code} ${event.codeName}: ${event.reason}`;
    case "close":
      return `by ${event.by}, ${event.code} ${event.codeName}: ${event.reason}`;
    case "twin": {
      const what = `${event.part} by ${event.by} ${event.status} $version ${event.version}`;
      const pushed = event.part === "desired" ? (event.pushed ? ", pushed" : ", not pushed") : "";
      return `${what}${pushed} ${event.reason || (event.patch ? JSON.stringify(event.patch) : "")}`;
    }
    case "c2d":
      return `${event.messageId} ${event.state}, deliveries ${event.deliveries}`;
    case "method":
      return `${event.name} #${event.requestId} ${event.state} ${event.status || event.reason}`;
    case "subscribe":
      return event.granted < 0 ? `end of ${event.filter}` : `${event.filter} → ${event.granted}`;
    case "device":
      return `${event.change}, ${event.status}`;
    case "dps": {
      const code = event.code === 0 ? "" : ` ${event.code}`;
      return `${event.registrationId} ${event.step}${code}: ${event.reason}`;
    }
    case "fault":
      return `#${event.id} ${event.kind} ${event.state}`;
  }
}

/** `time type device detail` */
export function eventLine(event: HubEvent): string {
  const id = event.deviceId === "" ? "-" : short(event.deviceId);
  return `${event.at} ${event.type} ${id} ${short(detail(event)).trimEnd()}`;
}
