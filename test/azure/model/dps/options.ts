/**
 * Everything about the provisioning service that may be chosen, with the figures of the real one
 * as defaults. Neighbours: the hub's options hold these; the command line sets a few.
 * Invariant: after `completeDps` every value is present.
 */

/** All settings of one service. */
export interface DpsOptions {
  /** Host name that services put into their tokens. */
  name: string;
  /** Id scope, compared without regard to case. */
  idScope: string;
  /** Shared access policies: name to key (base64). */
  keys: Readonly<Record<string, string>>;
  /** Host names of hubs linked beside the hub itself; the same model answers to them. */
  moreHubs: readonly string[];
  /** `Retry-After` of an answer that says "assigning", s. */
  retryAfterS: number;
  /** Time that an assignment takes, ms. */
  assignMs: number;
  /** Registrations of all devices together in a minute, 0 for no bound. */
  registrationsPerMinute: number;
  /** Polls of one device in ten seconds, 0 for no bound. */
  pollsPer10S: number;
}

/** Fills in what is not given. */
export function completeDps(setup: Partial<DpsOptions> = {}): DpsOptions {
  return {
    name: "global.azure-devices-provisioning.net",
    idScope: "0ne00000000",
    keys: {},
    moreHubs: [],
    retryAfterS: 3,
    assignMs: 500,
    registrationsPerMinute: 1000,
    pollsPer10S: 5,
    ...setup,
  };
}
