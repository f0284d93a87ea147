/**
 * The identity registry: create, read, list, update, delete devices under etags. Neighbours:
 * `device.ts` is what it holds; `service.ts` offers it. Facts: IoT Hub identity registry guide.
 * Invariant: devices keep the order of their creation; each change makes a new etag.
 */
import { Device, type DeviceRecord, type DeviceStatus } from "./device.ts";
import { HubCode, invalid, notFound, ServiceError } from "./errors.ts";
import { isObject, type JsonObject } from "./merge.ts";
import { plainThumbprint } from "./peer.ts";
import { randomHex, type World } from "./world.ts";

const ID = /^[A-Za-z0-9\-:.%_*?!(),=@$']{1,128}$/;
const KEY_BYTES_MIN = 16;
const KEY_BYTES_MAX = 64;
const KEY_BYTES_MADE = 32;
const REASON_CHARS_MAX = 128;

/** The precondition of a request: undefined for none, `*` for "exists", else an etag. */
export type Match = string | undefined;

/** Checks a precondition; throws 412. */
export function demandEtag(match: Match, etag: string, what: string): void {
  if (match === undefined || match === "*" || match === etag) return;
  throw new ServiceError(HubCode.PreconditionFailed, `the etag of the ${what} is another one`);
}

function text(value: unknown, name: string): string {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw invalid(`${name} must be a string`);
  return value;
}

/** All devices of a hub. */
export class Registry {
  private readonly devices = new Map<string, Device>();

  constructor(private readonly world: World) {}

  get size(): number {
    return this.devices.size;
  }

  /** In order of creation. */
  all(): IterableIterator<Device> {
    return this.devices.values();
  }

  find(id: string): Device | undefined {
    return this.devices.get(id);
  }

  /** The device, or throws 404. */
  demand(id: string): Device {
    const device = this.devices.get(id);
    if (device === undefined) throw notFound(id);
    return device;
  }

  /** Adds a device from a registry body; throws 400 or 409. */
  create(id: string, body: JsonObject): Device {
    if (!ID.test(id)) {
      throw invalid("deviceId must be 1 to 128 of A-Z a-z 0-9 - : . % _ * ? ! ( ) , = @ $ '");
    }
    if (body.deviceId !== undefined && body.deviceId !== id) {
      throw invalid("deviceId of the body is not that of the address");
    }
    if (this.devices.has(id)) {
      throw new ServiceError(HubCode.DeviceAlreadyExists, `device ${id} exists already`);
    }
    const device = new Device(id, this.generation(), this.world.nowMs());
    this.fill(device, body);
    this.devices.set(id, device);
    return device;
  }

  /** Changes a device from a registry body; throws 400, 404 or 412. */
  update(id: string, body: JsonObject, match: Match): Device {
    const device = this.demand(id);
    demandEtag(match, device.etag, "device");
    this.fill(device, body);
    return device;
  }

  /** Takes a device out; throws 404 or 412. */
  remove(id: string, match: Match): Device {
    const device = this.demand(id);
    demandEtag(match, device.etag, "device");
    this.devices.delete(id);
    return device;
  }

  records(): DeviceRecord[] {
    return [...this.devices.values()].map((device) => device.record());
  }

  restore(records: readonly DeviceRecord[]): void {
    for (const record of records) {
      const device = new Device(record.deviceId, record.generationId, this.world.nowMs());
      device.restore(record);
      this.devices.set(device.id, device);
    }
  }

  private generation(): string {
    const bytes = this.world.randomBytes(8);
    let value = 0n;
    for (const byte of bytes) value = (value << 8n) | BigInt(byte);
    return `${638_000_000_000_000_000n + (value % 1_000_000_000_000_000n)}`;
  }

  private fill(device: Device, body: JsonObject): void {
    const status = text(body.status, "status") || "enabled";
    if (status !== "enabled" && status !== "disabled") {
      throw invalid("status must be enabled or disabled");
    }
    const reason = text(body.statusReason, "statusReason");
    if (reason.length > REASON_CHARS_MAX) {
      throw invalid(`statusReason is longer than ${REASON_CHARS_MAX} characters`);
    }
    const thumbprints = this.thumbprints(body.authentication);
    const [primary, secondary] = this.keys(device, body.authentication);
    const edge = isObject(body.capabilities) && body.capabilities.iotEdge === true;
    this.setStatus(device, status, reason);
    device.primaryKey = primary;
    device.secondaryKey = secondary;
    device.thumbprints = thumbprints;
    device.iotEdge = edge;
    device.etag = Buffer.from(randomHex(this.world, 4)).toString("base64");
  }

  private setStatus(device: Device, status: DeviceStatus, reason: string): void {
    if (device.status !== status) device.statusMs = this.world.nowMs();
    device.status = status;
    device.statusReason = reason === "" ? null : reason;
  }

  /** Of a body that asks for certificates; none otherwise. */
  private thumbprints(authentication: unknown): string[] {
    if (!isObject(authentication) || authentication.type !== "selfSigned") return [];
    const pair = authentication.x509Thumbprint;
    const { primaryThumbprint, secondaryThumbprint } = isObject(pair) ? pair : {};
    const given = [primaryThumbprint, secondaryThumbprint].filter((one) => (one ?? "") !== "");
    const plain = given.map((one) => plainThumbprint(String(one)));
    if (plain.length === 0 || plain.includes("")) {
      throw invalid("x509Thumbprint must have one or two thumbprints of 40 or 64 hex digits");
    }
    return plain;
  }

  private keys(device: Device, authentication: unknown): [string, string] {
    if (authentication !== undefined && authentication !== null && !isObject(authentication)) {
      throw invalid("authentication must be an object");
    }
    const given: JsonObject = isObject(authentication) ? authentication : {};
    const type = text(given.type, "authentication.type") || "sas";
    if (type !== "sas" && type !== "selfSigned") {
      throw invalid(`authentication type ${type} is not offered here; sas, selfSigned are allowed`);
    }
    const pair: JsonObject = isObject(given.symmetricKey) ? given.symmetricKey : {};
    return [
      this.key(text(pair.primaryKey, "primaryKey"), device.primaryKey, "primaryKey"),
      this.key(text(pair.secondaryKey, "secondaryKey"), device.secondaryKey, "secondaryKey"),
    ];
  }

  /** The key given, or the one that was there, or a new one. */
  private key(given: string, old: string, name: string): string {
    if (given === "") {
      return old || Buffer.from(this.world.randomBytes(KEY_BYTES_MADE)).toString("base64");
    }
    const bytes = Buffer.from(given, "base64");
    const isWhole = bytes.toString("base64") === given;
    if (!isWhole || bytes.length < KEY_BYTES_MIN || bytes.length > KEY_BYTES_MAX) {
      throw invalid(`${name} must be base64 of ${KEY_BYTES_MIN} to ${KEY_BYTES_MAX} bytes`);
    }
    return given;
  }
}
