/**
 * The error codes that IoT Hub writes into its own logs and into REST answers. Neighbours: every
 * refusal and close of the model names one; `server/rest.ts` turns them into HTTP bodies.
 * Invariant: the HTTP status of a code is its first three digits.
 */

/** Codes of IoT Hub's error list; the name is the `ErrorCode` of a REST body. */
export enum HubCode {
  None = 0,
  ArgumentInvalid = 400004,
  ConnectionForcefullyClosedOnNewConnection = 400027,
  ConnectionClosedForServiceUpgrade = 400029,
  ConnectionRefusedDuringServiceUpgrade = 400030,
  IotHubUnauthorizedAccess = 401003,
  IotHubQuotaExceeded = 403002,
  DeviceMaximumQueueDepthExceeded = 403004,
  DeviceDisabled = 403012,
  TooManyDirectMethods = 403800,
  DeviceNotFound = 404001,
  DeviceNotOnline = 404103,
  DeviceConnectionClosedRemotely = 404104,
  DeviceAlreadyExists = 409001,
  LinkCreationConflict = 409002,
  PreconditionFailed = 412001,
  DeviceMessageLockLost = 412002,
  MessageTooLarge = 413001,
  ThrottlingException = 429001,
  ThrottleBacklogLimitExceeded = 429002,
  ServerError = 500001,
  BadDeviceResponse = 502000,
  GatewayTimeout = 504101,
}

/** Name of a hub code, `''` for none. */
export function codeName(code: HubCode): string {
  return code === HubCode.None ? "" : HubCode[code];
}

/** A service call that was refused. */
export class ServiceError extends Error {
  /** HTTP status, 400 to 599. */
  readonly status: number;
  readonly codeName: string;
  constructor(
    readonly code: HubCode,
    message: string,
  ) {
    super(message);
    this.name = "ServiceError";
    this.status = Math.floor(code / 1000);
    this.codeName = codeName(code);
  }
}

/** Refuses an argument of a service call: 400. */
export function invalid(message: string): ServiceError {
  return new ServiceError(HubCode.ArgumentInvalid, message);
}

/** Refuses a device that the registry does not know: 404. */
export function notFound(deviceId: string): ServiceError {
  return new ServiceError(HubCode.DeviceNotFound, `device ${deviceId} is not registered`);
}
