// Tests of src/port/tpm.ts and native/tpm.c: the life of an identity in a software TPM.
// Neighbours: `flow` does the procedures, `client` looks at the TPM by itself, node:crypto makes
// blobs and signatures.
// Invariant: no answer is checked by what gave it; nothing is left in the TPM.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHmac, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { splitBlob } from "../../src/codec/blob.ts";
import * as request from "../../src/codec/request.ts";
import {
  SEALED_TEMPLATE,
  STORAGE_TEMPLATE,
  STORAGE_TEMPLATE_EMPTY,
} from "../../src/codec/template.ts";
import { Library } from "../../src/port/tpm.ts";
import * as oracle from "../tpm/client.ts";
import { Client } from "../tpm/client.ts";
import { makeBlob, nameOf } from "../tpm/maker.ts";
import { Swtpm } from "../tpm/swtpm.ts";
import { Desk, library } from "./desk.ts";
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

/** Lets go of the TPM, and asks it directly. */
async function look<T>(work: (client: Client) => Promise<T>): Promise<T> {
  desk.close();
  const result = await Client.with(swtpm.place, work);
  await desk.open();
  return result;
}

/** Makes a library at `path` that needs another one, `needed`, which is gone. */
function withoutNeeded(path: string, neededPath: string, needed: string): void {
  const compile = (...words: readonly string[]) => {
    const command = ["cc", "-shared", "-fPIC", "-Wl,--no-as-needed", "-x", "c", "/dev/null"];
    const { exitCode, stderr } = Bun.spawnSync([...command, "-x", "none", ...words]);
    if (exitCode !== 0) throw new Error(stderr.toString());
  };
  compile(`-Wl,-soname,${needed}`, "-o", neededPath);
  compile(neededPath, "-o", path);
  rmSync(neededPath);
}

function messageOf(path: string): string {
  try {
    new Library(path);
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}

function signature(key: Uint8Array): Buffer<ArrayBuffer> {
  return Buffer.from(createHmac("sha256", key).update(TEXT).digest());
}

function hexOf(...parts: readonly Uint8Array[]): string {
  return Buffer.concat(parts).toString("hex");
}

async function parents(): Promise<{ endorsementKey: Uint8Array; storageKey: Uint8Array }> {
  const endorsement = await flow.endorsementKey(desk);
  const storage = await flow.storageKey(desk);
  return { endorsementKey: endorsement.publicArea, storageKey: storage.publicArea };
}

describe("the library", () => {
  test("says what is wrong with its file in one line", () => {
    expect(() => new Library("/nowhere/libazimuth.so")).toThrow(/^\/nowhere\/libazimuth.so: not /);
    expect(() => new Library("/nowhere/libazimuth.so")).not.toThrow(/\n/);
  });

  test("names the packages when libtss2 is missing, and only then", () => {
    const folder = mkdtempSync(join(tmpdir(), "azimuth-library-"));
    try {
      for (const needed of ["libtss2-esys.so.99", "libother.so.1"]) {
        const path = join(folder, `${needed}.user.so`);
        withoutNeeded(path, join(folder, needed), needed);
        const wanted = `${needed}: cannot open shared object file: No such file or directory`;
        const advice = "; install libtss2 (Debian packages libtss2-esys-3.0.2-0 and libtss2-mu0)";
        const isOurs = needed.startsWith("libtss2");
        expect(() => new Library(path)).toThrow(
          `${path}: not loaded: Failed to open library "${path}": ${wanted}${isOurs ? advice : ""}`,
        );
        expect(isOurs || !messageOf(path).includes("Debian")).toBe(true);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("parent keys", () => {
  test("are those that the TCG's templates make, and stay", async () => {
    const first = await flow.endorsementKey(desk);
    const second = await flow.endorsementKey(desk);
    const storage = await flow.storageKey(desk);
    expect([first.isCreated, second.isCreated]).toEqual([true, false]);
    expect(second.publicArea).toEqual(first.publicArea);
    await look(async (client) => {
      const made = await client.createPrimary(oracle.ENDORSEMENT, oracle.EK_TEMPLATE);
      expect(made.publicArea.equals(first.publicArea)).toBe(true);
      await client.flush(made.handle);
      const other = await client.createPrimary(oracle.OWNER, oracle.SRK_TEMPLATE);
      expect(other.publicArea.equals(storage.publicArea)).toBe(true);
      await client.flush(other.handle);
      expect(await client.leftovers()).toEqual([]);
      expect(await client.handles(0x81000000)).toEqual([0x81000001, 0x81010001]);
    });
  });

  test("come with their name", async () => {
    const { storageKey } = await parents();
    const { output } = await flow.done(desk, request.readPublic(request.STORAGE_HANDLE));
    const name = Buffer.from(output.subarray(storageKey.length + 2));
    expect(name.equals(nameOf(storageKey))).toBe(true);
  });

  test("of another template are other keys", async () => {
    const { storageKey } = await parents();
    const other = await flow.done(
      desk,
      request.createPrimary(request.OWNER, STORAGE_TEMPLATE_EMPTY),
    );
    expect(other.output).toHaveLength(storageKey.length);
    expect(other.output).not.toEqual(storageKey);
    await flow.done(desk, request.flush(other.handle));
  });
});

describe("an identity", () => {
  test.each([true, false])("registers, signs, is replaced; hidden on the bus: %p", async (hide) => {
    const keys = await parents();
    const challenge = randomBytes(32);
    const transient = await flow.openBlob(desk, makeBlob({ ...keys, key: challenge }).blob, hide);
    expect(await flow.sign(desk, transient, TEXT)).toEqual(signature(challenge));
    await flow.done(desk, request.flush(transient));

    for (const key of [randomBytes(32), randomBytes(64)]) {
      const wish = { ...keys, key, text: "hub.example" };
      await flow.keep(desk, await flow.openBlob(desk, makeBlob(wish).blob, hide));
      expect(await flow.sign(desk, request.IDENTITY_HANDLE, TEXT)).toEqual(signature(key));
      await look(async (client) => {
        expect(await client.hmac(0x81000100, Buffer.from(TEXT))).toEqual(signature(key));
        expect(await client.leftovers()).toEqual([]);
        expect(await client.handles(0x81000000)).toEqual([0x81000001, 0x81000100, 0x81010001]);
      });
    }
  });

  test.each([true, false])("keeps to itself on the bus when hidden: %p", async (isHidden) => {
    const keys = await parents();
    const key = randomBytes(32);
    const { blob, innerKey } = makeBlob({ ...keys, key });
    const transient = await flow.openBlob(desk, blob, isHidden);
    const session = isHidden
      ? (await flow.done(desk, request.startHmac(request.STORAGE_HANDLE))).handle
      : request.NO_SESSION;
    const signing = request.hmac(transient, Buffer.from(TEXT), session);
    const { output } = await flow.done(desk, signing);
    expect(Buffer.from(output.subarray(2))).toEqual(signature(key));
    const traffic = hexOf(...desk.chip.commands, ...desk.chip.responses);
    const secrets = [hexOf(innerKey), hexOf(Buffer.from(TEXT)), hexOf(signature(key))];
    const seen = secrets.map((secret) => traffic.includes(secret));
    expect(seen).toEqual([!isHidden, !isHidden, !isHidden]);
  });

  test("for another TPM is refused, and leaves nothing behind", async () => {
    const { endorsementKey } = await parents();
    const other = await flow.done(
      desk,
      request.createPrimary(request.OWNER, STORAGE_TEMPLATE_EMPTY),
    );
    await flow.done(desk, request.flush(other.handle));
    const wish = { endorsementKey, storageKey: other.output, key: randomBytes(32) };
    const opening = flow.openBlob(desk, makeBlob(wish).blob);
    await expect(opening).rejects.toThrow("ACTIVATE: 0x1df: integrity check failed");
    expect(await look((client) => client.leftovers())).toEqual([]);
  });
});

describe("a key of one's own", () => {
  test("is sealed and signs", async () => {
    await parents();
    const secret = randomBytes(32);
    const { handle } = await flow.done(desk, request.startHmac(request.STORAGE_HANDLE));
    const made = await flow.done(
      desk,
      request.create(request.STORAGE_HANDLE, secret, SEALED_TEMPLATE, handle),
    );
    const commands = Buffer.concat(desk.chip.commands);
    expect(commands.includes(secret)).toBe(false);
    const size = 2 + made.output[0]! * 256 + made.output[1]!;
    const [privateArea, publicArea] = [made.output.subarray(0, size), made.output.subarray(size)];
    const loading = request.load(request.STORAGE_HANDLE, privateArea, publicArea);
    const loaded = await flow.done(desk, loading);
    expect(await flow.sign(desk, loaded.handle, TEXT)).toEqual(signature(secret));
    await flow.done(desk, request.flush(loaded.handle));
    await flow.done(desk, request.flush(handle));
    expect(await look((client) => client.leftovers())).toEqual([]);
  });
});

describe("passwords", () => {
  test("are given where they are asked for, also after a new start", async () => {
    const keys = await parents();
    const [owner, endorsement] = [Buffer.from("owner's"), Buffer.from("endorsement's")];
    await look(async (client) => {
      expect(await client.setPassword(oracle.OWNER, owner)).toBe(0);
      expect(await client.setPassword(oracle.ENDORSEMENT, endorsement)).toBe(0);
    });
    const { blob } = makeBlob({ ...keys, key: randomBytes(32) });
    const opening = flow.openBlob(desk, blob);
    await expect(opening).rejects.toThrow("POLICY_SECRET: 0x9a2: wrong password (session 1)");
    desk.courier.setPassword(request.OWNER, owner);
    desk.courier.setPassword(request.ENDORSEMENT, endorsement);
    for (const isHidden of [true, false]) {
      await flow.keep(desk, await flow.openBlob(desk, blob, isHidden));
      desk.close();
      await desk.open();
      await flow.start(desk);
    }
    const shown = Buffer.concat(desk.chip.commands);
    expect(shown.includes(owner)).toBe(true);
    desk.courier.setPassword(request.OWNER, new Uint8Array(0));
    desk.courier.setPassword(request.ENDORSEMENT, new Uint8Array(0));
  });

  test("proved with a session do not show on the bus", async () => {
    const { storageKey } = await parents();
    const owner = Buffer.from("owner's");
    await look((client) => client.setPassword(oracle.OWNER, owner));
    desk.courier.setPassword(request.OWNER, owner);
    const { handle } = await flow.done(desk, request.startHmac(request.STORAGE_HANDLE));
    await flow.done(desk, request.evict(request.STORAGE_HANDLE, handle));
    expect(Buffer.concat(desk.chip.commands).includes(owner)).toBe(false);
    await flow.done(desk, request.flush(handle));
    const { publicArea } = await flow.storageKey(desk);
    expect(publicArea).toEqual(storageKey);
    desk.courier.setPassword(request.OWNER, new Uint8Array(0));
  });
});

describe("what the library holds", () => {
  test("is no inner key any more when the key could not be imported", async () => {
    const keys = await parents();
    const { blob, innerKey } = makeBlob({ ...keys, key: randomBytes(32) });
    const parts = splitBlob(blob);
    if (typeof parts === "string") throw new Error(parts);
    const at = blob.indexOf(parts.duplicate);
    blob[at + 20] = blob[at + 20]! ^ 1;
    await expect(flow.openBlob(desk, blob)).rejects.toThrow("IMPORT: 0x3df");
    const memory = Buffer.from(library().output.buffer);
    expect(memory.length).toBeGreaterThan(3 * 4096);
    expect(memory.includes(innerKey)).toBe(false);
  });
});

describe("handles", () => {
  test("of a crashed run are flushed at the start of the next", async () => {
    await look(async (client) => {
      for (let left = 3; left > 0; left--) await client.startSession();
      for (let left = 3; left > 0; left--) {
        await client.createPrimary(oracle.OWNER, oracle.SRK_TEMPLATE);
      }
      expect(await client.leftovers()).toHaveLength(6);
    });
    expect((await desk.perform(request.startPolicy())).rc).toBe(0x903);
    expect((await desk.flushAll()).rc).toBe(0);
    expect((await desk.perform(request.startPolicy())).rc).toBe(0);
    await desk.flushAll();
    expect(await look((client) => client.leftovers())).toEqual([]);
  });

  test("from before a new connection are known no more", async () => {
    await parents();
    const policy = await flow.done(desk, request.startPolicy());
    desk.close();
    await desk.open();
    const rc = (await desk.perform(request.policySecret(request.ENDORSEMENT, policy.handle))).rc;
    expect(rc).toBe(0x00f00003);
    await flow.done(desk, request.flush(policy.handle));
  });

  test("that ESYS does not know yet are read first, once", async () => {
    await parents();
    desk.close();
    await desk.open();
    const from = desk.chip.codes.length;
    const hashing = request.hmac(request.IDENTITY_HANDLE, Buffer.from(TEXT));
    expect((await desk.perform(hashing)).rc).toBe(0x18b);
    expect(desk.chip.codes.slice(from)).toEqual([0x173]);
    const { handle } = await flow.done(desk, request.startHmac(request.STORAGE_HANDLE));
    await flow.done(desk, request.evict(request.STORAGE_HANDLE, handle));
    expect(desk.chip.codes.slice(from + 1)).toEqual([0x173, 0x176, 0x120]);
    await flow.done(desk, request.flush(handle));
  });

  test("of persistent keys that the table has no room for are read again", async () => {
    const made = await flow.done(
      desk,
      request.createPrimary(request.OWNER, STORAGE_TEMPLATE_EMPTY),
    );
    const kept = [1, 2, 3, 4, 5, 6, 7].map((number) => 0x81000200 + number);
    for (const handle of kept) await flow.done(desk, request.persist(made.handle, handle));
    for (let left = 3; left > 0; left--) await flow.done(desk, request.startPolicy());
    await flow.done(desk, request.createPrimary(request.OWNER, STORAGE_TEMPLATE));
    const from = desk.chip.codes.length;
    for (const handle of kept) await flow.done(desk, request.evict(handle));
    const codes = desk.chip.codes.slice(from);
    expect(codes.filter((code) => code === 0x120)).toHaveLength(kept.length);
    // Two of the twelve were pushed out at least.
    expect(codes.filter((code) => code === 0x173).length).toBeGreaterThanOrEqual(2);
    expect(await look((client) => client.handles(0x81000000))).toEqual([]);
  });
});

test("what cannot be sent is refused without a command", async () => {
  const from = desk.chip.codes.length;
  const nothing = new Uint8Array(0);
  const asked = [
    request.createPrimary(request.OWNER, nothing),
    request.createPrimary(0x40000007, STORAGE_TEMPLATE_EMPTY),
    request.readPublic(0x01400001),
    request.persist(0x80000000, 0x80000001),
    request.persist(request.IDENTITY_HANDLE, request.SPARE_HANDLE),
    request.hmac(request.IDENTITY_HANDLE, new Uint8Array(1025)),
    request.load(request.STORAGE_HANDLE, nothing, nothing),
  ];
  for (const each of asked) expect((await desk.perform(each)).rc).toBe(0x00f00001);
  expect(desk.chip.codes.slice(from)).toEqual([]);
});
