// Tests of native/tpm.c under the address and undefined-behaviour sanitizers.
// Neighbours: `driver` runs it; `test/port` has the same library in its place.
// Invariant: no finding, no leak; a response that was damaged is never an output beyond bounds.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHmac, randomBytes } from "node:crypto";
import { type Blob, splitBlob } from "../../src/codec/blob.ts";
import * as request from "../../src/codec/request.ts";
import {
  ENDORSEMENT_TEMPLATE,
  SEALED_TEMPLATE,
  STORAGE_TEMPLATE,
} from "../../src/codec/template.ts";
import { Client, u32 } from "../tpm/client.ts";
import { makeBlob } from "../tpm/maker.ts";
import { Swtpm } from "../tpm/swtpm.ts";
import { Driver, type Reply } from "./driver.ts";

const TEXT = Buffer.from("hub.example%2Fdevices%2Fgateway\n1790000000");
const LIMIT_MS = 60_000;
/** Damaged responses of one run; `AZIMUTH_FUZZ` asks for more. */
const DAMAGED = Number(process.env.AZIMUTH_FUZZ ?? 500);

let swtpm: Swtpm;
let client: Client;
let driver: Driver;

beforeEach(async () => {
  swtpm = await Swtpm.unix();
  client = await Client.connect(swtpm.place);
  driver = new Driver();
  expect((await driver.reply("init -")).rc).toBe(0);
  expect((await perform(request.startup())).rc).toBe(0);
}, LIMIT_MS);

afterEach(async () => {
  expect(await driver.stop()).toEqual({ code: 0, errors: "" });
  await client.close();
  await swtpm.stop();
}, LIMIT_MS);

function lineOf({ operation, a, b, c, d, input }: request.TpmRequest): string {
  const numbers = [operation, a, b, c, d].map((value) => value.toString(16)).join(" ");
  return `start ${numbers} ${Buffer.from(input).toString("hex") || "-"}`;
}

/** Lets the TPM answer the commands of an operation until it has ended. */
async function perform(asked: request.TpmRequest): Promise<Reply> {
  let reply = await driver.reply(lineOf(asked));
  while (reply.hasCommand) {
    const { rc, body } = await client.send(reply.bytes);
    const tag = reply.bytes.subarray(0, 2);
    const head = [rc === 0 ? tag : Buffer.from("8001", "hex"), u32(10 + body.length), u32(rc)];
    reply = await driver.reply(`answer ${Buffer.concat([...head, body]).toString("hex")}`);
  }
  return reply;
}

async function done(asked: request.TpmRequest): Promise<Reply> {
  const reply = await perform(asked);
  expect([request.TpmOperation[asked.operation], reply.rc]).toEqual([
    request.TpmOperation[asked.operation],
    0,
  ]);
  return reply;
}

/** EK and SRK at their handles, and a blob for them. */
async function provisioned(key: Uint8Array): Promise<Blob> {
  const { OWNER, ENDORSEMENT, ENDORSEMENT_HANDLE, STORAGE_HANDLE } = request;
  const endorsement = await done(request.createPrimary(ENDORSEMENT, ENDORSEMENT_TEMPLATE));
  await done(request.persist(endorsement.handle, ENDORSEMENT_HANDLE));
  await done(request.flush(endorsement.handle));
  const storage = await done(request.createPrimary(OWNER, STORAGE_TEMPLATE));
  await done(request.persist(storage.handle, STORAGE_HANDLE));
  await done(request.flush(storage.handle));
  const wish = { endorsementKey: endorsement.bytes, storageKey: storage.bytes, key };
  const blob = splitBlob(makeBlob(wish).blob);
  if (typeof blob === "string") throw new Error(blob);
  return blob;
}

/** Activates, imports, loads, signs; in the given session, or without. */
async function identity(blob: Blob, session: number): Promise<Reply> {
  const { ENDORSEMENT, ENDORSEMENT_HANDLE, STORAGE_HANDLE, IDENTITY_HANDLE } = request;
  const policy = await done(request.startPolicy());
  await done(request.policySecret(ENDORSEMENT, policy.handle, session));
  const inner = await done(
    request.activate(STORAGE_HANDLE, ENDORSEMENT_HANDLE, policy.handle, blob, session),
  );
  await done(request.flush(policy.handle));
  const imported = await done(request.importKey(STORAGE_HANDLE, inner.bytes, blob, session));
  const loading = request.load(STORAGE_HANDLE, imported.bytes, blob.publicArea, session);
  const loaded = await done(loading);
  await done(request.persist(loaded.handle, IDENTITY_HANDLE));
  await done(request.flush(loaded.handle));
  const signed = await done(request.hmac(IDENTITY_HANDLE, TEXT, session));
  await done(request.evict(IDENTITY_HANDLE));
  return signed;
}

describe("the whole flow", () => {
  test(
    "in clear and in a salted session",
    async () => {
      const key = randomBytes(32);
      const blob = await provisioned(key);
      const signature = createHmac("sha256", key).update(TEXT).digest();
      const clear = await identity(blob, request.NO_SESSION);
      expect(clear.bytes.subarray(2)).toEqual(signature);
      const { handle } = await done(request.startHmac(request.STORAGE_HANDLE));
      const hidden = await identity(blob, handle);
      expect(hidden.bytes.subarray(2)).toEqual(signature);
      const made = await done(request.create(request.STORAGE_HANDLE, key, SEALED_TEMPLATE, handle));
      expect(made.bytes.subarray(-32 - 2).readUInt16BE(0)).toBe(32);
      await done(request.readProperties(0x100));
      expect((await driver.reply("password 40000001 aabb")).rc).toBe(0);
      expect((await driver.reply("password 40000007 aabb")).rc).toBe(0x00f00001);
      expect((await driver.reply(`password 40000001 ${"00".repeat(65)}`)).rc).toBe(0x00f00001);
      expect((await driver.reply("fini -")).rc).toBe(0);
    },
    LIMIT_MS,
  );

  test(
    "with each response damaged, many times",
    async () => {
      const blob = await provisioned(randomBytes(32));
      // From a new start, so that the record begins where a context begins.
      await driver.reply("init -");
      for (const handle of [request.ENDORSEMENT_HANDLE, request.STORAGE_HANDLE]) {
        await done(request.readPublic(handle));
      }
      await identity(blob, request.NO_SESSION);
      await done(request.readProperties(0x100));
      await done(request.create(request.STORAGE_HANDLE, randomBytes(32), SEALED_TEMPLATE));
      await done(request.createPrimary(request.OWNER, STORAGE_TEMPLATE));
      const count = DAMAGED.toString(16);
      const seed = randomBytes(8).toString("hex");
      expect([seed, await driver.ask(`fuzz ${seed} ${count}`)]).toEqual([
        seed,
        `${count} of ${count}`,
      ]);
    },
    LIMIT_MS * 10,
  );
});

describe("in the wrong order", () => {
  test(
    "operations are refused and the one under way goes on",
    async () => {
      expect((await driver.reply("answer 80010000000a00000000")).rc).toBe(0x00f00004);
      const first = await driver.reply(lineOf(request.readHandles(0x81000000)));
      expect(first.rc).toBe(0);
      expect((await driver.reply(lineOf(request.startPolicy()))).rc).toBe(0x00f00004);
      const { rc } = await client.send(first.bytes);
      expect(rc).toBe(0);
      const answer = "80010000001300000000000000000100000000";
      expect((await driver.reply(`answer ${answer}`)).rc).toBe(0);
      await driver.reply(lineOf(request.startPolicy()));
      expect((await driver.reply("init -")).rc).toBe(0);
      await driver.reply(lineOf(request.startPolicy()));
      expect((await driver.reply("fini -")).rc).toBe(0);
      expect((await driver.reply(lineOf(request.startup()))).rc).toBe(0x00f00004);
    },
    LIMIT_MS,
  );

  test(
    "operations that do not exist, and handles that nobody knows, are refused",
    async () => {
      const { HMAC } = request.TpmOperation;
      expect((await driver.reply("start e 0 0 0 0 -")).rc).toBe(0x00f00001);
      expect((await driver.reply("start ffffffff 0 0 0 0 -")).rc).toBe(0x00f00001);
      const unknown = await driver.reply(`start ${HMAC.toString(16)} 81000100 0 0 0 0002aabb`);
      expect([unknown.rc, unknown.handle]).toEqual([0x00f00002, 0x81000100]);
      const odd = await driver.reply(`start ${HMAC.toString(16)} 81000100 0 0 0 0003aabb`);
      expect(odd.rc).toBe(0x00f00001);
    },
    LIMIT_MS,
  );
});

test("a TPM that grants more than fits fills the table, and forgets nothing", async () => {
  const start = lineOf(request.startPolicy());
  const nonce = `0020${"42".repeat(32)}`;
  const granted = async (index: number) => {
    expect((await driver.reply(start)).rc).toBe(0);
    const handle = (0x03000000 + index).toString(16).padStart(8, "0");
    return driver.reply(`answer 80010000003000000000${handle}${nonce}`);
  };
  const handles: number[] = [];
  for (let index = 0; index < 10; index++) {
    const { rc, handle } = await granted(index);
    expect(rc).toBe(0);
    handles.push(handle);
  }
  expect(handles).toEqual(handles.map((_, index) => 0x03000000 + index));
  expect((await driver.reply(start)).rc).toBe(0x00f00005);
  const flushing = await driver.reply(lineOf(request.flush(0x03000004)));
  expect(flushing.rc).toBe(0);
  expect((await driver.reply("answer 80010000000a00000000")).rc).toBe(0);
  expect((await granted(10)).rc).toBe(0);
});
