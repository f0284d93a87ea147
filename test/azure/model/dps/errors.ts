/**
 * Refusals of the provisioning service. Neighbours: every part throws them; `server/dpsanswer.ts`
 * and `portal.ts` turn them into bodies. Invariant: the status of a code is its first three digits;
 * what a device hears may be less than what the log is told.
 */
import { ServiceError } from "../errors.ts";

/**
 * Codes in error bodies. 400208, 400209, 401002, 404201, 404202 and the hub's common ones are seen
 * in the wild; 404001, 405001 and 415001 follow their pattern.
 */
export enum DpsCode {
  None = 0,
  ArgumentInvalid = 400004,
  IotHubNotFound = 400208,
  IotHubUnauthorized = 400209,
  Unauthorized = 401002,
  ServiceNotFound = 404001,
  EnrollmentNotFound = 404201,
  RegistrationNotFound = 404202,
  MethodNotAllowed = 405001,
  AlreadyExists = 409001,
  PreconditionFailed = 412001,
  UnsupportedMediaType = 415001,
  Throttled = 429001,
  ServerError = 500001,
}

/** A refused call. */
export class DpsError extends Error {
  /** HTTP status, 400 to 599. */
  readonly status: number;
  /** For the log. */
  readonly reason: string;

  /** `message` goes to the caller; `reason`, when given, to the log only. */
  constructor(
    readonly code: number,
    message: string,
    reason = message,
  ) {
    super(message);
    this.name = "DpsError";
    this.status = Math.floor(code / 1000);
    this.reason = reason;
  }
}

/** Refuses a part of a request: 400. */
export function malformed(message: string): DpsError {
  return new DpsError(DpsCode.ArgumentInvalid, message);
}

/** Refuses a device, which hears no more than that: 401. */
export function unauthorized(reason: string): DpsError {
  return new DpsError(DpsCode.Unauthorized, "Unauthorized", reason);
}

/** Runs `work`; a refusal by the hub's rules becomes one of this service. */
export function withDpsErrors<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof ServiceError) throw new DpsError(error.code, error.message);
    throw error;
  }
}
