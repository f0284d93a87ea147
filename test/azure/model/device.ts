/**
 * One device: identity, twin, mailbox, and its connection and session while it has them.
 * Neighbours: `registry.ts` keeps all of them; views here are those of the service REST interface.
 * Invariant: identity and twin are kept in files, the rest lives as long as the hub.
 */
import { isoTime } from "./calendar.ts";
import type { Connection } from "./connection.ts";
import { Mailbox } from "./mailbox.ts";
import type { Json, JsonObject } from "./merge.ts";
import type { Session } from "./session.ts";
import { Twin, type TwinRecord } from "./twin.ts";

export type DeviceStatus = "enabled" | "disabled";

/** What is kept in a file. */
export interface DeviceRecord {
  deviceId: string;
  generationId: string;
  etag: string;
  status: DeviceStatus;
  statusReason: string | null;
  statusMs: number;
  primaryKey: string;
  secondaryKey: string;
  iotEdge: boolean;
  twin: TwinRecord;
  thumbprints?: readonly string[];
  home?: string;
}

/** Service time format of the registry; 0 is the service's "never". */
function stamp(unixMs: number): string {
  return unixMs === 0 ? "0001-01-01T00:00:00" : isoTime(unixMs);
}

/** A registered device. */
export class Device {
  readonly mailbox = new Mailbox(this);
  readonly twin: Twin;
  etag = "";
  status: DeviceStatus = "enabled";
  statusReason: string | null = null;
  statusMs = 0;
  primaryKey = "";
  secondaryKey = "";
  iotEdge = false;
  /** Of its certificates, primary first; a device that has any has no keys to sign with. */
  thumbprints: readonly string[] = [];
  /** Name of the linked hub that it was assigned to, `''` for the hub itself. */
  home = "";
  connectionMs = 0;
  activityMs = 0;
  /** Model id that the last connection announced. */
  modelId = "";
  /** The accepted connection, if any. */
  connection: Connection | undefined;
  /** Subscriptions of the connection, or stored ones. */
  session: Session | undefined;

  constructor(
    readonly id: string,
    readonly generationId: string,
    nowMs: number,
  ) {
    this.twin = new Twin(nowMs);
  }

  get connectionState(): "Connected" | "Disconnected" {
    return this.connection === undefined ? "Disconnected" : "Connected";
  }

  /** Host name of its hub; `name`: of the hub itself. */
  hostOf(name: string): string {
    return this.home === "" ? name : this.home;
  }

  /** Both keys, base64. */
  get keys(): readonly string[] {
    return [this.primaryKey, this.secondaryKey];
  }

  /** Identity as the registry shows it, keys included. */
  identity(): JsonObject {
    return {
      deviceId: this.id,
      generationId: this.generationId,
      etag: this.etag,
      connectionState: this.connectionState,
      status: this.status,
      statusReason: this.statusReason,
      connectionStateUpdatedTime: stamp(this.connectionMs),
      statusUpdatedTime: stamp(this.statusMs),
      lastActivityTime: stamp(this.activityMs),
      cloudToDeviceMessageCount: this.mailbox.length,
      authentication: {
        type: this.authenticationType,
        symmetricKey: this.keyView(),
        x509Thumbprint: this.thumbprintView(),
      },
      capabilities: { iotEdge: this.iotEdge },
    };
  }

  /** Twin as services see it. */
  twinView(): JsonObject {
    const view: Record<string, Json> = {
      deviceId: this.id,
      etag: this.twin.etag,
      deviceEtag: this.etag,
      status: this.status,
      statusUpdateTime: stamp(this.statusMs),
      connectionState: this.connectionState,
      lastActivityTime: stamp(this.activityMs),
      cloudToDeviceMessageCount: this.mailbox.length,
      authenticationType: this.authenticationType,
      x509Thumbprint: this.thumbprintView(),
      modelId: this.modelId,
      version: this.twin.version,
      tags: this.twin.tags,
      properties: {
        desired: this.twin.desired.view(true),
        reported: this.twin.reported.view(true),
      },
      capabilities: { iotEdge: this.iotEdge },
    };
    return view;
  }

  record(): DeviceRecord {
    return {
      deviceId: this.id,
      generationId: this.generationId,
      etag: this.etag,
      status: this.status,
      statusReason: this.statusReason,
      statusMs: this.statusMs,
      primaryKey: this.primaryKey,
      secondaryKey: this.secondaryKey,
      iotEdge: this.iotEdge,
      twin: this.twin.record(),
      thumbprints: this.thumbprints,
      home: this.home,
    };
  }

  restore(record: DeviceRecord): void {
    this.etag = record.etag;
    this.status = record.status;
    this.statusReason = record.statusReason;
    this.statusMs = record.statusMs;
    this.primaryKey = record.primaryKey;
    this.secondaryKey = record.secondaryKey;
    this.iotEdge = record.iotEdge;
    this.thumbprints = record.thumbprints ?? [];
    this.home = record.home ?? "";
    this.twin.restore(record.twin);
  }

  private get authenticationType(): "sas" | "selfSigned" {
    return this.thumbprints.length === 0 ? "sas" : "selfSigned";
  }

  /** A device with certificates shows no keys. */
  private keyView(): JsonObject {
    if (this.thumbprints.length > 0) return { primaryKey: null, secondaryKey: null };
    return { primaryKey: this.primaryKey, secondaryKey: this.secondaryKey };
  }

  private thumbprintView(): JsonObject {
    const [primaryThumbprint = null, secondaryThumbprint = null] = this.thumbprints;
    return { primaryThumbprint, secondaryThumbprint };
  }
}
