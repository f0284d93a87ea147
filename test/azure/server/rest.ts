/**
 * The service REST interface: registry, twins, methods, query, statistics. Neighbours: `https.ts`
 * dispatches by path; `bulk.ts` has the many-devices call. Facts: IoT Hub REST, api-version
 * 2021-04-12. Invariant: every call needs a token of a policy with the right for it.
 */
import { HubCode, invalid, ServiceError } from "../model/errors.ts";
import type { Hub } from "../model/hub.ts";
import { clone, isObject, type Json, type JsonObject } from "../model/merge.ts";
import type { MethodRequest, MethodResult } from "../model/methods.ts";
import { Right } from "../model/policy.ts";
import type { Match } from "../model/registry.ts";
import { bodyJson, empty, json } from "./answer.ts";
import { bulk } from "./bulk.ts";

const LIST_MAX = 1000;
const PAGE_MAX = 100;

/** The precondition of a request: `*`, an etag without its quotes, or undefined. */
export function match(request: Request): Match {
  const header = request.headers.get("if-match");
  if (header === null || header === "") return undefined;
  return header.trim().replace(/^(?:W\/)?"(.*)"$/, "$1");
}

/** Body of a request as a JSON object; throws 400. */
export async function bodyObject(request: Request): Promise<JsonObject> {
  const body = await bodyJson(request);
  if (!isObject(body)) throw invalid("the body is not a JSON object");
  return clone(body) as JsonObject;
}

function demandVersion(url: URL): void {
  if ((url.searchParams.get("api-version") ?? "") === "") {
    throw invalid("api-version is missing from the address");
  }
}

async function onDevice(hub: Hub, request: Request, id: string): Promise<Response | undefined> {
  const allow = (right: Right): void =>
    hub.demandRight(request.headers.get("authorization") ?? "", right);
  switch (request.method) {
    case "GET":
      allow(Right.RegistryRead);
      return tagged(hub.getDevice(id));
    case "PUT": {
      allow(Right.RegistryWrite);
      const body = await bodyObject(request);
      const etag = match(request);
      if (etag === undefined) return tagged(hub.createDevice(id, body));
      return tagged(hub.updateDevice(id, body, etag));
    }
    case "DELETE":
      allow(Right.RegistryWrite);
      hub.deleteDevice(id, match(request) ?? "*");
      return empty();
    default:
      return undefined;
  }
}

function tagged(view: JsonObject): Response {
  return json(view, 200, { etag: `"${view.etag as string}"` });
}

async function onTwin(hub: Hub, request: Request, id: string): Promise<Response | undefined> {
  switch (request.method) {
    case "GET":
      return tagged(hub.getTwin(id));
    case "PATCH":
      return tagged(hub.patchTwin(id, await bodyObject(request), match(request)));
    case "PUT":
      return tagged(hub.replaceTwin(id, await bodyObject(request), match(request)));
    default:
      return undefined;
  }
}

/**
 * Calls a method and waits for what becomes of it; throws what the model throws. `settle` is told
 * at once, for the call's deadlines come before its answer.
 */
function invoke(hub: Hub, id: string, call: MethodRequest, settle: () => void) {
  return new Promise<MethodResult>((resolve, reject) => {
    hub.invokeMethod(id, call, (result) => {
      if (result instanceof ServiceError) reject(result);
      else resolve(result);
    });
    settle();
  });
}

async function onQuery(hub: Hub, request: Request): Promise<Response> {
  const body = await bodyObject(request);
  if (typeof body.query !== "string") throw invalid("query must be a string");
  const count = Number(request.headers.get("x-ms-max-item-count") ?? PAGE_MAX);
  const from = Number(request.headers.get("x-ms-continuation") || 0);
  if (!Number.isInteger(count) || count < 1) throw invalid("x-ms-max-item-count must be 1 or more");
  if (!Number.isInteger(from) || from < 0) throw invalid("x-ms-continuation is not one of ours");
  const page = hub.query(body.query, from, Math.min(count, PAGE_MAX));
  const more: Record<string, string> = page.next < 0 ? {} : { "x-ms-continuation": `${page.next}` };
  return json(page.items, 200, { "x-ms-item-type": "twin", ...more });
}

/**
 * Runs a call of the service interface, or gives undefined when the path is none of its own.
 * `settle`: to be called when the hub has new deadlines before the call is over.
 */
export async function serviceCall(
  hub: Hub,
  request: Request,
  url: URL,
  segments: readonly string[],
  settle: () => void,
): Promise<Response | undefined> {
  const [room, id = "", verb = ""] = segments;
  if (room !== "devices" && room !== "twins" && room !== "statistics") return undefined;
  demandVersion(url);
  const allow = (right: Right): void =>
    hub.demandRight(request.headers.get("authorization") ?? "", right);
  const { method } = request;
  if (room === "statistics") return onStatistics(hub, id, allow);
  if (room === "twins") {
    allow(Right.ServiceConnect);
    if (verb === "modules") throw new ServiceError(HubCode.DeviceNotFound, "no modules here");
    if (verb === "" && id !== "") return onTwin(hub, request, id);
    if (verb !== "methods" || method !== "POST") return undefined;
    const call = (await bodyObject(request)) as unknown as MethodRequest;
    return json(await invoke(hub, id, call, settle));
  }
  if (id === "query" && method === "POST") {
    allow(Right.RegistryRead);
    return onQuery(hub, request);
  }
  if (id === "" && method === "GET") {
    allow(Right.RegistryRead);
    return json(
      hub.listDevices(Math.min(Number(url.searchParams.get("top") || LIST_MAX), LIST_MAX)),
    );
  }
  if (id === "" && method === "POST") {
    allow(Right.RegistryWrite);
    return bulk(hub, (await bodyJson(request)) as Json);
  }
  return id !== "" && verb === "" ? onDevice(hub, request, id) : undefined;
}

function onStatistics(hub: Hub, what: string, allow: (right: Right) => void): Response | undefined {
  if (what !== "devices" && what !== "service") return undefined;
  allow(what === "devices" ? Right.RegistryRead : Right.ServiceConnect);
  const { connectedDeviceCount, ...counts } = hub.statistics();
  return json(what === "devices" ? counts : { connectedDeviceCount });
}
