/**
 * What an enrollment decides beside identity: which hub, which device id, which twin, what happens
 * at a second registration. Neighbours: `enrollment.ts` holds it, `assignment.ts` obeys it.
 * Facts: DPS service REST, IndividualEnrollment.
 * Invariant: values are checked before they are kept.
 */
import { clone, isObject, type Json, type JsonObject } from "../merge.ts";
import { part, Twin } from "../twin.ts";
import { malformed, withDpsErrors } from "./errors.ts";

/** What happens to hub and twin of a device that registers again. */
export enum Reprovision {
  /** Allocate anew; the twin goes along. */
  Migrate = 0,
  /** Allocate anew; the twin starts as enrolled. */
  Reset = 1,
  /** Stay with the first assignment. */
  Keep = 2,
}

export type AllocationPolicy = "hashed" | "geoLatency" | "static";

/** Settings as they are kept in a file. */
export interface Settings {
  /** `''`: the registration id. */
  deviceId: string;
  /** Hubs to choose from, `[]`: all that are linked. */
  hubs: readonly string[];
  allocation: AllocationPolicy;
  isEnabled: boolean;
  reprovision: Reprovision;
  /** Tags and desired properties of a new device, null for none. */
  initialTwin: JsonObject | null;
  iotEdge: boolean;
  /** The operator's notes, kept as they are. */
  notes: Json;
}

const DEVICE_ID = /^[A-Za-z0-9\-:.%_*?!(),=@$']{1,128}$/;

function text(body: JsonObject, name: string): string {
  const value = body[name] ?? "";
  if (typeof value !== "string") throw malformed(`${name} must be a string`);
  return value;
}

function flag(body: JsonObject, name: string, where: string, fallback: boolean): boolean {
  const value = body[name] ?? fallback;
  if (typeof value !== "boolean") throw malformed(`${where}.${name} must be true or false`);
  return value;
}

function object(body: JsonObject, name: string): JsonObject | undefined {
  const value = body[name] ?? undefined;
  if (value !== undefined && !isObject(value)) throw malformed(`${name} must be an object`);
  return value;
}

function takeReprovision(body: JsonObject): Reprovision {
  const policy = object(body, "reprovisionPolicy") ?? Object.create(null);
  if (!flag(policy, "updateHubAssignment", "reprovisionPolicy", true)) return Reprovision.Keep;
  const isMigrated = flag(policy, "migrateDeviceData", "reprovisionPolicy", true);
  return isMigrated ? Reprovision.Migrate : Reprovision.Reset;
}

function takeHubs(body: JsonObject): string[] {
  const one = text(body, "iotHubHostName");
  const list = body.iotHubs ?? [];
  if (!Array.isArray(list) || !list.every((name) => typeof name === "string")) {
    throw malformed("iotHubs must be an array of host names");
  }
  return one === "" ? (list as string[]) : [one];
}

function takeAllocation(body: JsonObject): AllocationPolicy {
  const policy = text(body, "allocationPolicy") || "static";
  if (policy === "hashed" || policy === "geoLatency" || policy === "static") return policy;
  throw malformed("allocationPolicy must be hashed, geoLatency or static; custom is not offered");
}

/** A member that must be an object; null is as good as absent. */
function member(of: JsonObject | undefined, name: string, where: string): JsonObject | undefined {
  return of === undefined || of[name] === null ? undefined : part(of, name, where);
}

function takeTwin(body: JsonObject): JsonObject | null {
  const twin = object(body, "initialTwin");
  if (twin === undefined) return null;
  return withDpsErrors(() => {
    const tags = member(twin, "tags", "initialTwin.") ?? {};
    const properties = member(twin, "properties", "initialTwin.");
    const desired = member(properties, "desired", "initialTwin.properties.") ?? {};
    // A twin that is thrown away applies the hub's own rules.
    new Twin(0).change(tags, desired, true, 0);
    return { tags, properties: { desired } };
  });
}

/** Takes the settings of a body; throws 400. */
export function takeSettings(body: JsonObject, isGroup: boolean): Settings {
  const deviceId = isGroup ? "" : text(body, "deviceId");
  if (deviceId !== "" && !DEVICE_ID.test(deviceId)) {
    throw malformed("deviceId must be 1 to 128 of A-Z a-z 0-9 - : . % _ * ? ! ( ) , = @ $ '");
  }
  const status = text(body, "provisioningStatus") || "enabled";
  if (status !== "enabled" && status !== "disabled") {
    throw malformed("provisioningStatus must be enabled or disabled");
  }
  const capabilities = object(body, "capabilities") ?? Object.create(null);
  return {
    deviceId,
    hubs: takeHubs(body),
    allocation: takeAllocation(body),
    isEnabled: status === "enabled",
    reprovision: takeReprovision(body),
    initialTwin: takeTwin(body),
    iotEdge: flag(capabilities, "iotEdge", "capabilities", false),
    notes: clone(body.optionalDeviceInformation ?? null),
  };
}

/** As services read them. */
export function settingsView(settings: Settings): JsonObject {
  const { deviceId, hubs, allocation, reprovision, initialTwin, notes } = settings;
  const one: JsonObject = hubs.length === 1 ? { iotHubHostName: hubs[0]! } : {};
  return {
    ...(deviceId === "" ? {} : { deviceId }),
    ...one,
    ...(initialTwin === null ? {} : { initialTwin }),
    provisioningStatus: settings.isEnabled ? "enabled" : "disabled",
    reprovisionPolicy: {
      updateHubAssignment: reprovision !== Reprovision.Keep,
      migrateDeviceData: reprovision === Reprovision.Migrate,
    },
    allocationPolicy: allocation,
    iotHubs: [...hubs],
    capabilities: { iotEdge: settings.iotEdge },
    ...(notes === null ? {} : { optionalDeviceInformation: notes }),
  };
}
