/**
 * What the hub remembers of a device between connections: its subscriptions and packet
 * identifiers. Neighbours: `subscription.ts` changes it, `mailbox.ts` and `twins.ts` ask it.
 * Invariant: filters are the hub's closed list; a QoS is 0, 1 or absent (-1).
 */
import type { JsonObject } from "./merge.ts";

/** The topic filters that a device may subscribe to. */
export enum Filter {
  Mail = 0,
  TwinAnswer = 1,
  Desired = 2,
  Method = 3,
}

/** Every filter. */
export const FILTERS: readonly Filter[] = [
  Filter.Mail,
  Filter.TwinAnswer,
  Filter.Desired,
  Filter.Method,
];

/** Text of a filter for one device; the device id is never encoded. */
export function filterText(filter: Filter, deviceId: string): string {
  switch (filter) {
    case Filter.Mail:
      return `devices/${deviceId}/messages/devicebound/#`;
    case Filter.TwinAnswer:
      return "$iothub/twin/res/#";
    case Filter.Desired:
      return "$iothub/twin/PATCH/properties/desired/#";
    case Filter.Method:
      return "$iothub/methods/POST/#";
  }
}

/** Subscriptions of one device; stored when the connection asked for clean session 0. */
export class Session {
  /** Granted QoS by filter, -1 for none. */
  private readonly granted: number[] = [-1, -1, -1, -1];
  /** Filters off the list that were granted all the same (option). */
  readonly others = new Set<string>();
  private identifier = 0;

  constructor(readonly isClean: boolean) {}

  /** Granted QoS, -1 when not subscribed. */
  qos(filter: Filter): number {
    return this.granted[filter]!;
  }

  grant(filter: Filter, qos: number): void {
    this.granted[filter] = qos;
  }

  /** Number of subscriptions. */
  get size(): number {
    return this.granted.filter((qos) => qos >= 0).length + this.others.size;
  }

  /** The next packet identifier (1 to 65535) that `isUsed` does not know. */
  nextIdentifier(isUsed: (identifier: number) => boolean): number {
    do this.identifier = (this.identifier % 65_535) + 1;
    while (isUsed(this.identifier));
    return this.identifier;
  }

  /** For the state page. */
  record(deviceId: string): JsonObject {
    const filters: JsonObject = {};
    for (const filter of FILTERS) {
      if (this.qos(filter) >= 0) filters[filterText(filter, deviceId)] = this.qos(filter);
    }
    for (const other of this.others) filters[other] = 0;
    return { clean: this.isClean, subscriptions: filters };
  }
}
