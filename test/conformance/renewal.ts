// Renewal: how the official device SDK lives through new tokens, cuts and refusals.
// Neighbours: `device.ts` has the plain cases and the stage.
// Invariant: every message that the SDK was asked to send reaches the hub at least once.

import { deepEqual, equal, ok } from "node:assert/strict";
import { until } from "../site.ts";
import { opened, type Stage } from "./device.ts";
import type { Case } from "./report.ts";

const STUBBORN = { isStubborn: true };

/** Subscribes to everything that the SDK can subscribe to. */
async function listen({ cloud, puppet }: Stage, device: { id: string }): Promise<void> {
  await puppet.call("twin", device.id);
  await puppet.call("watch", device.id, { path: "properties.desired" });
  await puppet.call("answer", device.id, { method: "ping", status: 200, payload: {} });
  await puppet.call("receive", device.id);
  await until("all four subscriptions", () => cloud.log("subscribe", device).length === 4);
}

/** What was subscribed to before is heard on the connection there is now. */
async function hearsAll({ cloud, puppet }: Stage, device: { id: string }, mark: string) {
  cloud.desire(device, { mark });
  cloud.mail(device, mark);
  const isMarked = ({ delta }: Record<string, unknown>): boolean => {
    return (delta as { mark?: string }).mark === mark;
  };
  await puppet.seen("desired", device.id, isMarked);
  await puppet.seen("mail", device.id, ({ body }) => body === mark);
  equal((await cloud.invoke(device, "ping")).status, 200);
}

/** Waits for the `count`-th accepted connection of a device. */
function connected({ cloud }: Stage, device: { id: string }, count: number) {
  return until(`connection ${count}`, () => cloud.log("connect", device)[count - 1]);
}

async function survivesDrop(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await opened(stage, "drop", STUBBORN);
  await listen(stage, device);
  cloud.fault({ kind: "drop", device: device.id });
  const { sessionPresent } = await connected(stage, device, 2);
  equal(sessionPresent, true);
  await hearsAll(stage, device, "after the drop");
  // Methods and mail it asks for once more; for the twin the stored session is all it relies on.
  await until("two more subscriptions", () => cloud.log("subscribe", device).length === 6);
  const again = cloud.log("subscribe", device).slice(4);
  deepEqual(again.map(({ filter }) => filter).sort(), [
    "$iothub/methods/POST/#",
    device.mailFilter,
  ]);
  await puppet.call("close", device.id);
}

async function sendsAgain(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await opened(stage, "again", STUBBORN);
  cloud.fault({ kind: "drop", device: device.id, after: 1 });
  await puppet.call("send", device.id, { body: "once", system: { messageId: "m" } });
  const copies = cloud.log("telemetry", device);
  equal(copies.length, 2);
  // A new PUBLISH to the SDK, so not a duplicate to the hub.
  deepEqual(
    copies.map(({ dup }) => dup),
    [false, false],
  );
  await puppet.call("close", device.id);
}

async function outlivesRefusals(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await opened(stage, "refused", STUBBORN);
  await listen(stage, device);
  cloud.fault({ kind: "refuse", device: device.id, code: 5, count: 3 });
  cloud.fault({ kind: "drop", device: device.id });
  await connected(stage, device, 2);
  equal(cloud.log("refuse", device).length, 3);
  await hearsAll(stage, device, "after the refusals");
  await puppet.call("close", device.id);
}

async function outlivesUpgrade(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await opened(stage, "upgrade", STUBBORN);
  await listen(stage, device);
  cloud.fault({ kind: "upgrade", device: device.id, count: 3 });
  await connected(stage, device, 2);
  const codes = cloud.log("refuse", device).map(({ returnCode }) => returnCode);
  deepEqual(codes, [3, 3]);
  await hearsAll(stage, device, "after the upgrade");
  await puppet.call("close", device.id);
}

async function renews(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await opened(stage, "renew", { ...STUBBORN, tokenS: 6, marginS: 4 });
  await listen(stage, device);
  const sent: string[] = [];
  const sending: Promise<unknown>[] = [];
  while (cloud.log("connect", device).length < 4) {
    const body = `n${sent.length}`;
    sent.push(body);
    sending.push(puppet.call("send", device.id, { body }));
    await Bun.sleep(50);
  }
  await Promise.all(sending);
  const arrived = new Set(cloud.log("telemetry", device).map(({ payload }) => payload));
  deepEqual(
    sent.filter((body) => !arrived.has(body)),
    [],
  );
  const connects = cloud.log("connect", device);
  ok(connects.slice(1).every(({ sessionPresent }) => sessionPresent));
  ok(cloud.log("close", device).every(({ reason }) => reason === "DISCONNECT"));
  await hearsAll(stage, device, "after the renewals");
  equal(cloud.log("subscribe", device).length, 4);
  await puppet.call("close", device.id);
}

async function yields(stage: Stage): Promise<void> {
  const { cloud, puppet } = stage;
  const device = await opened(stage, "takeover");
  const { connectionString } = device;
  const second = `${device.id} second`;
  await puppet.call("make", second, { connectionString, ca: cloud.ca });
  await puppet.call("open", second);
  await puppet.seen("disconnect", device.id);
  const close = await cloud.seen("close", device);
  equal(close.codeName, "ConnectionForcefullyClosedOnNewConnection");
  await puppet.call("send", second, { body: "mine now" });
  await puppet.call("close", second);
}

/** Cases about connections that end. */
export const RENEWAL: readonly Case<Stage>[] = [
  ["comes back after a drop and hears everything, the twin without SUBSCRIBE", survivesDrop],
  ["sends what was not acknowledged again, as new", sendsAgain],
  ["comes back after three CONNACK 5", outlivesRefusals],
  ["comes back after a service upgrade", outlivesUpgrade],
  ["renews its token three times and loses nothing", renews],
  ["is told when another connection takes over", yields],
];
