/**
 * The user name by which a device asks for the provisioning service on the MQTT port:
 * `{idScope}/registrations/{registrationId}/api-version=…&ClientVersion=…`, without a `?`.
 * Neighbours: `portal.ts`. Invariant: a user name of the hub is never taken for one of these.
 */
import { percentDecoded } from "../bag.ts";

/** Parts of a user name. */
export interface Registrant {
  idScope: string;
  registrationId: string;
  /** `''` when it is missing. */
  apiVersion: string;
}

/** Behind the id no `?`: that is how user names of the hub and its modules go on. */
const NAME = /^([^/]+)\/registrations\/([^/?]+)\/(?!\?)(.*)$/;

/** Takes a user name apart; undefined when it is none for this service. */
export function parseRegistrant(text: string): Registrant | undefined {
  const match = NAME.exec(text);
  if (match === null) return undefined;
  const [, idScope, id, query] = match as unknown as [string, string, string, string];
  const fields = query.split("&").map((pair) => pair.split("="));
  const apiVersion = fields.find(([key]) => key === "api-version")?.[1] ?? "";
  return { idScope, registrationId: percentDecoded(id) ?? id, apiVersion };
}
