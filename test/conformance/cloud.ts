// Cloud: one local Azure that the peers are let loose on, with its log at hand.
// Neighbours: every group of cases starts one; `test/azure` is what it starts.
// Invariant: its log is complete from the start; after `stop` no socket or folder of it is left.

import { readFileSync } from "node:fs";
import type { DpsEvent, DpsStep, HubEvent } from "../azure/model/events.ts";
import type { Hub } from "../azure/model/hub.ts";
import type { JsonObject } from "../azure/model/merge.ts";
import { makeSas } from "../azure/model/sas.ts";
import { type Emulator, type EmulatorOptions, startEmulator } from "../azure/server/emulator.ts";
import { until } from "../site.ts";
import { atEnd } from "./leftover.ts";

type Of<T extends HubEvent["type"]> = Extract<HubEvent, { type: T }>;

/** A registered device and the strings that get it in. */
export interface Identity {
  readonly id: string;
  /** Primary key, base64. */
  readonly key: string;
  /** With the hub's name, and the address to dial as gateway (azure.md 5.1). */
  readonly connectionString: string;
  readonly username: string;
  /** Telemetry topic with the slash before the bag. */
  readonly eventsTopic: string;
  readonly mailFilter: string;
}

/** A running local Azure. */
export class Cloud {
  readonly events: HubEvent[] = [];
  private readonly emulator: Emulator;
  private count = 0;
  /** Ends it; it may be called again. */
  readonly stop: () => void;

  constructor(options: EmulatorOptions = {}) {
    const hubName = options.hubName ?? "conformance.example";
    const onEvent = (event: HubEvent): void => {
      this.events.push(event);
    };
    this.emulator = startEmulator({ ...options, hubName, onEvent });
    this.stop = atEnd(() => this.emulator.stop());
  }

  get hub(): Hub {
    return this.emulator.hub;
  }

  get ready(): Emulator["ready"] {
    return this.emulator.ready;
  }

  /** Certificate of its authority, PEM. */
  get ca(): string {
    return readFileSync(this.ready.caFile, "utf8");
  }

  /** Registers a device under a name of its own that begins with `kind`. */
  device(kind = "device"): Identity {
    const id = `${kind}-${++this.count}`;
    const { hubName, mqttPort } = this.ready;
    const made = this.hub.createDevice(id) as {
      authentication: { symmetricKey: { primaryKey: string } };
    };
    const key = made.authentication.symmetricKey.primaryKey;
    const gateway = `GatewayHostName=localhost:${mqttPort}`;
    return {
      id,
      key,
      connectionString: `HostName=${hubName};DeviceId=${id};SharedAccessKey=${key};${gateway}`,
      username: `${hubName}/${id}/?api-version=2021-04-12`,
      eventsTopic: `devices/${id}/messages/events/`,
      mailFilter: `devices/${id}/messages/devicebound/#`,
    };
  }

  /** A token of the device that ends `seconds` from now. */
  token({ id, key }: Identity, seconds = 3600): string {
    const expiryS = Math.floor(Date.now() / 1000) + seconds;
    return makeSas(`${this.ready.hubName}/devices/${id}`, expiryS, key);
  }

  /** Events of one type about one device. */
  log<T extends HubEvent["type"]>(type: T, { id }: { id: string }): Of<T>[] {
    return this.events.filter((event): event is Of<T> => {
      return event.type === type && event.deviceId === id;
    });
  }

  /** Waits for the first event of a type about a device that `isMeant`. */
  seen<T extends HubEvent["type"]>(
    type: T,
    device: { id: string },
    isMeant: (event: Of<T>) => boolean = () => true,
  ): Promise<Of<T>> {
    return until(`${type} of ${device.id}`, () => this.log(type, device).find(isMeant));
  }

  /** Waits for a step of the provisioning service about a registration id. */
  step(id: string, step: DpsStep): Promise<DpsEvent> {
    return until(`${step} of ${id}`, () => this.steps(id).find((event) => event.step === step));
  }

  /** All steps of the provisioning service about a registration id, or that of a group. */
  steps(id: string): DpsEvent[] {
    return this.events.filter((event): event is DpsEvent => {
      return event.type === "dps" && event.registrationId === id;
    });
  }

  /** Changes desired properties as a service does. */
  desire({ id }: { id: string }, desired: JsonObject): void {
    this.hub.patchTwin(id, { properties: { desired } });
    this.emulator.settle();
  }

  /** Sends a cloud-to-device message. */
  mail({ id }: { id: string }, text: string, app: Record<string, string> = {}): string {
    const mail = this.hub.sendC2d(id, Buffer.from(text), { app, system: {} });
    this.emulator.settle();
    return mail.messageId;
  }

  /** Calls a method; the answer, or the refusal as a rejection. */
  invoke({ id }: { id: string }, methodName: string, payload: JsonObject | null = null) {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number }>();
    this.hub.invokeMethod(id, { methodName, payload }, (result) => {
      if ("code" in result) reject(result);
      else resolve(result);
    });
    this.emulator.settle();
    return promise as Promise<{ status: number; payload: unknown }>;
  }

  fault(spec: JsonObject): void {
    this.hub.faults.add(spec);
    this.emulator.settle();
  }

  /** Connections that the hub holds open, accepted or not. */
  get connections(): number {
    return this.hub.state().connections as number;
  }
}
