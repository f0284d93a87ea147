/**
 * The device provisioning service of one hub: enrollments for services, registration for devices.
 * Neighbours: `hub.ts` has one and keeps its records; `server/` puts HTTPS around it.
 * Invariant: pure like the hub, and on the same agenda, faults and log.
 */
import type { ConnectPacket } from "../codec.ts";
import type { Connection } from "../connection.ts";
import type { Context } from "../context.ts";
import type { Hub } from "../hub.ts";
import type { Json, JsonObject } from "../merge.ts";
import { Assigner } from "./assignment.ts";
import { Catalog, demandMatch, type Match, type Page, pageOf } from "./catalog.ts";
import { Desk, errorBody } from "./desk.ts";
import type { Enrollment, EnrollmentRecord } from "./enrollment.ts";
import { DpsError } from "./errors.ts";
import { Gate } from "./gate.ts";
import { tell } from "./journal.ts";
import { type DpsRight, demandDpsRight, type ServiceCall } from "./policy.ts";
import { welcome } from "./portal.ts";
import { Registrar } from "./registrar.ts";
import { type Registration, stateView } from "./registration.ts";
import type { DeviceDone, DeviceRequest } from "./request.ts";

/** Enrollments are of single devices or of groups. */
export type Kind = "device" | "group";

/** Everything that a restarted service should know. */
export interface DpsSnapshot {
  enrollments: EnrollmentRecord[];
  groups: EnrollmentRecord[];
  registrations: Registration[];
}

/** A provisioning service. Service calls throw `DpsError`. */
export class Dps {
  private readonly devices: Catalog;
  private readonly groups: Catalog;
  private readonly gate: Gate;
  private readonly registrar: Registrar;
  private readonly desk: Desk;

  constructor(
    private readonly context: Context,
    hub: Hub,
  ) {
    this.devices = new Catalog(context.world, false);
    this.groups = new Catalog(context.world, true);
    this.gate = new Gate(context, this.devices, this.groups);
    const assigner = new Assigner(context, hub);
    this.registrar = new Registrar(context, this.devices, this.groups, assigner);
    this.desk = new Desk(context, this.gate, this.registrar);
  }

  /** A device's request over HTTPS; `done` gets the answer, once. */
  request(request: DeviceRequest, done: DeviceDone): void {
    this.desk.request(request, done);
  }

  /** A CONNECT on the MQTT port; whether it was for this service. */
  welcome(connection: Connection, packet: ConnectPacket): boolean {
    return welcome(this.desk, connection, packet);
  }

  /** Lets a service in or throws 401. */
  demandRight(call: ServiceCall, right: DpsRight): void {
    const { dps, skewS } = this.context.options;
    demandDpsRight(call, right, dps, this.context.nowMs(), skewS);
  }

  /** Error body of the service interface. */
  errorBody(error: DpsError): JsonObject {
    return errorBody(this.context, error.code, error.message);
  }

  /** Creates or, under an etag, changes. 400, 409, 412. */
  putEnrollment(kind: Kind, id: string, body: JsonObject, match: Match = undefined): JsonObject {
    const isNew = this.catalog(kind).find(id) === undefined;
    return this.view(this.note(kind, isNew, this.catalog(kind).put(id, body, match)));
  }

  /** 404. */
  getEnrollment(kind: Kind, id: string): JsonObject {
    return this.view(this.catalog(kind).demand(id));
  }

  /** The attestation with symmetric keys, which the enrollment itself does not show. 404. */
  mechanism(kind: Kind, id: string): JsonObject {
    return this.catalog(kind).demand(id).mechanism();
  }

  /** A device that was assigned keeps its place on the hub. 404, 412. */
  deleteEnrollment(kind: Kind, id: string, match: Match = undefined): void {
    this.drop(kind, this.catalog(kind).remove(id, match));
  }

  /** In order of creation. */
  listEnrollments(kind: Kind, from = 0, countMax = 1000): Page<JsonObject> {
    const { items, next } = pageOf(this.catalog(kind).all(), from, countMax);
    return { items: items.map((enrollment) => enrollment.view()), next };
  }

  /** Many changes, each for itself. 400. */
  bulk(kind: Kind, body: JsonObject): JsonObject {
    const catalog = this.catalog(kind);
    const errors: JsonObject[] = [];
    for (const [id, one] of catalog.bulkBodies(body)) {
      try {
        this.change(kind, body.mode ?? null, id, one);
      } catch (error) {
        if (!(error instanceof DpsError)) throw error;
        const { code: errorCode, message: errorStatus } = error;
        errors.push({ registrationId: id, errorCode, errorStatus });
      }
    }
    return { isSuccessful: errors.length === 0, errors };
  }

  /** 404. */
  getRegistration(id: string): JsonObject {
    return stateView(this.registrar.demand(id));
  }

  /** The next registration is a first one again; the hub's device stays. 404, 412. */
  deleteRegistration(id: string, match: Match = undefined): void {
    demandMatch(match, this.registrar.demand(id).etag);
    this.registrar.remove(id);
    tell(this.context, "deleted", id, "registration");
  }

  /** Registrations that came by a group. 404. */
  listRegistrations(groupId: string, from = 0, countMax = 1000): Page<JsonObject> {
    const { id } = this.groups.demand(groupId);
    const all = this.registrar.all().filter((one) => one.groupId === id);
    const { items, next } = pageOf(all, from, countMax);
    return { items: items.map(stateView), next };
  }

  /** Device id of a registration, `''` before its first assignment. */
  deviceId(registrationId: string): string {
    return this.registrar.find(registrationId)?.deviceId ?? "";
  }

  /** What is going on, for people; no keys. */
  state(): JsonObject {
    return {
      idScope: this.context.options.dps.idScope,
      enrollments: this.devices.all().map((one) => one.id),
      groups: this.groups.all().map((one) => one.id),
      registrations: this.registrar.all().map(stateView),
    };
  }

  snapshot(): DpsSnapshot {
    return {
      enrollments: this.devices.records(),
      groups: this.groups.records(),
      registrations: this.registrar.all(),
    };
  }

  /** Takes over a snapshot; meant for a service that has no enrollments yet. */
  restore(snapshot: DpsSnapshot): void {
    this.devices.restore(snapshot.enrollments);
    this.groups.restore(snapshot.groups);
    this.registrar.restore(snapshot.registrations);
  }

  private catalog(kind: Kind): Catalog {
    return kind === "device" ? this.devices : this.groups;
  }

  private change(kind: Kind, mode: Json, id: string, body: JsonObject): void {
    const isNew = this.catalog(kind).find(id) === undefined;
    const enrollment = this.catalog(kind).change(mode, id, body);
    if (mode === "delete") this.drop(kind, enrollment);
    else this.note(kind, isNew, enrollment);
  }

  private note(kind: Kind, isNew: boolean, enrollment: Enrollment): Enrollment {
    this.context.revision++;
    const { id, attestation, settings } = enrollment;
    const text = `${kind}, ${attestation.type}, ${settings.isEnabled ? "enabled" : "disabled"}`;
    tell(this.context, isNew ? "enrolled" : "changed", id, text);
    return enrollment;
  }

  private drop(kind: Kind, enrollment: Enrollment): void {
    this.context.revision++;
    const { id } = enrollment;
    if (kind === "device") {
      this.gate.forget(id);
      this.registrar.remove(id);
    }
    tell(this.context, "deleted", id, `enrollment of a ${kind}`);
  }

  private view(enrollment: Enrollment): JsonObject {
    const view = enrollment.view();
    const state = enrollment.record.isGroup ? undefined : this.registrar.find(enrollment.id);
    if (state !== undefined) view.registrationState = stateView(state);
    return view;
  }
}
