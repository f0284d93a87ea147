// MQTT.js as a publishing client, on Node.
// Neighbours: `publish.ts` starts it; `workshop.ts` makes the file that Node runs.
// Invariant: WINDOW messages in flight, the next one published from each acknowledgement;
// certificate and host name are checked.

import { readFileSync } from "node:fs";
import { connect } from "mqtt";
import { Meter } from "../client/meter.ts";
import { readOrder } from "../client/order.ts";

const order = readOrder();
const meter = new Meter(order.warm, order.messages);
const payload = Buffer.from(order.payload);
let published = 0;
let acknowledged = 0;

const client = connect({
  protocol: "mqtts",
  host: order.host,
  port: order.port,
  ca: readFileSync(order.caFile),
  clientId: order.deviceId,
  username: order.username,
  password: order.token,
  protocolVersion: 4,
  clean: true,
  keepalive: 240,
  reconnectPeriod: 0,
});

function publish(): void {
  published++;
  client.publish(order.topic, payload, { qos: 1 }, onAcknowledged);
}

function onAcknowledged(error?: Error): void {
  if (error) fail(error.message);
  acknowledged++;
  meter.onAcknowledged(acknowledged);
  if (published < order.messages) publish();
}

function fail(text: string): never {
  process.stderr.write(`${text}\n`);
  process.exit(1);
}

client.on("connect", () => {
  while (published < order.window) publish();
});
client.on("error", (error) => fail(error.message));
client.on("close", () => fail("the connection ended"));
