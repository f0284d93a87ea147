/**
 * The service side of the provisioning service: enrollments, groups, registration states.
 * Neighbours: `https.ts` dispatches here, `model/dps/dps.ts` does the work. Facts: DPS service
 * REST, api-version 2021-10-01; clients write some names in lower case. Invariant: every call needs
 * a token of a policy with the right for it.
 */
import type { Dps, Kind } from "../model/dps/dps.ts";
import { DpsError, malformed } from "../model/dps/errors.ts";
import { DpsRight } from "../model/dps/policy.ts";
import type { JsonObject } from "../model/merge.ts";
import { empty, json } from "./answer.ts";
import {
  demandApiVersion,
  dpsBody,
  dpsRefusal,
  pageAnswer,
  pageWanted,
  wrongMethod,
} from "./dpsanswer.ts";
import { match } from "./rest.ts";

const ROOMS: ReadonlyMap<string, Kind | "registration"> = new Map<string, Kind | "registration">([
  ["enrollments", "device"],
  ["enrollmentgroups", "group"],
  ["registrations", "registration"],
]);

const QUERY = /^\s*(?:select\s+\*(?:\s+from\s+\w+)?\s*)?$/i;

/** One call under way. */
interface Call {
  dps: Dps;
  request: Request;
  url: URL;
  id: string;
  verb: string;
}

function allow({ dps, request, url }: Call, right: DpsRight): void {
  const authorization = request.headers.get("authorization") ?? "";
  dps.demandRight({ authorization, host: url.hostname }, right);
}

function tagged(view: JsonObject): Response {
  return json(view, 200, { etag: `"${view.etag as string}"` });
}

async function demandPlainQuery(request: Request): Promise<void> {
  const { query } = await dpsBody(request);
  if (typeof query !== "string" || !QUERY.test(query)) {
    throw malformed("query: only SELECT * FROM … without conditions is offered");
  }
}

async function query(call: Call, kind: Kind): Promise<Response> {
  allow(call, DpsRight.EnrollmentRead);
  await demandPlainQuery(call.request);
  const { from, count } = pageWanted(call.request);
  const type = kind === "device" ? "enrollment" : "enrollmentGroup";
  return pageAnswer(call.dps.listEnrollments(kind, from, count), type);
}

async function onEnrollment(call: Call, kind: Kind): Promise<Response> {
  const { dps, request, url, id, verb } = call;
  const isPost = request.method === "POST";
  if (isPost && id === "query" && verb === "") return query(call, kind);
  if (isPost && id === "") {
    allow(call, DpsRight.EnrollmentWrite);
    return json(dps.bulk(kind, await dpsBody(request)));
  }
  if (isPost && verb === "attestationmechanism") {
    // Keys are for those who may set them.
    allow(call, DpsRight.EnrollmentWrite);
    return json(dps.mechanism(kind, id));
  }
  if (id === "" || verb !== "") throw wrongMethod(request, url);
  switch (request.method) {
    case "GET":
      allow(call, DpsRight.EnrollmentRead);
      return tagged(dps.getEnrollment(kind, id));
    case "PUT":
      allow(call, DpsRight.EnrollmentWrite);
      return tagged(dps.putEnrollment(kind, id, await dpsBody(request), match(request)));
    case "DELETE":
      allow(call, DpsRight.EnrollmentWrite);
      dps.deleteEnrollment(kind, id, match(request));
      return empty();
    default:
      throw wrongMethod(request, url);
  }
}

async function onRegistration(call: Call): Promise<Response> {
  const { dps, request, url, id, verb } = call;
  if (request.method === "POST" && verb === "query") {
    allow(call, DpsRight.RegistrationRead);
    await demandPlainQuery(request);
    const { from, count } = pageWanted(request);
    return pageAnswer(dps.listRegistrations(id, from, count), "registrations");
  }
  if (id === "" || verb !== "") throw wrongMethod(request, url);
  switch (request.method) {
    case "GET":
      allow(call, DpsRight.RegistrationRead);
      return tagged(dps.getRegistration(id));
    case "DELETE":
      allow(call, DpsRight.RegistrationWrite);
      dps.deleteRegistration(id, match(request));
      return empty();
    default:
      throw wrongMethod(request, url);
  }
}

/** Runs a service's call, or gives undefined when the path is none of this service. */
export async function enrollmentCall(
  dps: Dps,
  request: Request,
  url: URL,
  segments: readonly string[],
): Promise<Response | undefined> {
  const [first = "", id = "", verb = ""] = segments;
  const room = ROOMS.get(first.toLowerCase());
  if (room === undefined) return undefined;
  const call: Call = { dps, request, url, id, verb: verb.toLowerCase() };
  try {
    demandApiVersion(url);
    return await (room === "registration" ? onRegistration(call) : onEnrollment(call, room));
  } catch (error) {
    if (!(error instanceof DpsError)) throw error;
    return dpsRefusal(dps, error);
  }
}
