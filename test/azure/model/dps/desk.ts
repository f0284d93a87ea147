/**
 * Where devices come to register, whatever the transport: bounds, faults, the gate, the operation.
 * Neighbours: `portal.ts` and `server/dpsdevice.ts` bring requests; `registrar.ts` does the work.
 * Facts: DPS device REST. Invariant: every request gets one answer, late (fault) or at once.
 */
import type { Context } from "../context.ts";
import type { JsonObject } from "../merge.ts";
import { randomUuid } from "../world.ts";
import { idProblem, longTime } from "./enrollment.ts";
import { DpsCode, DpsError, malformed } from "./errors.ts";
import type { Admission, Gate } from "./gate.ts";
import { tell } from "./journal.ts";
import { ERROR_CODE_MIN, type Operation, type Registrar } from "./registrar.ts";
import { deviceStateView } from "./registration.ts";
import type { DeviceAnswer, DeviceDone, DeviceRequest } from "./request.ts";
import { Throttle } from "./throttle.ts";

const NO_WAIT = -1;
const MINUTE_MS = 60_000;
const POLL_WINDOW_MS = 10_000;
const KEY_NAME = "registration";

/** Error body of the service. */
export function errorBody(context: Context, code: number, message: string): JsonObject {
  return {
    errorCode: code,
    trackingId: randomUuid(context.world),
    message,
    timestampUtc: longTime(context.nowMs()),
    info: {},
  };
}

/** Too many requests; the service says when to come again. */
class Throttled extends DpsError {
  constructor(
    reason: string,
    readonly waitS: number,
  ) {
    super(DpsCode.Throttled, "Too many requests", reason);
  }
}

/** Takes requests of devices. */
export class Desk {
  private readonly registrations: Throttle;
  private readonly polls: Throttle;

  constructor(
    private readonly context: Context,
    private readonly gate: Gate,
    private readonly registrar: Registrar,
  ) {
    const { registrationsPerMinute, pollsPer10S } = context.options.dps;
    this.registrations = new Throttle(registrationsPerMinute, MINUTE_MS);
    this.polls = new Throttle(pollsPer10S, POLL_WINDOW_MS);
  }

  /** Answers a request, now or (fault `dps-delay`) later. */
  request(request: DeviceRequest, done: DeviceDone): void {
    const { agenda, faults } = this.context;
    const late = faults.fires("dps-delay", request.registrationId);
    const answer = this.answer(request);
    if (late === undefined) done(answer);
    else agenda.at(this.context.nowMs() + late.value, () => done(answer));
    this.context.flush();
  }

  private answer(request: DeviceRequest): DeviceAnswer {
    try {
      this.demandSound(request);
      this.demandCalm(request);
      const admission = this.gate.admit(request);
      if (typeof admission === "string") return this.challenge(admission);
      switch (request.verb) {
        case "register":
          return this.register(request, admission);
        case "poll":
          return this.poll(request, admission);
        case "lookup":
          return this.lookup(admission);
      }
    } catch (error) {
      if (!(error instanceof DpsError)) throw error;
      return this.refuse(request, error);
    }
  }

  private demandSound(request: DeviceRequest): void {
    const { idScope } = this.context.options.dps;
    const { registrationId, body } = request;
    if (request.idScope.toLowerCase() !== idScope.toLowerCase()) {
      const text = `id scope ${JSON.stringify(request.idScope)} is not ${idScope}`;
      throw new DpsError(DpsCode.ServiceNotFound, "Not found", text);
    }
    const problem = idProblem(registrationId);
    if (problem !== "") throw malformed(`registrationId ${problem}`);
    if (request.verb !== "register") return;
    const inside = body.registrationId ?? registrationId;
    if (typeof inside !== "string" || inside.toLowerCase() !== registrationId.toLowerCase()) {
      throw malformed("registrationId of the body is not that of the address");
    }
  }

  /** Bounds of the service and the faults that look like them. */
  private demandCalm(request: DeviceRequest): void {
    const { faults, options } = this.context;
    const id = request.registrationId;
    if (faults.fires("dps-throttle", id) !== undefined) {
      throw new Throttled("fault dps-throttle", this.retryAfterS(id));
    }
    const failure = faults.fires("dps-fail", id, (fault) => fault.value < ERROR_CODE_MIN);
    if (failure !== undefined) {
      throw new DpsError(failure.value * 1000 + 1, "The service has failed", "fault dps-fail");
    }
    const nowMs = this.context.nowMs();
    if (request.verb === "register") {
      const waitS = this.registrations.waitS("", nowMs);
      const bound = options.dps.registrationsPerMinute;
      if (waitS > 0) throw new Throttled(`more than ${bound} registrations a minute`, waitS);
    }
  }

  private challenge(authenticationKey: string): DeviceAnswer {
    const message = "Authorization required";
    const body = { message, authenticationKey, keyName: KEY_NAME };
    return { status: 401, retryAfterS: NO_WAIT, body, code: 0, operationId: "" };
  }

  private register(request: DeviceRequest, admission: Admission): DeviceAnswer {
    const operation = this.registrar.start(admission, request.peer);
    const { id, enrollment } = admission;
    const by = enrollment.record.isGroup ? `group ${enrollment.id}` : "its own enrollment";
    tell(this.context, "register", id, `${enrollment.attestation.type} by ${by}`);
    return this.assigning(operation, { operationId: operation.id, status: "assigning" });
  }

  private poll(request: DeviceRequest, admission: Admission): DeviceAnswer {
    const { id } = admission;
    const waitS = this.polls.waitS(id.toLowerCase(), this.context.nowMs());
    const bound = this.context.options.dps.pollsPer10S;
    if (waitS > 0) throw new Throttled(`more than ${bound} polls in ten seconds`, waitS);
    const operation = this.registrar.operation(id);
    if (operation === undefined || operation.id !== request.operationId) {
      throw new DpsError(DpsCode.RegistrationNotFound, "Operation not found");
    }
    const registration = this.registrar.demand(id);
    const { status } = registration;
    tell(this.context, "poll", id, status);
    const head = { operationId: operation.id, status };
    if (operation.isAssigning) {
      const registrationState = { registrationId: id, status };
      return this.assigning(operation, { ...head, registrationState });
    }
    const body = { ...head, registrationState: deviceStateView(registration) };
    return { status: 200, retryAfterS: NO_WAIT, body, code: 0, operationId: operation.id };
  }

  private lookup(admission: Admission): DeviceAnswer {
    const body = deviceStateView(this.registrar.demand(admission.id));
    tell(this.context, "lookup", admission.id, String(body.status));
    return { status: 200, retryAfterS: NO_WAIT, body, code: 0, operationId: "" };
  }

  private assigning(operation: Operation, body: JsonObject): DeviceAnswer {
    const retryAfterS = this.retryAfterS(operation.registrationId);
    return { status: 202, retryAfterS, body, code: 0, operationId: operation.id };
  }

  private retryAfterS(id: string): number {
    const { faults, options } = this.context;
    return faults.fires("dps-retry-after", id)?.value ?? options.dps.retryAfterS;
  }

  private refuse(request: DeviceRequest, error: DpsError): DeviceAnswer {
    const { code, message, reason, status } = error;
    const isThrottled = error instanceof Throttled;
    const step = isThrottled ? "throttled" : "refused";
    tell(this.context, step, request.registrationId, `${request.verb}: ${reason}`, code);
    const retryAfterS = isThrottled ? error.waitS : NO_WAIT;
    const body = errorBody(this.context, code, message);
    return { status, retryAfterS, body, code, operationId: "" };
  }
}
