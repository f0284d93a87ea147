/**
 * Puts a device on its hub: new, moved with its twin, started anew, or left where it is.
 * Neighbours: `registrar.ts` decides when; the hub's registry holds the result. Facts: DPS
 * reprovisioning concepts. Invariant: afterwards the device has exactly the credentials given.
 */
import type { Context } from "../context.ts";
import type { Hub } from "../hub.ts";
import type { JsonObject } from "../merge.ts";
import type { TwinRecord } from "../twin.ts";
import type { Substatus } from "./registration.ts";
import { Reprovision, type Settings } from "./settings.ts";

/** Where a device is. */
export interface Place {
  hub: string;
  deviceId: string;
}

/** `authentication` of the hub's registry. */
export type Authentication = JsonObject;

/** One assignment. */
export interface Order {
  /** Where the device was, undefined at a first registration. */
  before: Place | undefined;
  /** Where it goes unless its policy says otherwise. */
  next: Place;
  settings: Settings;
  authentication: Authentication;
}

/** What came of an order. */
export interface Assigned {
  place: Place;
  substatus: Substatus;
}

/** Carries out orders on one hub model, which answers to the names of all linked hubs. */
export class Assigner {
  constructor(
    private readonly context: Context,
    private readonly hub: Hub,
  ) {}

  /** Throws `ServiceError` when the hub refuses the device. */
  assign(order: Order): Assigned {
    const { before, next, settings } = order;
    if (before === undefined) {
      this.put(order, next, undefined);
      return { place: next, substatus: "initialAssignment" };
    }
    switch (settings.reprovision) {
      case Reprovision.Keep:
        this.put(order, before, undefined);
        return { place: before, substatus: "reprovisionedToInitialAssignment" };
      case Reprovision.Reset:
        this.remove(before);
        this.put(order, next, undefined);
        return { place: next, substatus: "deviceDataReset" };
      case Reprovision.Migrate: {
        const isMoved = before.hub !== next.hub || before.deviceId !== next.deviceId;
        const twin = this.context.registry.find(before.deviceId)?.twin.record();
        if (isMoved) this.remove(before);
        this.put(order, next, twin);
        return { place: next, substatus: "deviceDataMigrated" };
      }
    }
  }

  private remove(place: Place): void {
    if (this.context.registry.find(place.deviceId) !== undefined) {
      this.hub.deleteDevice(place.deviceId);
    }
  }

  /** Creates the device, with the twin given or as enrolled; or gives new credentials to it. */
  private put(order: Order, place: Place, twin: TwinRecord | undefined): void {
    const { authentication, settings } = order;
    const { deviceId } = place;
    const found = this.context.registry.find(deviceId);
    if (found !== undefined) {
      this.hub.updateDevice(deviceId, { ...found.identity(), authentication });
      found.home = place.hub;
      return;
    }
    const capabilities = { iotEdge: settings.iotEdge };
    this.hub.createDevice(deviceId, { authentication, capabilities });
    const device = this.context.registry.demand(deviceId);
    device.home = place.hub;
    if (twin !== undefined) device.twin.restore(twin);
    else if (settings.initialTwin !== null) this.hub.replaceTwin(deviceId, settings.initialTwin);
  }
}
