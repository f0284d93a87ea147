/**
 * HTTP forms of the provisioning service: refusals with their code in body and header, paging.
 * Neighbours: `dpsdevice.ts` and `dpsservice.ts` answer with these. Facts: DPS REST, error details.
 * Invariant: a refusal by the model and one by HTTP itself look alike.
 */
import type { Dps } from "../model/dps/dps.ts";
import { DpsCode, DpsError, malformed } from "../model/dps/errors.ts";
import { clone, isObject, type JsonObject } from "../model/merge.ts";
import { json } from "./answer.ts";

/** Largest body that the service takes, bytes. */
const BODY_BYTES_MAX = 98_304;
const PAGE_MAX = 100;

/** Which page of a list is wanted. */
export interface PageWanted {
  from: number;
  count: number;
}

/** Error body and `x-ms-error-code`. */
export function dpsRefusal(dps: Dps, error: DpsError): Response {
  return json(dps.errorBody(error), error.status, { "x-ms-error-code": `${error.code}` });
}

/** Refuses a method that a path does not have: 405. */
export function wrongMethod(request: Request, url: URL): DpsError {
  const text = `${request.method} is not a method of ${url.pathname}`;
  return new DpsError(DpsCode.MethodNotAllowed, text);
}

/** Throws 400 unless the address names an api-version. */
export function demandApiVersion(url: URL): void {
  if ((url.searchParams.get("api-version") ?? "") === "") {
    throw malformed("api-version is missing from the address");
  }
}

/** Body of a request as a JSON object; throws 400 or, for another content type, 415. */
export async function dpsBody(request: Request): Promise<JsonObject> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/json\b/i.test(type)) {
    const text = `content-type ${JSON.stringify(type)}; application/json is allowed`;
    throw new DpsError(DpsCode.UnsupportedMediaType, text);
  }
  const bytes = Buffer.from(await request.arrayBuffer());
  if (bytes.length > BODY_BYTES_MAX) throw malformed(`body of more than ${BODY_BYTES_MAX} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    throw malformed("the body is not JSON");
  }
  if (!isObject(value)) throw malformed("the body is not a JSON object");
  return clone(value) as JsonObject;
}

/** The page that the headers of a query ask for; throws 400. */
export function pageWanted(request: Request): PageWanted {
  const count = Number(request.headers.get("x-ms-max-item-count") || PAGE_MAX);
  const from = Number(request.headers.get("x-ms-continuation") || 0);
  if (!Number.isInteger(count) || count < 1) {
    throw malformed("x-ms-max-item-count must be 1 or more");
  }
  if (!Number.isInteger(from) || from < 0) {
    throw malformed("x-ms-continuation is not one of ours");
  }
  return { from, count: Math.min(count, PAGE_MAX) };
}

/** One page of a list, with the header that leads to the next. */
export function pageAnswer(page: { items: JsonObject[]; next: number }, type: string): Response {
  const more: Record<string, string> = page.next < 0 ? {} : { "x-ms-continuation": `${page.next}` };
  return json(page.items, 200, { "x-ms-item-type": type, ...more });
}
