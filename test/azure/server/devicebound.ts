/**
 * The device's side of REST: fetch and settle cloud-to-device messages. It also answers what an
 * agent wants to know when MQTT says no more than 5: is it the key, the clock, the device?
 * Neighbours: `https.ts` dispatches here. Facts: IoT Hub device REST, `messages/devicebound`.
 * Invariant: the token is checked as CONNECT checks it.
 */

import { percentEncoded } from "../model/bag.ts";
import { isoTime } from "../model/calendar.ts";
import { HubCode, invalid, ServiceError } from "../model/errors.ts";
import type { Hub } from "../model/hub.ts";
import type { Mail } from "../model/mail.ts";
import type { Peer } from "../model/peer.ts";
import { empty } from "./answer.ts";

function demandDevice(hub: Hub, request: Request, id: string, peer: Peer | undefined): void {
  const check = hub.checkToken(id, request.headers.get("authorization") ?? "", peer);
  if (!check.isEnabled) {
    throw new ServiceError(HubCode.DeviceDisabled, `device ${id} is disabled`);
  }
  if (check.problem !== "") {
    throw new ServiceError(HubCode.IotHubUnauthorizedAccess, `Unauthorized: ${check.problem}`);
  }
}

function headersOf(mail: Mail, id: string): Record<string, string> {
  const headers: Record<string, string> = {
    etag: `"${mail.lock}"`,
    "content-type": "application/octet-stream",
    "iothub-messageid": percentEncoded(mail.messageId),
    "iothub-to": `/devices/${id}/messages/devicebound`,
    "iothub-sequencenumber": `${mail.sequence}`,
    "iothub-enqueuedtime": isoTime(mail.enqueuedMs),
    "iothub-expiry": isoTime(mail.expiryMs),
    "iothub-deliverycount": `${mail.deliveries - 1}`,
    "iothub-ack": mail.ack,
  };
  for (const [key, value] of Object.entries(mail.bag.app)) {
    if (key !== "iothub-ack")
      headers[`iothub-app-${percentEncoded(key)}`] = percentEncoded(value ?? "");
  }
  return headers;
}

/**
 * `/devices/{id}/messages/devicebound[/{lock}[/abandon]]`, or undefined when the path is another.
 */
export function deviceCall(
  hub: Hub,
  request: Request,
  url: URL,
  segments: readonly string[],
  peer: Peer | undefined,
): Response | undefined {
  const [room, id = "", messages, bound, lock = "", verb = ""] = segments;
  if (room !== "devices" || messages !== "messages" || bound !== "devicebound") return undefined;
  if ((url.searchParams.get("api-version") ?? "") === "") {
    throw invalid("api-version is missing from the address");
  }
  demandDevice(hub, request, id, peer);
  if (request.method === "GET" && lock === "") {
    const mail = hub.receiveC2d(id);
    if (mail === undefined) return empty();
    return new Response(new Uint8Array(mail.body), { headers: headersOf(mail, id) });
  }
  if (request.method === "DELETE" && verb === "") {
    hub.settleC2d(id, lock, url.searchParams.has("reject") ? "rejected" : "completed");
    return empty();
  }
  if (request.method === "POST" && verb === "abandon") {
    hub.settleC2d(id, lock, "requeued");
    return empty();
  }
  return undefined;
}
