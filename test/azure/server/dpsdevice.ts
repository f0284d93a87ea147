/**
 * The device side of the provisioning service over HTTPS: register, poll, look up. Neighbours:
 * `https.ts` dispatches here, the model answers. Facts: DPS device REST, api-version 2021-10-01 and
 * those before it. Invariant: `Retry-After` and `Location` go out when a registration is under way.
 */
import { DpsError, malformed } from "../model/dps/errors.ts";
import type { DeviceAnswer, DeviceRequest } from "../model/dps/request.ts";
import type { Peer } from "../model/peer.ts";
import { json } from "./answer.ts";
import { demandApiVersion, dpsBody, dpsRefusal, wrongMethod } from "./dpsanswer.ts";
import type { Runner } from "./runner.ts";

/** What a path asks for: `/{idScope}/registrations/{id}[/register|/operations/{operationId}]`. */
function verbOf(request: Request, url: URL, segments: readonly string[]): DeviceRequest["verb"] {
  const [, , , verb = "", operationId = ""] = segments;
  const call = `${request.method} ${verb}`;
  if (call === "PUT register" && segments.length === 4) return "register";
  if (call === "GET operations" && operationId !== "") return "poll";
  if (call === "POST " && segments.length === 3) return "lookup";
  throw wrongMethod(request, url);
}

function headersOf(answer: DeviceAnswer, url: URL, path: string): Record<string, string> {
  const headers: Record<string, string> = {};
  if (answer.code !== 0) headers["x-ms-error-code"] = `${answer.code}`;
  if (answer.retryAfterS >= 0) headers["retry-after"] = `${answer.retryAfterS}`;
  if (answer.status === 202) {
    const version = encodeURIComponent(url.searchParams.get("api-version") ?? "");
    const target = `${path}/operations/${answer.operationId}?api-version=${version}`;
    headers.location = `https://${url.host}${target}`;
  }
  return headers;
}

async function ask(
  runner: Runner,
  request: Request,
  url: URL,
  segments: readonly string[],
  peer: Peer | undefined,
): Promise<Response> {
  const [idScope = "", , registrationId = "", , operationId = ""] = segments;
  demandApiVersion(url);
  const verb = verbOf(request, url, segments);
  if (registrationId === "") throw malformed("the registration id is missing from the address");
  const asked: DeviceRequest = {
    verb,
    transport: "https",
    idScope,
    registrationId,
    operationId,
    authorization: request.headers.get("authorization") ?? "",
    peer,
    // A poll carries whatever its client likes; a look-up may carry nothing.
    body: verb === "register" ? await dpsBody(request) : Object.create(null),
  };
  const answer = await new Promise<DeviceAnswer>((resolve) => {
    runner.hub.dps.request(asked, resolve);
    runner.settle();
  });
  const [scope, id] = [idScope, registrationId].map(encodeURIComponent);
  const path = `/${scope}/registrations/${id}`;
  return json(answer.body, answer.status, headersOf(answer, url, path));
}

/** Runs a device's call, or gives undefined when the path is none of this service. */
export async function registrantCall(
  runner: Runner,
  request: Request,
  url: URL,
  segments: readonly string[],
  peer: Peer | undefined,
): Promise<Response | undefined> {
  if (segments.length < 3 || segments[1] !== "registrations") return undefined;
  try {
    return await ask(runner, request, url, segments, peer);
  } catch (error) {
    if (!(error instanceof DpsError)) throw error;
    return dpsRefusal(runner.hub.dps, error);
  }
}
