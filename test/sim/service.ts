// Service: the way of one simulated gateway to DPS: HTTPS without TLS, over its network.
// Neighbours: `gateway` owns it; `azure/model/dps` answers, as it does behind real sockets.
// Invariant: each request has one answer, or none came back and that is said; never from inside.

import type { WebAnswer, WebRequest } from "../../src/core/effects.ts";
import { DpsError } from "../azure/model/dps/errors.ts";
import type { DeviceRequest } from "../azure/model/dps/request.ts";
import type { Hub } from "../azure/model/hub.ts";
import type { JsonObject } from "../azure/model/merge.ts";

const PATH = /^\/([^/]+)\/registrations\/([^/]+)\/(register|operations\/([^?]+))\?/;

export const SILENT: WebAnswer = {
  status: 0,
  dateS: Number.NaN,
  retryAfterS: Number.NaN,
  body: "",
  problem: "the simulated network is down",
};

/** Asks the model of the service; `dateS` is its clock in Unix s. */
export function askDps(
  hub: Hub,
  request: WebRequest,
  dateS: () => number,
  done: (answer: WebAnswer) => void,
): void {
  const [, idScope = "", registrationId = "", verb = "", operationId = ""] =
    PATH.exec(request.path) ?? [];
  const asked: DeviceRequest = {
    verb: verb === "register" ? "register" : "poll",
    transport: "https",
    idScope: decodeURIComponent(idScope),
    registrationId: decodeURIComponent(registrationId),
    operationId: decodeURIComponent(operationId),
    authorization: request.authorization,
    peer: undefined,
    body: request.body === "" ? {} : (JSON.parse(request.body) as JsonObject),
  };
  const tell = (status: number, retryAfterS: number, body: object): void =>
    done({ status, dateS: dateS(), retryAfterS, body: JSON.stringify(body), problem: "" });
  try {
    hub.dps.request(asked, ({ status, retryAfterS, body }) => {
      tell(status, retryAfterS < 0 ? Number.NaN : retryAfterS, body);
    });
  } catch (error) {
    if (!(error instanceof DpsError)) throw error;
    tell(error.status, Number.NaN, { errorCode: error.code, message: error.message });
  }
}
