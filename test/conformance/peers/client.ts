// Client: MQTT.js as a peer that knows nothing of Azure, on Node and on Bun.
// Neighbours: `strings.ts` brings the calls of `client.ts` of the harness.
// Invariant: it never reconnects by itself; every packet that arrives is told.

import { connect, type IClientOptions, type IClientPublishOptions, type MqttClient } from "mqtt";
import { perform, tell, tellError } from "./strings.ts";

interface Dialling {
  port: number;
  ca: string;
  options: IClientOptions;
}

const clients = new Map<string, MqttClient>();

function dial(name: string, { port, ca, options }: Dialling): Promise<unknown> {
  const client = connect({
    host: "localhost",
    port,
    protocol: "mqtts",
    ca,
    reconnectPeriod: 0,
    ...options,
  });
  clients.set(name, client);
  client.on("packetreceive", (packet) => tell("packet", name, seen(packet)));
  client.on("close", () => tell("close", name));
  return new Promise((resolve, reject) => {
    client.once("connect", resolve);
    client.once("error", reject);
    client.on("error", (error) => tellError(name, error));
    client.once("close", () => reject(new Error("closed before CONNACK")));
  });
}

function seen(packet: object): object {
  const { payload, ...rest } = packet as { payload?: Buffer | string | null };
  return payload === undefined || payload === null
    ? rest
    : { ...rest, payload: payload.toString() };
}

perform({
  dial,
  subscribe: (name, { filter, qos }: { filter: string | string[]; qos: 0 | 1 | 2 }) => {
    return clients.get(name)!.subscribeAsync(filter, { qos });
  },
  unsubscribe: (name, { filter }: { filter: string }) => {
    return clients.get(name)!.unsubscribeAsync(filter);
  },
  publish: async (name, facts: { topic: string; body: string; options: IClientPublishOptions }) => {
    const packet = await clients.get(name)!.publishAsync(facts.topic, facts.body, facts.options);
    return packet === undefined ? null : seen(packet);
  },
  end: (name) => clients.get(name)!.endAsync(),
  /** The network is gone: no DISCONNECT. */
  cut: (name) => {
    (clients.get(name) as unknown as { stream: { destroy(): void } }).stream.destroy();
  },
});
