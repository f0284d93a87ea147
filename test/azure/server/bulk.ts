/**
 * `POST /devices`: up to 100 registry changes in one call. Neighbours: `rest.ts` dispatches here.
 * Facts: azure-iothub sends `id` instead of `deviceId`, and an `importMode` for each.
 * Invariant: one refused change does not stop the others; the answer names each refusal.
 */
import { invalid, ServiceError } from "../model/errors.ts";
import type { Hub } from "../model/hub.ts";
import { isObject, type Json, type JsonObject } from "../model/merge.ts";
import { json } from "./answer.ts";

const CHANGES_MAX = 100;

function apply(hub: Hub, id: string, change: JsonObject): void {
  const { id: _id, importMode, ...body } = change;
  const etag = typeof body.eTag === "string" ? body.eTag : String(body.etag ?? "");
  switch (String(importMode).toLowerCase()) {
    case "create":
      hub.createDevice(id, body);
      return;
    case "update":
      hub.updateDevice(id, body);
      return;
    case "updateifmatchetag":
      hub.updateDevice(id, body, etag);
      return;
    case "delete":
      hub.deleteDevice(id);
      return;
    case "deleteifmatchetag":
      hub.deleteDevice(id, etag);
      return;
    default:
      throw invalid("importMode must be create, update[IfMatchETag] or delete[IfMatchETag]");
  }
}

/** Runs the changes of a body in order. */
export function bulk(hub: Hub, body: Json): Response {
  if (!Array.isArray(body) || body.length < 1 || body.length > CHANGES_MAX) {
    throw invalid(`the body must be an array of 1 to ${CHANGES_MAX} devices`);
  }
  const errors: JsonObject[] = [];
  for (const change of body) {
    if (!isObject(change)) throw invalid("each item must be an object");
    const id = String(change.id ?? change.deviceId ?? "");
    try {
      apply(hub, id, change);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      errors.push({ deviceId: id, errorCode: error.codeName, errorStatus: error.message });
    }
  }
  return json({ isSuccessful: errors.length === 0, errors, warnings: [] });
}
