// Hub: local Azure as its service side shows it: the device, its twin, its enrollment at DPS, and
// the stream of events.
// Neighbours: `world` starts the process and reads these; `ledger` keeps what the events tell.
// Invariant: only what any client of the service could ask for; the device's key goes to the
// caller's file and nowhere else.

import type { HubEvent } from "../azure/model/events.ts";
import type { Remote } from "../azure/remote.ts";
import type { Enrollment, Twin } from "./facts.ts";
import { Ledger } from "./ledger.ts";

/** One device of one hub, from outside. */
export class Hub {
  readonly ledger: Ledger;
  twin: Twin | undefined;
  /** The registry says that the device may connect. */
  isEnabled = false;
  enrollment: Enrollment | undefined;
  private isReading = false;
  private isStale = false;

  /** @param onChange called whenever there is something new to see */
  constructor(
    private readonly remote: Remote,
    readonly mqttPort: number,
    private readonly deviceId: string,
    private readonly onChange: () => void,
  ) {
    this.ledger = new Ledger(deviceId);
  }

  /** Makes the device; its connection string, which is a secret. */
  async createDevice(): Promise<string> {
    const symmetricKey = { primaryKey: "", secondaryKey: "" };
    const body = { deviceId: this.deviceId, authentication: { type: "sas", symmetricKey } };
    await this.remote.call("PUT", `/devices/${this.deviceId}`, body);
    const key = await this.readDevice();
    return `HostName=${this.remote.place.hubName};DeviceId=${this.deviceId};SharedAccessKey=${key}`;
  }

  /** Sets desired LED1. */
  async desire(value: unknown): Promise<void> {
    const patch = { properties: { desired: { LED1: value } } };
    await this.remote.call("PATCH", `/twins/${this.deviceId}`, patch);
  }

  /** Asks DPS for an enrollment by its registration id. Throws when there is none. */
  async readEnrollment(registrationId: string): Promise<void> {
    const path = `/enrollments/${encodeURIComponent(registrationId)}`;
    const found = (await this.remote.provision("GET", path)) as {
      deviceId: string;
      attestation: { tpm: { endorsementKey: string } };
    };
    const { endorsementKey } = found.attestation.tpm;
    this.enrollment = { registrationId, deviceId: found.deviceId, endorsementKey };
    this.onChange();
  }

  /** Reads events until the hub ends; never throws. */
  async follow(): Promise<void> {
    try {
      for await (const line of this.remote.lines("events")) {
        this.take(JSON.parse(line));
      }
    } catch {
      // The hub has gone: whoever watches its process says so.
    }
  }

  private take(event: HubEvent): void {
    this.ledger.enter(event);
    if (event.type === "twin") void this.readTwin();
    // What DPS has made, the registry must show.
    if (event.type === "device") this.readDevice().catch(() => {});
    this.onChange();
  }

  /** Fetches the device's entry; its primary key, which is a secret. */
  private async readDevice(): Promise<string> {
    const device = (await this.remote.call("GET", `/devices/${this.deviceId}`)) as {
      status: string;
      authentication: { symmetricKey: { primaryKey: string } };
    };
    this.isEnabled = device.status === "enabled";
    this.onChange();
    return device.authentication.symmetricKey.primaryKey;
  }

  /** Fetches the twin; changes that come meanwhile make it fetch once more. */
  private async readTwin(): Promise<void> {
    this.isStale = true;
    if (this.isReading) return;
    this.isReading = true;
    try {
      while (this.isStale) {
        this.isStale = false;
        const answer = await this.remote.call("GET", `/twins/${this.deviceId}`);
        this.twin = (answer as { properties: Twin }).properties;
        this.onChange();
      }
    } catch {
      // As above; a twin that cannot be read stays the one that was.
    } finally {
      this.isReading = false;
    }
  }
}
