// Facts: all that the demonstration can see at one moment, and nothing that it merely did.
// Neighbours: `world` gathers them; `story` judges them; `screen` shows them.
// Invariant: each fact has one witness: the lamp's file, the hub's events and twin, or the agent's
// status.

import type { Status } from "../../src/core/status.ts";
import type { Light } from "./lamp.ts";
import type { Ledger } from "./ledger.ts";

/** A device twin as the hub's service side shows it. */
export interface Twin {
  readonly desired: Readonly<Record<string, unknown>> & { readonly $version: number };
  readonly reported: Readonly<Record<string, unknown>>;
}

/** What is reported of a lamp. */
export interface Reported {
  readonly value: unknown;
  readonly ac: number;
  readonly av: number;
  readonly ad?: string;
}

/** How the device of a story proves who it is. */
export type Endpoint = "tpm" | "sas";

/** A TPM as `azimuth tpm` shows it before the agent's first start. */
export interface Chip {
  /** Manufacturer and model. */
  readonly maker: string;
  /** Family and revision, as `2.0 revision 1.59`. */
  readonly specification: string;
  /** Persistent keys and other objects in it. */
  readonly keyCount: number;
  /** Base64. */
  readonly endorsementKey: string;
}

/** An enrollment as DPS's service side shows it. */
export interface Enrollment {
  readonly registrationId: string;
  readonly deviceId: string;
  readonly endorsementKey: string;
}

/** Everything there is to see. */
export interface Facts {
  readonly endpoint: Endpoint;
  readonly deviceId: string;
  /** Port of local Azure's MQTT side, 0 before it is ready. */
  readonly hubPort: number;
  /** ID scope of local Azure's DPS, "" before it is ready. */
  readonly idScope: string;
  /** Undefined before there is one; so is the enrollment. */
  readonly chip: Chip | undefined;
  readonly enrollment: Enrollment | undefined;
  /** The device's own entry at the hub says that it may connect. */
  readonly isEnabled: boolean;
  readonly ledger: Ledger;
  readonly twin: Twin | undefined;
  /** Undefined while nobody answers at the agent's control socket. */
  readonly agent: Status | undefined;
  readonly lamp: Light;
  readonly isPlugged: boolean;
  /** Connections through the cable that began as TLS does, and others. */
  readonly tlsCount: number;
  readonly otherCount: number;
  /** One line about a process that ended and should not have; "" while all live. */
  readonly death: string;
}

/** What is desired of the lamp, as JSON; "" for nothing. */
export function desiredText(twin: Twin | undefined): string {
  const value = twin?.desired.LED1;
  return value === undefined ? "" : JSON.stringify(value);
}

/** What is reported of the lamp; undefined for nothing. */
export function reportedOf(twin: Twin | undefined): Reported | undefined {
  const value = twin?.reported.LED1;
  return typeof value === "object" && value !== null ? (value as Reported) : undefined;
}

/** The reported property without its version, as JSON. */
export function reportedText(reported: Reported | undefined): string {
  if (reported === undefined) return "nothing";
  const { value, ac, ad } = reported;
  return JSON.stringify({ value, ac, ad });
}
