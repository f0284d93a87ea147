// Order: what a publishing client is told to do, as JSON in its first argument.
// Neighbours: `publish.ts` writes it, every client of this folder and of peers obeys it.
// Invariant: the same order makes every client send the same bytes but for identifiers.

/** A hub, an identity at it, and how many messages to send it in which way. */
export interface Order {
  readonly host: string;
  readonly port: number;
  readonly httpsPort: number;
  /** PEM file of the only root to trust. */
  readonly caFile: string;
  readonly hubName: string;
  readonly deviceId: string;
  /** Device key, base64. */
  readonly key: string;
  readonly username: string;
  readonly token: string;
  /** Unacknowledged messages at most. */
  readonly window: number;
  /** Messages acknowledged before measuring begins, and at its end. */
  readonly warm: number;
  readonly messages: number;
  /** ASCII. */
  readonly topic: string;
  readonly payload: string;
  /** Of the agent: an empty folder for its store; "" keeps messages in memory. */
  readonly store: string;
}

/** The order in this process's first argument. */
export function readOrder(): Order {
  return JSON.parse(process.argv[2]!) as Order;
}
