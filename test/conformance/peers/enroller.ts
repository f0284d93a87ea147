// Enroller: the official provisioning service SDK over HTTPS as a peer, on Node and on Bun.
// Neighbours: `strings.ts` brings the calls of `enrollment.ts` and `applicant.ts` of the harness.
// Invariant: nothing here knows what is expected; it does what it is told and says what it sees.

import { Agent } from "node:https";
import { ProvisioningServiceClient } from "azure-iot-provisioning-service";
import { perform } from "./strings.ts";

interface Making {
  connectionString: string;
  ca: string;
  httpsPort: number;
}

interface Rest {
  _restApiClient: { setOptions(options: object): void };
}

type Done = (error: Error | null, value?: unknown, response?: { statusCode?: number }) => void;
type Verb = (...words: unknown[]) => void;

interface Pages {
  hasMoreResults: boolean;
  next(done: Done): void;
}

const clients = new Map<string, ProvisioningServiceClient>();

function make(name: string, { connectionString, ca, httpsPort }: Making): void {
  // The SDK takes no port (azure.md 5.1): the agent of its requests has another default.
  const agent = new Agent({ ca, keepAlive: true }) as Agent & { defaultPort: number };
  agent.defaultPort = httpsPort;
  const client = ProvisioningServiceClient.fromConnectionString(connectionString);
  (client as unknown as Rest)._restApiClient.setOptions({ http: { agent } });
  clients.set(name, client);
}

function taken(work: (done: Done) => void): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    work((error, body, response) => {
      if (error) reject(error);
      else resolve({ status: response?.statusCode ?? 0, body: body ?? null });
    });
  });
}

/** Calls a method by its name; with a callback, for the SDK's bulk call never fulfils a promise. */
function ask(name: string, { verb, words }: { verb: string; words: unknown[] }) {
  const client = clients.get(name) as unknown as Record<string, Verb>;
  return taken((done) => client[verb]!(...words, done));
}

interface Asking {
  of: "enrollments" | "groups" | "registrations";
  group?: string;
  text: string;
  size?: number;
}

/** All pages of a query. */
async function query(name: string, { of, group = "", text, size }: Asking) {
  const client = clients.get(name)!;
  const words = { query: text };
  const count = size as number;
  let pages: Pages;
  if (of === "enrollments") pages = client.createIndividualEnrollmentQuery(words, count);
  else if (of === "groups") pages = client.createEnrollmentGroupQuery(words, count);
  else pages = client.createEnrollmentGroupDeviceRegistrationStateQuery(words, group, count);
  const found: unknown[] = [];
  while (pages.hasMoreResults) found.push((await taken((done) => pages.next(done))).body);
  return found;
}

perform({ make, ask, query });
