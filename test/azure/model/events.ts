/**
 * What a hub tells about itself: one record for each thing that happened, with the reason that the
 * real hub keeps to itself. Neighbours: every part emits them; `server/history.ts` keeps a few.
 * Invariant: plain data, safe to keep; `at` is the service's time, never a secret inside.
 */
import type { HubCode } from "./errors.ts";

/** Fields of every event. */
export interface EventBase {
  /** ISO 8601 UTC. */
  at: string;
  /** `''` when no device is known or all are meant. */
  deviceId: string;
}

/** Properties of a message; a key without `=` has the value null. */
export type Properties = Record<string, string | null>;

/** Decoded property bag. */
export interface Bag {
  app: Properties;
  /** Named as in `bag.ts`: messageId, contentType …; unknown `$.` keys as they came. */
  system: Properties;
}

/** A device-to-cloud message that the hub took. */
export interface TelemetryEvent extends EventBase {
  type: "telemetry";
  topic: string;
  properties: Bag;
  /** Text when the body is UTF-8, else base64. */
  payload: string;
  encoding: "utf8" | "base64";
  bytes: number;
  qos: number;
  dup: boolean;
  retain: boolean;
  /** 0 for QoS 0. */
  packetId: number;
}

/** A connection that was accepted. */
export interface ConnectEvent extends EventBase {
  type: "connect";
  remote: string;
  sessionPresent: boolean;
  clean: boolean;
  /** Seconds as asked for. */
  keepAlive: number;
  apiVersion: string;
  clientType: string;
  modelId: string;
}

/** A CONNECT that was refused. */
export interface RefuseEvent extends EventBase {
  type: "refuse";
  remote: string;
  /** CONNACK return code. */
  returnCode: number;
  code: HubCode;
  codeName: string;
  reason: string;
}

/** The end of a connection, accepted or not. */
export interface CloseEvent extends EventBase {
  type: "close";
  remote: string;
  by: "hub" | "device";
  code: HubCode;
  codeName: string;
  reason: string;
}

/** A twin that was read or changed, or a change that was refused. */
export interface TwinEvent extends EventBase {
  type: "twin";
  part: "get" | "desired" | "reported" | "tags";
  by: "device" | "service";
  status: number;
  version: number;
  patch: unknown;
  /** Desired only: went to the device at once. */
  pushed: boolean;
  reason: string;
}

export type MailState =
  | "queued"
  | "delivered"
  | "completed"
  | "expired"
  | "rejected"
  | "exceeded"
  | "requeued"
  | "purged";

/** One step in the life of a cloud-to-device message. */
export interface MailEvent extends EventBase {
  type: "c2d";
  state: MailState;
  messageId: string;
  sequence: number;
  deliveries: number;
}

/** One step of a direct method. */
export interface MethodEvent extends EventBase {
  type: "method";
  state: "waiting" | "sent" | "answered" | "timeout" | "refused" | "late";
  name: string;
  requestId: string;
  /** Status of the device's answer, 0 before it. */
  status: number;
  payload: unknown;
  reason: string;
}

/** A subscription that changed. */
export interface SubscribeEvent extends EventBase {
  type: "subscribe";
  filter: string;
  /** Granted QoS, 128 for refused, -1 for an end of subscription. */
  granted: number;
}

/** A registry change. */
export interface DeviceEvent extends EventBase {
  type: "device";
  change: "created" | "updated" | "deleted";
  status: string;
}

/** A fault that was set, took effect, or ended. */
export interface FaultEvent extends EventBase {
  type: "fault";
  state: "set" | "fired" | "cleared";
  id: number;
  kind: string;
}

export type DpsStep =
  | "enrolled"
  | "changed"
  | "deleted"
  | "connect"
  | "challenge"
  | "register"
  | "poll"
  | "lookup"
  | "assigning"
  | "assigned"
  | "failed"
  | "disabled"
  | "refused"
  | "throttled";

/** One step of a registration, or a change of an enrollment; the device id may still be unknown. */
export interface DpsEvent extends EventBase {
  type: "dps";
  step: DpsStep;
  /** Or the id of a group. */
  registrationId: string;
  /** Error code, 0 for none. */
  code: number;
  reason: string;
}

export type HubEvent =
  | TelemetryEvent
  | ConnectEvent
  | RefuseEvent
  | CloseEvent
  | TwinEvent
  | MailEvent
  | MethodEvent
  | SubscribeEvent
  | DeviceEvent
  | FaultEvent
  | DpsEvent;
