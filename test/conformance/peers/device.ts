// Device: the official device SDK (azure-iot-device over MQTT) as a peer, on Node and on Bun.
// Neighbours: `strings.ts` brings the calls of `device.ts` of the harness.
// Invariant: nothing here knows what is expected; it does what it is told and says what it sees.

import { Agent } from "node:https";
import { type Message as Mail, NoRetry } from "azure-iot-common";
import {
  Client,
  type DeviceMethodRequest,
  type DeviceMethodResponse,
  Message,
  SharedAccessKeyAuthenticationProvider,
  type Twin,
} from "azure-iot-device";
import { Mqtt, MqttWs } from "azure-iot-device-mqtt";
import { perform, tell, tellError } from "./strings.ts";

interface Making {
  connectionString: string;
  ca: string;
  token?: string;
  /** Life of a token and how long before its end it is renewed, s. */
  tokenS?: number;
  marginS?: number;
  options?: object;
  isStubborn?: boolean;
  /** Port of the WebSocket to go over; without one it is MQTT over TLS. */
  webSocketPort?: number;
}

interface Sending {
  /** Body as text, or its length in bytes. */
  body: string | number;
  system?: Record<string, string>;
  app?: Record<string, string>;
}

const clients = new Map<string, Client>();
const twins = new Map<string, Twin>();

function clientOf(name: string): Client {
  const client = clients.get(name);
  if (client === undefined) throw new Error(`no client ${name}`);
  return client;
}

/** Dials another port than the 443 that the SDK asks for; the SDK keeps its `ca` from agents. */
class Redirect extends Agent {
  constructor(
    private readonly port: number,
    private readonly ca: string,
  ) {
    super();
  }

  override createConnection(options: object, callback: never) {
    return super.createConnection({ ...options, port: this.port, ca: this.ca }, callback);
  }
}

async function make(name: string, making: Making): Promise<void> {
  const { connectionString, ca, token, tokenS, marginS, webSocketPort } = making;
  const transport = webSocketPort === undefined ? Mqtt : MqttWs;
  let client: Client;
  if (token !== undefined) client = Client.fromSharedAccessSignature(token, transport);
  else if (tokenS !== undefined) {
    const provider = SharedAccessKeyAuthenticationProvider.fromConnectionString(
      connectionString,
      tokenS,
      marginS,
    );
    client = Client.fromAuthenticationProvider(provider, transport);
  } else client = Client.fromConnectionString(connectionString, transport);
  const redirect = webSocketPort !== undefined && new Redirect(webSocketPort, ca);
  const mqtt = redirect ? { mqtt: { webSocketAgent: redirect } } : {};
  await client.setOptions({ ca, ...mqtt, ...making.options });
  // Without this a failure is tried again for four minutes.
  if (making.isStubborn !== true) client.setRetryPolicy(new NoRetry());
  client.on("connect", () => tell("connect", name));
  client.on("disconnect", () => tell("disconnect", name));
  client.on("error", (error) => tellError(name, error));
  clients.set(name, client);
}

function messageOf({ body, system = {}, app = {} }: Sending): Message {
  const bytes = typeof body === "string" ? Buffer.from(body) : Buffer.alloc(body, "a");
  const message = new Message(bytes);
  Object.assign(message, system);
  for (const [key, value] of Object.entries(app)) message.properties.add(key, value);
  return message;
}

async function twinOf(name: string): Promise<object> {
  const twin = await clientOf(name).getTwin();
  twins.set(name, twin);
  return properties(twin);
}

function properties(twin: Twin): object {
  const { desired, reported } = JSON.parse(JSON.stringify(twin.properties));
  return { desired, reported };
}

function report(name: string, { patch }: { patch: object }): Promise<void> {
  return new Promise((resolve, reject) => {
    twins.get(name)!.properties.reported.update(patch, (error: Error | null) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

function watch(name: string, { path }: { path: string }): void {
  twins.get(name)!.on(path, (delta) => tell("desired", name, { path, delta }));
}

function answer(name: string, facts: { method: string; status: number; payload: unknown }): void {
  const { method, status, payload } = facts;
  const onCall = (request: DeviceMethodRequest, response: DeviceMethodResponse): void => {
    tell("method", name, { method: request.methodName, payload: request.payload });
    response.send(status, payload, (error?: Error) => {
      if (error) tellError(name, error);
    });
  };
  clientOf(name).onDeviceMethod(method, onCall);
}

function receive(name: string): void {
  const client = clientOf(name);
  client.on("message", async (mail: Mail) => {
    const pairs = mail.properties.propertyList.map(({ key, value }) => [key, value]);
    const app = Object.fromEntries(pairs);
    const { messageId, correlationId, to } = mail;
    const body = Buffer.from(mail.data as Uint8Array).toString();
    try {
      await client.complete(mail);
      tell("mail", name, { body, app, messageId, correlationId, to });
    } catch (error) {
      tellError(name, error);
    }
  });
}

perform({
  make,
  open: async (name) => {
    await clientOf(name).open();
  },
  close: async (name) => {
    await clientOf(name).close();
    clients.delete(name);
  },
  send: async (name, sending: Sending) => {
    await clientOf(name).sendEvent(messageOf(sending));
  },
  batch: async (name, { messages }: { messages: Sending[] }) => {
    await clientOf(name).sendEventBatch(messages.map(messageOf));
  },
  twin: twinOf,
  properties: (name) => properties(twins.get(name)!),
  report,
  watch,
  answer,
  receive,
});
