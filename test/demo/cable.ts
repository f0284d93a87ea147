// Cable: what a gateway hangs on: hub and DPS through one wire that can be pulled.
// Neighbours: `world` lays it; each of its two `relay`s carries what goes to one port.
// Invariant: both relays are plugged or neither is; each keeps its port.

import { Relay } from "./relay.ts";

/** The wire between the agent and local Azure. */
export class Cable {
  /** To the hub's MQTT side. */
  readonly hub: Relay;
  /** To DPS and the hub's HTTPS side. */
  readonly web: Relay;

  /** @param mqttPort port of local Azure, as is `httpsPort` */
  constructor(mqttPort: number, httpsPort: number) {
    this.hub = new Relay(mqttPort);
    this.web = new Relay(httpsPort);
  }

  get isPlugged(): boolean {
    return this.hub.isPlugged && this.web.isPlugged;
  }

  /** Connections whose first bytes are not those of TLS. */
  get otherCount(): number {
    return this.hub.otherCount + this.web.otherCount;
  }

  /** Throws when a port is not to be had. */
  async plug(): Promise<void> {
    await Promise.all([this.hub.plug(), this.web.plug()]);
  }

  pull(): void {
    this.hub.pull();
    this.web.pull();
  }
}
