/**
 * Direct methods: a call waits for the device, then for its answer, each with a deadline.
 * Neighbours: `hub.ts` invokes, `publish.ts` brings answers, `subscription.ts` and `admission.ts`
 * say when a device is ready. Invariant: each call's `done` runs exactly once.
 */
import type { Entry } from "./agenda.ts";
import type { Connection } from "./connection.ts";
import type { Context } from "./context.ts";
import type { Device } from "./device.ts";
import { HubCode, invalid, ServiceError } from "./errors.ts";
import type { MethodEvent } from "./events.ts";
import type { Json } from "./merge.ts";
import { requestId } from "./request.ts";
import { Filter } from "./session.ts";

/** A call as services make it. */
export interface MethodRequest {
  methodName: string;
  /** Any JSON value; null when absent. */
  payload?: Json;
  /** 5 to 300 s; default 30. */
  responseTimeoutInSeconds?: number;
  /** 0 to 300 s; how long to wait for an absent device; default 0. */
  connectTimeoutInSeconds?: number;
}

/** A device's answer. */
export interface MethodResult {
  status: number;
  payload: Json;
}

/** Receives the answer, or why there is none. */
export type MethodDone = (result: MethodResult | ServiceError) => void;

interface Call {
  readonly rid: string;
  readonly device: Device;
  readonly name: string;
  readonly payload: string;
  readonly responseMs: number;
  readonly done: MethodDone;
  isSent: boolean;
  entry: Entry | undefined;
}

/** US-ASCII printable without the separators of HTTP tokens and MQTT wildcards. */
const NAME = /^[A-Za-z0-9!%&'*\-.^_`|~]{1,100}$/;
const RESPONSE_S_DEFAULT = 30;

function seconds(value: unknown, name: string, fallback: number, min: number): number {
  const given = value ?? fallback;
  if (typeof given !== "number" || !(given >= min && given <= 300)) {
    throw invalid(`${name} must be a number from ${min} to 300`);
  }
  return given;
}

/** Calls in progress of one hub. */
export class Methods {
  private readonly calls = new Map<string, Call>();
  private counter = 0;

  constructor(private readonly context: Context) {}

  /** Starts a call. Throws 400, 403 or 413; what happens later goes to `done`. */
  invoke(device: Device, request: MethodRequest, done: MethodDone): void {
    const { limits } = this.context.options;
    const name = request.methodName;
    if (typeof name !== "string" || !NAME.test(name)) {
      throw invalid("methodName must be 1 to 100 printable ASCII characters without separators");
    }
    const responseS = request.responseTimeoutInSeconds;
    const responseMs = seconds(responseS, "responseTimeoutInSeconds", RESPONSE_S_DEFAULT, 5) * 1000;
    const connectMs =
      seconds(request.connectTimeoutInSeconds, "connectTimeoutInSeconds", 0, 0) * 1000;
    const payload = JSON.stringify(request.payload ?? null);
    if (Buffer.byteLength(payload) > limits.methodBytesMax) {
      const text = `method payload of more than ${limits.methodBytesMax} bytes`;
      throw new ServiceError(HubCode.MessageTooLarge, text);
    }
    const waiting = [...this.calls.values()].filter((call) => call.device === device).length;
    if (waiting >= limits.methodsMax) {
      const text = `${waiting} direct methods wait for device ${device.id}`;
      throw new ServiceError(HubCode.TooManyDirectMethods, text);
    }
    const rid = (++this.counter).toString(16);
    const call = { rid, device, name, payload, responseMs, done, isSent: false, entry: undefined };
    this.calls.set(rid, call);
    if (this.isReady(device)) this.send(call);
    else this.wait(call, connectMs);
  }

  /** The device has connected or subscribed: what waited for that goes out. */
  onReady(device: Device): void {
    if (this.calls.size === 0 || !this.isReady(device)) return;
    for (const call of [...this.calls.values()]) {
      if (call.device === device && !call.isSent) this.send(call);
    }
  }

  /** `$iothub/methods/res/{status}/?$rid=…` */
  onAnswer(connection: Connection, tail: string, payload: Buffer): void {
    const slash = tail.indexOf("/");
    const statusText = tail.slice(0, slash);
    const rid = requestId(tail.slice(slash));
    if (!/^-?\d{1,9}$/.test(statusText) || rid === null) {
      connection.close(HubCode.ArgumentInvalid, "method answer without a status or $rid");
      return;
    }
    const status = Number(statusText);
    const call = this.calls.get(rid);
    if (call === undefined || call.device !== connection.device || !call.isSent) {
      const facts = { name: "", requestId: rid, status, reason: "no call waits for this answer" };
      this.tell(connection.deviceId, "late", facts);
      return;
    }
    this.finish(call, this.result(status, payload));
  }

  /** Ends all calls to a device that is no more. */
  forget(device: Device): void {
    for (const call of [...this.calls.values()]) {
      if (call.device === device) {
        this.finish(call, new ServiceError(HubCode.DeviceNotFound, "the device was deleted"));
      }
    }
  }

  private result(status: number, payload: Buffer): MethodResult | ServiceError {
    const { methodBytesMax } = this.context.options.limits;
    if (payload.length > methodBytesMax) {
      const text = `method answer of ${payload.length} bytes, ${methodBytesMax} are allowed`;
      return new ServiceError(HubCode.BadDeviceResponse, text);
    }
    try {
      const text = payload.toString().trim();
      return { status, payload: text === "" ? null : JSON.parse(text) };
    } catch {
      return new ServiceError(HubCode.BadDeviceResponse, "the method answer is not JSON");
    }
  }

  private isReady(device: Device): boolean {
    return device.connection !== undefined && (device.session?.qos(Filter.Method) ?? -1) >= 0;
  }

  private wait(call: Call, connectMs: number): void {
    const isOnline = call.device.connection !== undefined;
    const reason = isOnline ? "the device is online, not subscribed" : "the device is not online";
    const give = (): void => this.finish(call, new ServiceError(HubCode.DeviceNotOnline, reason));
    if (connectMs === 0) {
      give();
      return;
    }
    this.tell(call.device.id, "waiting", { name: call.name, requestId: call.rid, reason });
    call.entry = this.context.agenda.at(this.context.nowMs() + connectMs, give);
  }

  private send(call: Call): void {
    const { agenda } = this.context;
    agenda.cancel(call.entry);
    call.isSent = true;
    const topic = `$iothub/methods/POST/${call.name}/?$rid=${call.rid}`;
    const head = { cmd: "publish", qos: 0, dup: false, retain: false } as const;
    call.device.connection!.send({ ...head, topic, payload: call.payload });
    this.tell(call.device.id, "sent", { name: call.name, requestId: call.rid });
    call.entry = agenda.at(this.context.nowMs() + call.responseMs, () => {
      const text = `no answer from device ${call.device.id} within ${call.responseMs / 1000} s`;
      this.finish(call, new ServiceError(HubCode.GatewayTimeout, text));
    });
  }

  private finish(call: Call, result: MethodResult | ServiceError): void {
    this.context.agenda.cancel(call.entry);
    this.calls.delete(call.rid);
    const facts = { name: call.name, requestId: call.rid };
    if (result instanceof ServiceError) {
      const state = result.code === HubCode.GatewayTimeout ? "timeout" : "refused";
      this.tell(call.device.id, state, { ...facts, reason: result.message });
    } else {
      this.tell(call.device.id, "answered", { ...facts, ...result });
    }
    call.done(result);
  }

  private tell(deviceId: string, state: MethodEvent["state"], facts: Partial<MethodEvent>): void {
    const at = this.context.at();
    const blank = { name: "", requestId: "", status: 0, payload: null, reason: "" };
    this.context.emit({ ...blank, ...facts, type: "method", at, deviceId, state });
  }
}
