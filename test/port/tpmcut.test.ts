// Power cuts: agent and TPM end after each command of an identity's replacement.
// Neighbours: `flow` has the order of the steps that this test is about.
// Invariant: after every cut there is a key that signs, the old or the new one, and nothing else
// that the agent would have to know of.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { createHmac, randomBytes } from "node:crypto";
import { Client } from "../tpm/client.ts";
import { makeBlob } from "../tpm/maker.ts";
import { Swtpm } from "../tpm/swtpm.ts";
import { Desk } from "./desk.ts";
import * as flow from "./flow.ts";

const TEXT = "hub.example%2Fdevices%2Fgateway\n1790000000";

let swtpm: Swtpm;
let desk: Desk;

beforeEach(async () => {
  swtpm = await Swtpm.unix();
  desk = new Desk(swtpm.place);
  await desk.open();
  await flow.start(desk);
});

afterEach(async () => {
  desk.close();
  await swtpm.stop();
});

/** Cuts the power when command number `index` from now has done its work, unheard by the agent. */
function cutAfter(index: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const first = desk.chip.codes.length;
  desk.chip.rule = (_code, at) => (at - first > index ? "silence" : "forward");
  desk.chip.onResponse = () => {
    if (desk.chip.codes.length - first <= index) return;
    desk.close();
    resolve(swtpm.kill());
  };
  return promise;
}

async function restart(): Promise<void> {
  await swtpm.restart();
  await desk.open();
  await flow.start(desk);
}

test("after each command leave a working identity", async () => {
  const endorsement = await flow.endorsementKey(desk);
  const storage = await flow.storageKey(desk);
  const keys = { endorsementKey: endorsement.publicArea, storageKey: storage.publicArea };
  let old = randomBytes(32);
  await flow.keep(desk, await flow.openBlob(desk, makeBlob({ ...keys, key: old }).blob));
  const seen = { old: 0, new: 0 };
  let isThrough = false;
  for (let index = 0; !isThrough; index++) {
    const key = randomBytes(32);
    const { blob } = makeBlob({ ...keys, key });
    const isCut = cutAfter(index).then(() => false);
    const run = flow.openBlob(desk, blob).then((handle) => flow.keep(desk, handle));
    isThrough = await Promise.race([run.then(() => true), isCut]);
    desk.chip.rule = () => "forward";
    desk.chip.onResponse = () => {};
    if (!isThrough) await restart();
    const signed = await flow.sign(desk, await flow.find(desk), TEXT);
    const isNew = signed.equals(createHmac("sha256", key).update(TEXT).digest());
    const isOld = signed.equals(createHmac("sha256", old).update(TEXT).digest());
    expect([isNew, isOld]).toContain(true);
    seen[isNew ? "new" : "old"] += 1;
    if (isNew) old = key;
  }
  // Some cuts came too early for the new key, some not; each end was seen.
  expect(seen.old).toBeGreaterThan(0);
  expect(seen.new).toBeGreaterThan(0);
  desk.close();
  expect(await Client.with(swtpm.place, (client) => client.leftovers())).toEqual([]);
}, 60_000);
