// Service: the official service SDK (azure-iothub over HTTPS) as a peer, on Node and on Bun.
// Neighbours: `strings.ts` brings the calls of `service.ts` of the harness.
// Invariant: nothing here knows what is expected; it does what it is told and says what it sees.

import { Agent } from "node:https";
import { Client, type DeviceMethodParams, Registry, type Twin } from "azure-iothub";
import { perform } from "./strings.ts";

interface Making {
  connectionString: string;
  ca: string;
  httpsPort: number;
}

/** What an answer of the SDK carries beside its value. */
interface Answer {
  responseBody?: unknown;
  httpResponse?: { statusCode?: number };
}

interface Rest {
  _restApiClient: { setOptions(options: object): void };
}

const registries = new Map<string, Registry>();
const callers = new Map<string, Client>();
const twins = new Map<string, Twin>();

function make(name: string, { connectionString, ca, httpsPort }: Making): void {
  // The SDK takes no port (azure.md 5.1): the agent of its requests has another default.
  const agent = new Agent({ ca, keepAlive: true }) as Agent & { defaultPort: number };
  agent.defaultPort = httpsPort;
  const registry = Registry.fromConnectionString(connectionString);
  const client = Client.fromConnectionString(connectionString);
  for (const each of [registry, client]) {
    (each as unknown as Rest)._restApiClient.setOptions({ http: { agent } });
  }
  registries.set(name, registry);
  callers.set(name, client);
}

/** Calls a method of the registry by its name: `{status, body}`. */
async function registry(name: string, { verb, words }: { verb: string; words: unknown[] }) {
  const target = registries.get(name) as unknown as Record<
    string,
    (...words: unknown[]) => Promise<Answer>
  >;
  const { responseBody, httpResponse } = await target[verb]!(...words);
  return { status: httpResponse?.statusCode ?? 0, body: responseBody ?? null };
}

function plain(twin: Twin): object {
  const { deviceId, etag, tags, properties } = twin;
  return { deviceId, etag, tags, properties };
}

async function twin(name: string, { id }: { id: string }): Promise<object> {
  const { responseBody } = await registries.get(name)!.getTwin(id);
  twins.set(id, responseBody);
  return plain(responseBody);
}

/** Updates by the Twin object that was read last, under its etag. */
async function change(_name: string, { id, patch }: { id: string; patch: object }) {
  const twin = twins.get(id)!;
  await twin.update(patch);
  return plain(twin);
}

/** All pages of a query, each a list of twins or rows. */
async function query(name: string, facts: { text: string; size: number; asTwin: boolean }) {
  const found = registries.get(name)!.createQuery(facts.text, facts.size);
  const pages: object[][] = [];
  while (found.hasMoreResults) {
    const { result } = facts.asTwin ? await found.nextAsTwin() : await found.next();
    pages.push(facts.asTwin ? result.map(plain) : result);
  }
  return pages;
}

async function method(name: string, { id, call }: { id: string; call: DeviceMethodParams }) {
  const { result } = await callers.get(name)!.invokeDeviceMethod(id, call);
  return result;
}

perform({ make, registry, twin, change, query, method });
