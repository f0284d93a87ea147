/**
 * One IoT Hub: connections from devices on one side, the service interface on the other, time in
 * between. Neighbours: `context.ts` carries what the parts share; `server/` puts sockets around it.
 * Invariant: pure; after each call everything due is planned and all output has been sent.
 */
import { Connection } from "./connection.ts";
import { Context } from "./context.ts";
import type { Device, DeviceRecord } from "./device.ts";
import { Dps, type DpsSnapshot } from "./dps/dps.ts";
import { HubCode } from "./errors.ts";
import type { Bag, HubEvent } from "./events.ts";
import type { Faults } from "./faults.ts";
import type { Mail } from "./mail.ts";
import type { JsonObject } from "./merge.ts";
import type { MethodDone, MethodRequest } from "./methods.ts";
import { complete, type HubOptions, type HubSetup } from "./options.ts";
import type { Peer } from "./peer.ts";
import { demandRight, type Right } from "./policy.ts";
import { type Page, runQuery } from "./query.ts";
import type { Match } from "./registry.ts";
import { deviceTokenCheck, type TokenCheck } from "./token.ts";
import { changeTwin } from "./twins.ts";
import type { Link, World } from "./world.ts";

/** Everything that a restarted hub should know. */
export interface Snapshot {
  format: 1;
  devices: DeviceRecord[];
  dps?: DpsSnapshot;
}

/** A hub. Service calls throw `ServiceError`. */
export class Hub {
  readonly options: HubOptions;
  /** The provisioning service that assigns devices to this hub. */
  readonly dps: Dps;
  private readonly context: Context;

  constructor(world: World, setup: HubSetup, onEvent: (event: HubEvent) => void) {
    this.options = complete(setup);
    this.context = new Context(world, this.options, onEvent);
    this.dps = new Dps(this.context, this);
    this.context.dps = this.dps;
  }

  /** Faults on demand. */
  get faults(): Faults {
    return this.context.faults;
  }

  /** Grows with each change that `snapshot` would show. */
  get revision(): number {
    return this.context.revision;
  }

  /** A device has finished its TLS handshake. `remote` is for the log, `peer` its certificates. */
  accept(link: Link, remote = "", peer?: Peer): Connection {
    const connection = new Connection(this.context, link, remote, peer);
    this.context.connections.add(connection);
    return connection;
  }

  /** Unix ms at which `tick` has something to do, Infinity for never. */
  nextDeadlineMs(): number {
    return this.context.agenda.nextMs();
  }

  /** Does everything that is due. */
  tick(): void {
    this.context.agenda.runDue(this.context.nowMs());
    this.context.flush();
  }

  /** Registers a device; `body` as in the registry REST interface. 400, 409. */
  createDevice(deviceId: string, body: JsonObject = {}): JsonObject {
    const device = this.context.registry.create(deviceId, body);
    this.tell(device, "created");
    return device.identity();
  }

  /** 404. */
  getDevice(deviceId: string): JsonObject {
    return this.context.registry.demand(deviceId).identity();
  }

  /** In order of creation, at most `countMax`. */
  listDevices(countMax = 1000): JsonObject[] {
    const devices = [...this.context.registry.all()].slice(0, countMax);
    return devices.map((device) => device.identity());
  }

  /** Changes status and keys; a device that is disabled loses its connection. 400, 404, 412. */
  updateDevice(deviceId: string, body: JsonObject, match: Match = "*"): JsonObject {
    const device = this.context.registry.update(deviceId, body, match);
    if (device.status === "disabled") {
      device.connection?.close(HubCode.DeviceDisabled, "the device was disabled");
    }
    this.tell(device, "updated");
    this.context.flush();
    return device.identity();
  }

  /** Takes a device out with its connection, mail and calls. 404, 412. */
  deleteDevice(deviceId: string, match: Match = "*"): void {
    const device = this.context.registry.remove(deviceId, match);
    device.connection?.close(HubCode.DeviceNotFound, "the device was deleted");
    device.session = undefined;
    device.mailbox.purge(this.context);
    this.context.methods.forget(device);
    this.tell(device, "deleted");
    this.context.flush();
  }

  /** The twin with metadata, as services see it. 404. */
  getTwin(deviceId: string): JsonObject {
    return this.context.registry.demand(deviceId).twinView();
  }

  /** Merges `tags` and `properties.desired` of the body. 400, 404, 412. */
  patchTwin(deviceId: string, body: JsonObject, match: Match = "*"): JsonObject {
    return this.changeTwin(deviceId, body, match, false);
  }

  /** Replaces tags and desired properties by those of the body. 400, 404, 412. */
  replaceTwin(deviceId: string, body: JsonObject, match: Match = "*"): JsonObject {
    return this.changeTwin(deviceId, body, match, true);
  }

  /** Calls a method; `done` gets the answer or a `ServiceError`, once. 400, 403, 404, 413. */
  invokeMethod(deviceId: string, request: MethodRequest, done: MethodDone): void {
    this.context.methods.invoke(this.context.registry.demand(deviceId), request, done);
    this.context.flush();
  }

  /** Queues a cloud-to-device message. 400, 403, 404, 413. */
  sendC2d(deviceId: string, body: Uint8Array, bag: Bag = { app: {}, system: {} }): Mail {
    const mail = this.context.registry.demand(deviceId).mailbox.add(this.context, body, bag);
    this.context.flush();
    return mail;
  }

  /** Device REST: locks the oldest message, undefined when none waits. 404. */
  receiveC2d(deviceId: string): Mail | undefined {
    return this.context.registry.demand(deviceId).mailbox.receive(this.context);
  }

  /** Device REST: completes, rejects or gives back a locked message. 404, 412. */
  settleC2d(deviceId: string, lock: string, outcome: "completed" | "rejected" | "requeued"): void {
    this.context.registry.demand(deviceId).mailbox.settle(this.context, lock, outcome);
    this.context.flush();
  }

  /** Device counts. */
  statistics(): JsonObject {
    let enabled = 0;
    let connected = 0;
    for (const device of this.context.registry.all()) {
      if (device.status === "enabled") enabled++;
      if (device.connection !== undefined) connected++;
    }
    const total = this.context.registry.size;
    return {
      totalDeviceCount: total,
      enabledDeviceCount: enabled,
      disabledDeviceCount: total - enabled,
      connectedDeviceCount: connected,
    };
  }

  /** One page of a query; see `query.ts` for what is understood. 400. */
  query(text: string, from = 0, countMax = 100): Page {
    return runQuery(this.context.registry, text, from, countMax);
  }

  /** Lets a service with this `Authorization` header in. 401. */
  demandRight(authorization: string, right: Right): void {
    demandRight(authorization, right, this.options, this.context.nowMs());
  }

  /** Judges a device's token or certificate as CONNECT would; `status` is the device's. 404. */
  checkToken(deviceId: string, token: string, peer?: Peer): TokenCheck & { isEnabled: boolean } {
    const device = this.context.registry.demand(deviceId);
    const check = deviceTokenCheck(token, device, this.options, this.context.nowMs(), peer);
    return { ...check, isEnabled: device.status === "enabled" };
  }

  /** What is going on, for people: devices without keys, sessions, mail, faults, feedback. */
  state(): JsonObject {
    const devices = [...this.context.registry.all()].map((device) => this.deviceState(device));
    return {
      hubName: this.options.name,
      at: this.context.at(),
      connections: this.context.connections.size,
      ...this.statistics(),
      devices,
      faults: this.context.faults.list(),
      feedback: [...this.context.feedback.list()],
      dps: this.dps.state(),
    };
  }

  snapshot(): Snapshot {
    const devices = this.context.registry.records();
    return { format: 1, devices, dps: this.dps.snapshot() };
  }

  /** Takes over a snapshot; meant for a hub that has no devices yet. */
  restore(snapshot: Snapshot): void {
    this.context.registry.restore(snapshot.devices);
    if (snapshot.dps !== undefined) this.dps.restore(snapshot.dps);
  }

  private deviceState(device: Device): JsonObject {
    return {
      deviceId: device.id,
      status: device.status,
      connectionState: device.connectionState,
      remote: device.connection?.remote ?? "",
      modelId: device.modelId,
      desiredVersion: device.twin.desired.version,
      reportedVersion: device.twin.reported.version,
      session: device.session?.record(device.id) ?? null,
      mail: device.mailbox.list(),
    };
  }

  private changeTwin(id: string, body: JsonObject, match: Match, isWhole: boolean): JsonObject {
    const device = this.context.registry.demand(id);
    changeTwin(this.context, device, body, match, isWhole);
    this.context.flush();
    return device.twinView();
  }

  private tell(device: Device, change: "created" | "updated" | "deleted"): void {
    this.context.revision++;
    const at = this.context.at();
    const { id, status } = device;
    this.context.emit({ type: "device", at, deviceId: id, change, status });
  }
}
