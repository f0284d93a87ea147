/**
 * Bytes that no client should send: mutated packets in torn pieces, on a connection that is up and
 * on one that is not. Neighbours: `lab.ts`; the sources of mutation are seeded.
 * Invariant: the hub never throws, closes with a reason or goes on, and serves the next device.
 */
import { expect, test } from "bun:test";
import { generate } from "mqtt-packet";
import { Lab } from "./lab.ts";

const ROUNDS = 4000;

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 4_294_967_296) * below);
  };
}

const head = { cmd: "publish", dup: false, retain: false } as const;
const SAMPLES: Buffer[] = [
  generate({
    ...head,
    topic: "devices/d1/messages/events/a=b",
    payload: "x",
    qos: 1,
    messageId: 1,
  }),
  generate({ ...head, topic: "$iothub/twin/GET/?$rid=1", payload: " ", qos: 0 }),
  generate({
    ...head,
    topic: "$iothub/twin/PATCH/properties/reported/?$rid=2",
    payload: '{"a":{"b":[1,null,"x"]}}',
    qos: 0,
  }),
  generate({ ...head, topic: "$iothub/methods/res/200/?$rid=1", payload: "{}", qos: 0 }),
  generate({ cmd: "puback", messageId: 1 }),
  generate({ cmd: "pingreq" }),
  generate({
    cmd: "subscribe",
    messageId: 2,
    subscriptions: [{ topic: "$iothub/twin/res/#", qos: 0 }],
  }),
  generate({ cmd: "unsubscribe", messageId: 3, unsubscriptions: ["$iothub/twin/res/#"] }),
  generate({
    cmd: "connect",
    clientId: "d1",
    clean: false,
    keepalive: 1,
    username: "lab.example/d1/?api-version=1",
    password: Buffer.from("SharedAccessSignature sr=a&sig=b&se=1"),
    will: { topic: "devices/d1/messages/events/", payload: "w", qos: 1, retain: true },
  }),
];

function mutated(draw: (below: number) => number): Buffer {
  const parts: Buffer[] = [];
  for (let count = draw(4); count >= 0; count--) {
    const bytes = Buffer.from(SAMPLES[draw(SAMPLES.length)]!);
    for (let change = draw(4); change > 0; change--) bytes[draw(bytes.length)] = draw(256);
    parts.push(draw(8) === 0 ? bytes.subarray(0, draw(bytes.length)) : bytes);
  }
  return Buffer.concat(parts);
}

for (const isUp of [true, false]) {
  test(`${ROUNDS} mutated streams on a connection that is ${isUp ? "up" : "new"}`, () => {
    const lab = new Lab();
    const draw = random(isUp ? 1 : 2);
    let closed = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const device = isUp ? lab.connected("d1") : lab.device("d1");
      if (isUp) device.subscribeAll();
      const bytes = mutated(draw);
      for (let at = 0; at < bytes.length; ) {
        const size = 1 + draw(20);
        device.connection.onData(bytes.subarray(at, at + size));
        at += size;
      }
      if (device.closed !== undefined) closed++;
      device.cut();
      lab.events.length = 0;
    }
    expect(closed).toBeGreaterThan(ROUNDS / 4);
    const sane = lab.connected("d1", { clean: true });
    sane.telemetry("still here");
    expect(sane.take()).toMatchObject([{ cmd: "puback" }]);
    expect(lab.hub.state().connections).toBe(1);
  });
}

test("a request id too long to be echoed ends the connection", () => {
  const lab = new Lab();
  const device = lab.connected("d1");
  device.subscribeAll();
  device.publish(`$iothub/twin/GET/?$rid=${"x".repeat(65_535 - 23)}`, "");
  expect(lab.lastClose().reason).toMatch(/request id too long/);
});
