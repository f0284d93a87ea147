/**
 * Everything about a hub that may be chosen, with the figures of the real service as defaults.
 * Neighbours: `hub.ts` completes what it is given; the command line sets a few.
 * Invariant: after `complete` every value is present; lists of choices are closed.
 */

import { completeDps, type DpsOptions } from "./dps/options.ts";

/** What happens to a SUBSCRIBE whose filter is not one of the hub's four. */
export type UnknownFilter = "close" | "refuse" | "grant";

/** Bounds of the service, from the quotas page unless said otherwise. */
export interface HubLimits {
  /** Largest remaining length of an inbound packet, bytes. */
  packetBytesMax: number;
  /** Messages that wait for one device. */
  mailboxMax: number;
  /** Largest cloud-to-device message, bytes. */
  c2dBytesMax: number;
  /** Default life of a cloud-to-device message, s. */
  c2dLifeS: number;
  /** Longest life that a message may ask for, s. */
  c2dLifeMaxS: number;
  /** Time in which a delivered message must be acknowledged before it is queued again, s. */
  lockS: number;
  /** Deliveries of one message before it is given up. */
  deliveriesMax: number;
  /** Subscriptions of one session. */
  subscriptionsMax: number;
  /** Time from TLS to CONNECT, s. */
  connectWaitS: number;
  /** Longest keep-alive that counts, s; 0 in CONNECT means this one. */
  keepAliveMaxS: number;
  /** Largest method payload in either direction, bytes. */
  methodBytesMax: number;
  /** Direct methods that wait for one device. */
  methodsMax: number;
}

/** All settings of one hub. */
export interface HubOptions {
  /** Host name of the hub, as in connection strings, user names and tokens. */
  name: string;
  /** Shared access policies: name to key (base64). Rights follow the well-known names. */
  keys: Readonly<Record<string, string>>;
  /** Life of a connection after its token's expiry, s. */
  graceS: number;
  /** Allowance for clocks when a token is checked, s. */
  skewS: number;
  unknownFilter: UnknownFilter;
  /** Close on a PUBACK that is out of delivery order (MQTT-4.6.0-2). */
  strictAckOrder: boolean;
  /** Write `$.` raw instead of `%24.` in property bags sent to devices. */
  rawDollar: boolean;
  /** Sustained device-to-cloud messages a second before 429002 closes; 0 for no bound. */
  overloadPerS: number;
  limits: HubLimits;
  dps: DpsOptions;
}

/** What a caller must and may give. */
export type HubSetup = { name: string } & Partial<Omit<HubOptions, "name" | "limits" | "dps">> & {
    limits?: Partial<HubLimits>;
    dps?: Partial<DpsOptions>;
  };

const LIMITS: HubLimits = {
  packetBytesMax: 262_144,
  mailboxMax: 50,
  c2dBytesMax: 65_536,
  c2dLifeS: 3600,
  c2dLifeMaxS: 172_800,
  lockS: 60,
  deliveriesMax: 10,
  subscriptionsMax: 5,
  connectWaitS: 60,
  keepAliveMaxS: 1177,
  methodBytesMax: 131_072,
  methodsMax: 10,
};

/** Fills in the real service's figures for what is not given. */
export function complete(setup: HubSetup): HubOptions {
  return {
    keys: {},
    graceS: 300,
    skewS: 300,
    unknownFilter: "close",
    strictAckOrder: true,
    rawDollar: false,
    overloadPerS: 0,
    ...setup,
    limits: { ...LIMITS, ...setup.limits },
    dps: completeDps(setup.dps),
  };
}
