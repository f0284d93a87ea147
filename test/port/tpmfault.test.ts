// The table of TPM failures, row by row, with the real library and a software TPM.
// Neighbours: `fault` answers in the TPM's place; `courier.test.ts` has the times and the states.
// Invariant: after every failure the port does its work again: each test ends with a signature.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHmac, randomBytes } from "node:crypto";
import { RC_LOST, RC_SILENT } from "../../src/codec/outcome.ts";
import * as request from "../../src/codec/request.ts";
import { SEALED_TEMPLATE } from "../../src/codec/template.ts";
import { type Fate, refusal } from "../tpm/fault.ts";
import { Swtpm } from "../tpm/swtpm.ts";
import { Desk } from "./desk.ts";
import * as flow from "./flow.ts";

const TEXT = "hub.example%2Fdevices%2Fgateway\n1790000000";
const HMAC = request.hmac(request.IDENTITY_HANDLE, Buffer.from(TEXT));
const CC_HMAC = 0x155;

const key = randomBytes(32);
const expected = createHmac("sha256", key).update(TEXT).digest("hex");

let swtpm: Swtpm;
let desk: Desk;

beforeEach(async () => {
  swtpm = await Swtpm.unix();
  desk = new Desk(swtpm.place, { isHandTime: true });
  await desk.open();
  await flow.start(desk);
  await flow.storageKey(desk);
  const { STORAGE_HANDLE, IDENTITY_HANDLE } = request;
  const made = await flow.done(desk, request.create(STORAGE_HANDLE, key, SEALED_TEMPLATE));
  const size = 2 + made.output[0]! * 256 + made.output[1]!;
  const [privateArea, publicArea] = [made.output.subarray(0, size), made.output.subarray(size)];
  const loading = request.load(STORAGE_HANDLE, privateArea, publicArea);
  const { handle } = await flow.done(desk, loading);
  await flow.done(desk, request.persist(handle, IDENTITY_HANDLE));
  await flow.done(desk, request.flush(handle));
});

afterEach(async () => {
  try {
    await expectSignature();
  } finally {
    desk.close();
    await swtpm.stop();
  }
});

async function expectSignature(): Promise<void> {
  const signed = await flow.sign(desk, request.IDENTITY_HANDLE, TEXT);
  expect(signed.toString("hex")).toBe(expected);
}

/** From now on the first commands meet these fates, and the others go through. */
function fates(...list: readonly Fate[]): void {
  const first = desk.chip.codes.length;
  desk.chip.rule = (_code, index) => list[index - first] ?? "forward";
}

function answers(...codes: readonly number[]): readonly Fate[] {
  return codes.map((rc) => ({ answer: refusal(rc) }));
}

/** Waits until the port rests on a timer, and lets that ring; the time it would have taken. */
async function wait(): Promise<number> {
  while (!Number.isFinite(desk.time.leftMs)) await Bun.sleep(0);
  const ms = desk.time.leftMs;
  desk.time.advance(ms);
  return ms;
}

/** After the connection is lost: the next one, ready for work. */
async function reconnect(): Promise<void> {
  const from = desk.heard.length;
  await wait();
  await desk.until("opened", from);
  await flow.start(desk);
}

describe("not now", () => {
  test.each([0x922, 0x908, 0x90a])("code %p: the same bytes again, then anew", async (rc) => {
    const from = desk.chip.commands.length;
    fates(...answers(rc, rc, rc, rc, rc, rc));
    const answer = desk.perform(HMAC);
    const waits: number[] = [];
    // Six refusals: libtss2 resubmits after four of them, and gives up with the fifth.
    for (let left = 6; left > 0; left--) {
      while (desk.time.leftMs > 10_000) await Bun.sleep(0);
      waits.push(await wait());
    }
    expect((await answer).rc).toBe(0);
    expect(waits).toEqual([20, 40, 80, 160, 320, 640]);
    const sent = desk.chip.commands.slice(from).map((each) => Buffer.from(each).toString("hex"));
    expect(sent).toHaveLength(7);
    expect(new Set(sent).size).toBe(1);
  });

  test("in a salted session it works as well", async () => {
    const { handle } = await flow.done(desk, request.startHmac(request.STORAGE_HANDLE));
    fates(...answers(0x922, 0x922));
    const hidden = request.hmac(request.IDENTITY_HANDLE, Buffer.from(TEXT), handle);
    const answer = desk.perform(hidden);
    for (let left = 2; left > 0; left--) {
      while (desk.time.leftMs > 10_000) await Bun.sleep(0);
      await wait();
    }
    const { rc, output } = await answer;
    expect(rc).toBe(0);
    expect(Buffer.from(output.subarray(2)).toString("hex")).toBe(expected);
    await flow.done(desk, request.flush(handle));
  });

  test.each([0x920, 0x923])("code %p: seconds later", async (rc) => {
    fates(...answers(rc, rc));
    const answer = desk.perform(HMAC);
    const waits: number[] = [];
    for (let left = 2; left > 0; left--) {
      while (desk.time.leftMs > 10_000) await Bun.sleep(0);
      waits.push(await wait());
    }
    expect((await answer).rc).toBe(0);
    expect(waits).toEqual([1000, 2000]);
  });
});

describe("refused", () => {
  // Lockout, failure, reboot, lost sessions, no room, wrong password, disabled, the kernel's.
  const codes = [
    0x921, 0x101, 0x130, 0x910, 0x918, 0x902, 0x903, 0x904, 0x909, 0x98e, 0x9a2, 0x120, 0x1cb,
    0x000b0143, 0x000b0001, 0x000c0101,
  ];
  test.each(codes)("with %p: one command, the code, and on it goes", async (rc) => {
    const from = desk.chip.codes.length;
    fates(...answers(rc));
    expect((await desk.perform(HMAC)).rc).toBe(rc);
    expect(desk.chip.codes.slice(from)).toEqual([CC_HMAC]);
    expect(desk.heard).toEqual(["opened"]);
  });

  test("because there is no key: not provisioned, or cleared", async () => {
    expect((await desk.perform(request.hmac(request.SPARE_HANDLE, key))).rc).toBe(0x18b);
  });

  test("by a TPM that was reset: after Startup nothing from before is known", async () => {
    const policy = await flow.done(desk, request.startPolicy());
    fates(...answers(0x100));
    expect((await desk.perform(HMAC)).rc).toBe(0x100);
    await swtpm.kill();
    await desk.until("closed");
    await swtpm.restart();
    const from = desk.heard.length;
    await wait();
    await desk.until("opened", from);
    expect((await desk.perform(HMAC)).rc).toBe(0x100);
    expect((await desk.perform(request.startup())).rc).toBe(0);
    const proving = request.policySecret(request.ENDORSEMENT, policy.handle);
    expect((await desk.perform(proving)).rc).toBe(0x00f00003);
  });

  test("for want of room until all is flushed", async () => {
    for (let left = 3; left > 0; left--) await flow.done(desk, request.startPolicy());
    expect((await desk.perform(request.startPolicy())).rc).toBe(0x903);
    expect((await desk.flushAll()).rc).toBe(0);
    await flow.done(desk, request.flush((await flow.done(desk, request.startPolicy())).handle));
  });
});

describe("no connection", () => {
  test("when the TPM dies with a command under way", async () => {
    fates("silence");
    const answer = desk.perform(HMAC);
    await swtpm.kill();
    expect((await answer).rc).toBe(RC_LOST);
    expect(await desk.until("closed")).toMatch(/^closed: .*socket: closed by the TPM$/);
    const waits: number[] = [];
    for (let left = 3; left > 0; left--) {
      const from = desk.heard.length;
      while (desk.time.leftMs > 60_000) await Bun.sleep(0);
      waits.push(await wait());
      expect(await desk.until("closed", from)).toMatch(/: E(NOENT|CONNREFUSED): swtpm does not/);
    }
    expect(waits).toEqual([1000, 2000, 4000]);
    expect((await desk.perform(HMAC)).rc).toBe(RC_LOST);
    await swtpm.restart();
    await reconnect();
  });

  test("when the transport fails: the operation ends, and the next connection works", async () => {
    fates({ close: "EPIPE" });
    expect((await desk.perform(HMAC)).rc).toBe(RC_LOST);
    expect(await desk.until("closed")).toBe("closed: EPIPE");
    await reconnect();
  });

  test("when no answer comes within two minutes", async () => {
    fates("silence");
    const answer = desk.perform(HMAC);
    expect(await wait()).toBe(120_000);
    expect((await answer).rc).toBe(RC_SILENT);
    expect(await desk.until("closed")).toBe("closed: no answer within 120 s");
    await reconnect();
  });
});

describe("no sound response", () => {
  /** A response to HMAC as the TPM gives it, and what is wrong with a copy of it. */
  async function sound(): Promise<Buffer> {
    await flow.done(desk, HMAC);
    return Buffer.from(desk.chip.responses.at(-1)!);
  }

  const FRAMES: readonly (readonly [string, (response: Buffer) => Buffer])[] = [
    ["empty", () => Buffer.alloc(0)],
    ["one byte short", (response) => response.subarray(0, -1)],
    ["one byte long", (response) => Buffer.concat([response, Buffer.alloc(1)])],
    ["of another tag", (response) => poked(response, 0, 0x00c4)],
    ["with a size of 9", (response) => poked(response.subarray(0, 9), 4, 9)],
    ["of 4096 bytes 0xff", () => Buffer.alloc(4096, 0xff)],
  ];
  test.each(FRAMES)("%s: libtss2 does not see it", async (_name, spoil) => {
    const answer = spoil(await sound());
    fates({ answer });
    expect((await desk.perform(HMAC)).rc).toBe(RC_LOST);
    expect(await desk.until("closed")).toMatch(/^closed: no TPM response: \d+ bytes/);
    await reconnect();
  });

  const BODIES: readonly (readonly [string, (response: Buffer) => Buffer])[] = [
    ["nothing behind the head", (response) => cut(response, 10)],
    ["half a parameter size", (response) => cut(response, 12)],
    ["a parameter size beyond the end", (response) => poked(response, 12, 0xffff)],
    ["a digest of 65535 bytes", (response) => poked(response, 14, 0xffff)],
    ["a digest beyond the parameters", (response) => poked(response, 14, 64)],
    ["no session area", (response) => cut(response, response.length - 5)],
  ];
  test.each(BODIES)("%s: libtss2 refuses it", async (_name, spoil) => {
    const answer = spoil(await sound());
    fates({ answer });
    const { rc } = await desk.perform(HMAC);
    expect([7, 8, 9]).toContain(rc >>> 16);
    expect(await desk.until("closed")).toMatch(/^closed: libtss2 refuses the response \(0x/);
    await reconnect();
  });

  test("a forged one in a salted session is found out", async () => {
    const { handle } = await flow.done(desk, request.startHmac(request.STORAGE_HANDLE));
    const hidden = request.hmac(request.IDENTITY_HANDLE, Buffer.from(TEXT), handle);
    await flow.done(desk, hidden);
    const answer = Buffer.from(desk.chip.responses.at(-1)!);
    answer[20]! ^= 1;
    fates({ answer });
    expect((await desk.perform(hidden)).rc).toBe(0x0007001b);
    await desk.until("closed");
    await reconnect();
  });
});

function poked(bytes: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt16BE(value, at);
  return copy;
}

/** The first bytes, with a head that says how many they are. */
function cut(bytes: Buffer, length: number): Buffer {
  const copy = Buffer.from(bytes.subarray(0, length));
  copy.writeUInt32BE(length, 2);
  return copy;
}
