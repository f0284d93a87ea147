/**
 * HTTP answers in the form of the service: JSON bodies, error bodies, a `Date` that a fault can
 * shift. Neighbours: `rest.ts`, `devicebound.ts` and `control.ts` answer with these.
 * Invariant: every answer passes `dated` on its way out, so none is without a `Date`.
 */
import { randomUUID } from "node:crypto";
import { HubCode, ServiceError } from "../model/errors.ts";
import type { Hub } from "../model/hub.ts";

const JSON_TYPE = "application/json; charset=utf-8";
const BODY_BYTES_MAX = 4_194_304;

/** A JSON answer. */
export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  const all = { "content-type": JSON_TYPE, ...headers };
  return new Response(JSON.stringify(value), { status, headers: all });
}

/** An answer without a body. */
export function empty(status = 204, headers: Record<string, string> = {}): Response {
  return new Response(null, { status, headers });
}

/** The service's error body: `ErrorCode:{name};{text}`, which the SDKs take apart. */
export function refusal(error: ServiceError): Response {
  const tracking = `Tracking ID:${randomUUID()}-TimeStamp:${new Date().toISOString()}`;
  const body = {
    Message: `ErrorCode:${error.codeName};${error.message}`,
    ExceptionMessage: tracking,
  };
  return json(body, error.status, { "iothub-errorcode": error.codeName });
}

/** An answer to what is not a call of this service at all. */
export function plain(status: number, text: string): Response {
  return json({ Message: text, ExceptionMessage: "" }, status);
}

/** Sets `Date`, shifted by the `date-skew` fault, and a request id. */
export function dated(hub: Hub, response: Response): Response {
  const skewS = hub.faults.peek("date-skew")?.value ?? 0;
  response.headers.set("date", new Date(Date.now() + skewS * 1000).toUTCString());
  response.headers.set("x-ms-request-id", randomUUID());
  return response;
}

/** Body of a request as bytes; throws 413 beyond 4 MB. */
export async function bodyBytes(request: Request): Promise<Uint8Array> {
  const bytes = new Uint8Array(await request.arrayBuffer());
  if (bytes.length > BODY_BYTES_MAX) {
    throw new ServiceError(HubCode.MessageTooLarge, `body of more than ${BODY_BYTES_MAX} bytes`);
  }
  return bytes;
}

/** Body of a request as JSON; throws 400. */
export async function bodyJson(request: Request): Promise<unknown> {
  const text = Buffer.from(await bodyBytes(request)).toString();
  try {
    return JSON.parse(text);
  } catch {
    throw new ServiceError(HubCode.ArgumentInvalid, "the body is not JSON");
  }
}
