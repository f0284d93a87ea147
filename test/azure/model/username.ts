/**
 * The user name of a CONNECT: `{host}/{deviceId}/?api-version=…&DeviceClientType=…`. Neighbours:
 * `admission.ts` judges the parts. Facts: IoT Hub MQTT guide; the edge hub's parser also takes the
 * query without `?`, lets the first of two equal keys win and ignores unknown keys.
 * Invariant: a name that parses has a host, a device id and a non-empty api-version.
 */
import { percentDecoded } from "./bag.ts";

/** Parts of a user name. */
export interface Username {
  host: string;
  deviceId: string;
  /** `''` for a device. */
  moduleId: string;
  apiVersion: string;
  clientType: string;
  modelId: string;
}

/** Takes a user name apart; a text instead is the problem. */
export function parseUsername(text: string): Username | string {
  const segments = text.split("/");
  const host = segments[0] ?? "";
  const deviceId = segments[1] ?? "";
  if (host === "" || deviceId === "" || segments.length < 3) {
    return "user name is not {host}/{deviceId}/?api-version=…";
  }
  const isQuery = (part: string): boolean => part.startsWith("?") || part.includes("=");
  const hasModule = segments.length > 3 && !isQuery(segments[2]!);
  const query = segments.slice(hasModule ? 3 : 2).join("/");
  const fields = new Map<string, string>();
  for (const pair of query.replace(/^\?/, "").split("&")) {
    const equals = pair.indexOf("=");
    const key = equals < 0 ? pair : pair.slice(0, equals);
    const raw = equals < 0 ? "" : pair.slice(equals + 1);
    if (!fields.has(key)) fields.set(key, percentDecoded(raw) ?? raw);
  }
  const apiVersion = fields.get("api-version") ?? "";
  if (apiVersion === "") return "user name without api-version";
  return {
    host,
    deviceId,
    moduleId: hasModule ? segments[2]! : "",
    apiVersion,
    clientType: fields.get("DeviceClientType") ?? "",
    modelId: fields.get("model-id") ?? "",
  };
}
