/**
 * What a device asks of the provisioning service, and what it gets, whatever the transport.
 * Neighbours: `server/dpsdevice.ts` and `portal.ts` put these on the wire, `desk.ts` answers.
 * Invariant: plain data; an answer is complete but for the transport's own headers.
 */
import type { JsonObject } from "../merge.ts";
import type { Peer } from "../peer.ts";

/** A device's request. */
export interface DeviceRequest {
  verb: "register" | "poll" | "lookup";
  transport: "https" | "mqtt";
  idScope: string;
  registrationId: string;
  /** For `poll`. */
  operationId: string;
  /** Token as sent, `''` for none. */
  authorization: string;
  /** Certificates of the TLS handshake. */
  peer: Peer | undefined;
  body: JsonObject;
}

/** The service's answer. */
export interface DeviceAnswer {
  /** HTTP status. */
  status: number;
  /** `Retry-After`, s; negative for none. */
  retryAfterS: number;
  body: JsonObject;
  /** Error code, 0 for none. */
  code: number;
  /** Operation that the answer is about, `''` for none. */
  operationId: string;
}

/** Takes the answer, once. */
export type DeviceDone = (answer: DeviceAnswer) => void;
