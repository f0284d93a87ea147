// The floor: raw `Bun.connect`, the same bytes with the same window, and nothing else.
// Neighbours: `publish.ts` starts it beside `agent.ts`; mqtt-packet makes the bytes beforehand.
// Invariant: an acknowledgement is four bytes, whatever stands in them; the frames lie in a ring
// and go out as far as the window reaches, in one write wherever they lie in a row.

import { readFileSync } from "node:fs";
import { generate } from "mqtt-packet";
import { Meter } from "./meter.ts";
import { type Order, readOrder } from "./order.ts";

const FRAMES = 256;
const ANSWER_BYTES = 4;
const TLS_1_2 = 0x0303;

function frames(order: Order): Buffer {
  const payload = Buffer.from(order.payload);
  const { topic } = order;
  const all = Array.from({ length: FRAMES }, (_, index) => {
    const common = { cmd: "publish", qos: 1, dup: false, retain: false } as const;
    return generate({ ...common, topic, payload, messageId: index + 1 });
  });
  return Buffer.concat(all);
}

function connectPacket(order: Order): Buffer {
  return generate({
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: 4,
    clean: true,
    clientId: order.deviceId,
    keepalive: 240,
    username: order.username,
    password: Buffer.from(order.token),
  });
}

function run(order: Order): void {
  const ring = frames(order);
  const frameBytes = ring.length / FRAMES;
  const meter = new Meter(order.warm, order.messages);
  // The CONNACK is as long as a PUBACK.
  let heardBytes = -ANSWER_BYTES;
  let sentBytes = 0;
  const push = (socket: Bun.Socket): void => {
    const acknowledged = Math.floor(heardBytes / ANSWER_BYTES);
    const goal = Math.min(acknowledged + order.window, order.messages) * frameBytes;
    while (sentBytes < goal) {
      const at = sentBytes % ring.length;
      const length = Math.min(goal - sentBytes, ring.length - at);
      const taken = socket.write(ring, at, length);
      if (taken <= 0) return;
      sentBytes += taken;
    }
  };
  Bun.connect({
    hostname: order.host,
    port: order.port,
    tls: {
      ca: readFileSync(order.caFile, "utf8"),
      serverName: order.host,
      minVersion: TLS_1_2,
    } as Bun.TLSOptions,
    socket: {
      handshake(socket, isAuthorised) {
        socket.setNoDelay(true);
        if (isAuthorised) socket.write(connectPacket(order));
      },
      data(socket, chunk) {
        heardBytes += chunk.length;
        if (heardBytes < 0) return;
        meter.onAcknowledged(heardBytes / ANSWER_BYTES);
        push(socket);
      },
      drain: push,
      close() {
        process.stderr.write("the connection ended\n");
        process.exit(1);
      },
    },
  });
}

run(readOrder());
