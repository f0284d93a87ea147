// Tests of `azimuth tpm` as a process at a software TPM, as an operator runs it.
// Neighbours: `test/tpm/client.ts` asks the TPM itself what is true; local Azure takes the
// enrollment.
// Invariant: nothing is left in the TPM, whatever became of the command.

import { afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";
import { join, resolve } from "node:path";
import { startEmulator } from "./azure/server/emulator.ts";
import * as wire from "./tpm/client.ts";
import { Client } from "./tpm/client.ts";
import { refusal } from "./tpm/fault.ts";
import { startGate } from "./tpm/gate.ts";
import { libraryPath } from "./tpm/library.ts";
import { Swtpm } from "./tpm/swtpm.ts";

const MAIN = resolve(import.meta.dir, "../src/main.ts");
const AZURE = resolve(import.meta.dir, "azure/main.ts");
const EK = 0x81010001;
const SRK = 0x81000001;
const PERSISTENT = 0x81000000;
const LOCKOUT = 0x4000000a;
const CREATE_PRIMARY = 0x131;
/** The endorsement key's template with an empty unique. */
const EMPTY_TEMPLATE = wire.sized(
  Buffer.concat([wire.unsized(wire.EK_TEMPLATE).subarray(0, -258), wire.u16(0)]),
);

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

let swtpm: Swtpm;
let swtpmPath: string;
const servers: Server[] = [];

beforeAll(() => {
  libraryPath();
});
beforeEach(async () => {
  swtpm = await Swtpm.unix();
  swtpmPath = (swtpm.place as { path: string }).path;
});
afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  await swtpm.stop();
});

function spawn(...words: readonly string[]) {
  return Bun.spawn([process.execPath, MAIN, "tpm", ...words], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

async function said(child: ReturnType<typeof spawn>): Promise<Said> {
  const [code, out, err] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code, out, err };
}

const at = (place: string, ...words: readonly string[]) => said(spawn("--tpm", place, ...words));
const run = (...words: readonly string[]) => at(`swtpm:${swtpmPath}`, ...words);

async function report(...words: readonly string[]) {
  const { code, out, err } = await run("--json", ...words);
  expect([code, err]).toEqual([0, ""]);
  return JSON.parse(out);
}

/** Asks the TPM itself. */
function look<T>(work: (client: Client) => Promise<T>): Promise<T> {
  return Client.with(swtpm.place, async (client) => {
    await client.startup();
    return work(client);
  });
}

/** Keys that are persistent; and that nothing else is there. */
function kept(): Promise<number[]> {
  return look(async (client) => {
    expect(await client.leftovers()).toEqual([]);
    return client.handles(PERSISTENT);
  });
}

/** Makes and keeps both keys, as other software would have done it: the endorsement key. */
function prepare(template: Uint8Array = wire.EK_TEMPLATE): Promise<Buffer> {
  return look(async (client) => {
    const keys: readonly (readonly [number, Uint8Array, number])[] = [
      [wire.ENDORSEMENT, template, EK],
      [wire.OWNER, wire.SRK_TEMPLATE, SRK],
    ];
    for (const [hierarchy, bytes, handle] of keys) {
      const made = await client.createPrimary(hierarchy, bytes);
      expect(await client.evict(made.handle, handle)).toBe(0);
      await client.flush(made.handle);
    }
    return (await client.readPublic(EK))!;
  });
}

/** Wrong passwords for a key that counts them, until there are no more tries. */
async function lockOut(client: Client): Promise<void> {
  const sensitive = wire.sized(Buffer.concat([wire.sized(Buffer.from("right")), wire.u16(0)]));
  const template = wire.sized(Buffer.from("0008000b0004007200000005000b0000", "hex"));
  const tail = [sensitive, template, wire.u16(0), wire.u32(0)];
  const none = [Buffer.alloc(0)];
  const making = wire.authorised(CREATE_PRIMARY, [wire.OWNER], none, ...tail);
  const handle = (await client.send(making)).body.readUInt32BE(0);
  const data = [wire.sized(Buffer.from("data")), wire.u16(0x10)];
  const asked = wire.authorised(0x155, [handle], [Buffer.from("wrong")], ...data);
  const codes: number[] = [];
  while (codes.at(-1) !== 0x921) codes.push((await client.send(asked)).rc);
  // The first use of a key that counts is put off once (RETRY) while the TPM notes it.
  expect(codes).toEqual([0x922, 0x98e, 0x98e, 0x98e, 0x921]);
  await client.flush(handle);
}

/** A program that answers as it likes, at a socket of its own. */
function serve(onCommand: (socket: Socket) => void): Promise<string> {
  const path = join(swtpm.folder, "other");
  const { promise, resolve: ready } = Promise.withResolvers<string>();
  const server = createServer((socket) => socket.on("data", () => onCommand(socket)));
  servers.push(server);
  server.listen(path, () => ready(`swtpm:${path}`));
  return promise;
}

describe("a blank TPM", () => {
  test("is shown with the keys that the first registration makes, and stays blank", async () => {
    const { code, out, err } = await run();
    expect([code, err]).toEqual([0, ""]);
    expect(await kept()).toEqual([]);
    const blank = await report();
    expect(blank).toMatchObject({
      endorsementKeyState: "not persisted yet",
      storageRootKeyState: "not persisted yet",
      persistentHandles: [],
      manufacturer: "IBM",
      model: "SW TPM",
      specificationFamily: "2.0",
    });
    const lines = out.split("\n");
    for (const name of ["registrationId", "endorsementKey", "storageRootKey"]) {
      expect(lines).toContain(blank[name]);
    }
    const endorsementKey = await prepare();
    expect(blank.endorsementKey).toBe(endorsementKey.toString("base64"));
  });

  test("--create makes and keeps them, once", async () => {
    const created = await report("--create");
    expect(created).toMatchObject({
      endorsementKeyState: "created now",
      storageRootKeyState: "created now",
      endorsementKeyTemplate: "TCG L-1",
    });
    expect(await kept()).toEqual([SRK, EK]);
    const again = await report("--create");
    expect(again.endorsementKey).toBe(created.endorsementKey);
    expect(again).toMatchObject({ endorsementKeyState: "persistent", notes: [] });
    const read = await look((client) => client.readPublic(SRK));
    expect(again.storageRootKey).toBe(read!.toString("base64"));
  });

  test("--qr draws a code as wide as a serial console", async () => {
    const { code, out } = await run("--qr");
    expect(code).toBe(0);
    const drawing = out.split("\n").filter((line) => line.startsWith("\x1b["));
    expect(drawing).toHaveLength(40);
    for (const line of drawing) expect(line.replaceAll(/\x1b\[[0-9;]*m/g, "")).toHaveLength(79);
  });
});

describe("a prepared TPM", () => {
  test.each([
    ["TCG L-1", wire.EK_TEMPLATE],
    ["empty unique", EMPTY_TEMPLATE],
  ])("whose key is %s: its keys, and Microsoft's registration id", async (name, template) => {
    const endorsementKey = await prepare(template);
    const shown = await report();
    expect(shown).toMatchObject({
      endorsementKey: endorsementKey.toString("base64"),
      endorsementKeyState: "persistent",
      endorsementKeyTemplate: name,
      persistentHandles: [{ use: "storage root key" }, { use: "endorsement key" }],
      notes: [],
    });
    const hash = createHash("sha256").update(endorsementKey).digest();
    const id = Bun.spawnSync(["base32", "-w0"], { stdin: hash }).stdout.toString();
    expect(shown.registrationId).toBe(id.replaceAll("=", "").toLowerCase());
    expect(await kept()).toEqual([SRK, EK]);
  });

  test("with passwords: what can be read without them", async () => {
    await prepare();
    await look(async (client) => {
      expect(await client.setPassword(wire.ENDORSEMENT, Buffer.from("e"))).toBe(0);
      expect(await client.setPassword(wire.OWNER, Buffer.from("o"))).toBe(0);
      expect(await client.setPassword(LOCKOUT, Buffer.from("l"))).toBe(0);
    });
    expect(await report("--create")).toMatchObject({
      endorsementKeyState: "persistent",
      endorsementKeyTemplate: "unknown",
      passwordsSet: { owner: true, endorsement: true, lockout: true },
      lockout: { lockedOut: false, failedTries: 0 },
      notes: ["key template not found out: the endorsement password is set"],
    });
    await kept();
  });

  test("in lockout: it says so, and shows all", async () => {
    await prepare();
    await look(lockOut);
    expect(await report()).toMatchObject({
      endorsementKeyTemplate: "TCG L-1",
      lockout: { lockedOut: true, failedTries: 3, triesMax: 3, recoveryS: 1000 },
    });
    expect((await run()).out).toContain("LOCKED OUT; 3 of 3 failed tries");
    await kept();
  });
});

describe("passwords on a blank TPM", () => {
  test("owner: no storage root key, and none is created", async () => {
    await look((client) => client.setPassword(wire.OWNER, Buffer.from("o")));
    expect(await report()).toMatchObject({
      endorsementKeyState: "not persisted yet",
      storageRootKey: null,
      passwordsSet: { owner: true },
    });
    const { code, err } = await run("--create");
    expect([code, err.split("\n")]).toEqual([
      1,
      [expect.stringContaining("to keep one takes the owner password"), ""],
    ]);
    expect(await kept()).toEqual([]);
  });

  test("endorsement: no key to enroll", async () => {
    await look((client) => client.setPassword(wire.ENDORSEMENT, Buffer.from("e")));
    expect(await report()).toMatchObject({ endorsementKey: null, registrationId: null });
    const { code, out, err } = await run("--enrollment", "--device-id", "d");
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain("0x81010001 is empty");
    expect(err).toContain("the endorsement password is set");
  });
});

test("--enrollment goes into DPS as it is", async () => {
  const data = join(swtpm.folder, "azure");
  const emulator = startEmulator({ data, dps: { assignMs: 0 } });
  try {
    const endorsementKey = (await prepare()).toString("base64");
    const { code, out } = await run("--enrollment", "--device-id", "gateway-7");
    expect(code).toBe(0);
    const enroll = Bun.spawn([process.execPath, AZURE, "enroll", "--tpm", "-", "--data", data], {
      stdin: Buffer.from(out),
      stdout: "pipe",
      stderr: "inherit",
    });
    const answer = await new Response(enroll.stdout).text();
    expect(await enroll.exited).toBe(0);
    const { registrationId, deviceId } = JSON.parse(answer);
    expect(deviceId).toBe("gateway-7");
    expect(emulator.hub.dps.getEnrollment("device", registrationId)).toMatchObject({
      registrationId: (await report()).registrationId,
      attestation: { type: "tpm", tpm: { endorsementKey } },
      provisioningStatus: "enabled",
    });
  } finally {
    emulator.stop();
  }
});

describe("ended in the middle", () => {
  test("by SIGTERM it frees the key that is being made", async () => {
    const path = join(swtpm.folder, "gate");
    let child: ReturnType<typeof spawn> | undefined;
    const gate = await startGate(path, swtpmPath, async (code) => {
      if (code !== CREATE_PRIMARY) return;
      child!.kill("SIGTERM");
      // The signal comes first; the TPM is slower than this on any gateway.
      await Bun.sleep(100);
    });
    servers.push(gate);
    child = spawn("--tpm", `swtpm:${path}`);
    expect(await said(child)).toEqual({ code: 1, out: "", err: "azimuth tpm: interrupted\n" });
    gate.close();
    expect(await kept()).toEqual([]);
  });

  test("by a second SIGTERM at once, though the TPM keeps it waiting", async () => {
    const place = await serve(() => {
      const again = setInterval(() => child.kill("SIGTERM"), 20);
      void child.exited.then(() => clearInterval(again));
    });
    const child = spawn("--tpm", place);
    expect(await said(child)).toEqual({ code: 1, out: "", err: "azimuth tpm: interrupted\n" });
  });

  test("by SIGKILL again and again it finds room the next time", async () => {
    for (let round = 0; round < 3; round++) {
      const path = join(swtpm.folder, `gate${round}`);
      let child: ReturnType<typeof spawn> | undefined;
      const gate = await startGate(path, swtpmPath, async (code) => {
        if (code !== CREATE_PRIMARY) return;
        child!.kill("SIGKILL");
        await child!.exited;
      });
      servers.push(gate);
      child = spawn("--tpm", `swtpm:${path}`);
      await child.exited;
      expect(child.signalCode).toBe("SIGKILL");
    }
    const left = await look((client) => client.leftovers());
    expect(left).toHaveLength(3);
    expect(await report()).toMatchObject({ endorsementKeyState: "not persisted yet" });
    expect(await kept()).toEqual([]);
  });
});

describe("what is wrong is one line", () => {
  const line = (text: string) => ({ code: 1, out: "", err: `azimuth tpm: ${text}\n` });

  test("no device, and a device that is no TPM", async () => {
    const missing = "there is no TPM; enable it in the firmware, or load its driver";
    expect(await at("/dev/none")).toEqual(line(`/dev/none: ENOENT: ${missing}`));
    expect(await at("/dev/null")).toEqual(line("/dev/null: no answer to read"));
  });

  test("no swtpm", async () => {
    const start = "swtpm does not listen there; start it";
    await swtpm.kill();
    expect(await run()).toEqual(line(`${swtpmPath}: ECONNREFUSED: ${start}`));
    const path = join(swtpm.folder, "none");
    expect(await at(`swtpm:${path}`)).toEqual(line(`${path}: ENOENT: ${start}`));
    expect(await at("swtpm:127.0.0.1:1")).toEqual(line(`127.0.0.1:1: ECONNREFUSED: ${start}`));
  });

  test("a TPM that another program holds", async () => {
    const holder = await Client.connect(swtpm.place);
    await holder.startup();
    expect(await run()).toEqual(
      line(`swtpm:${swtpmPath}: no answer; another program has it, perhaps the agent`),
    );
    await holder.close();
    expect((await run()).code).toBe(0);
  }, 30_000);

  test("a TPM in failure mode", async () => {
    const place = await serve((socket) => void socket.write(refusal(0x101)));
    const advice = "only a restart of the gateway ends that, or a new TPM";
    expect(await at(place)).toEqual(
      line(`could not start it: 0x101: the TPM is in failure mode; ${advice}`),
    );
  });

  test("a TPM that goes away, and something that is none", async () => {
    const path = join(swtpm.folder, "other");
    const gone = await serve((socket) => socket.destroy());
    expect(await at(gone)).toEqual(line(`${path}: closed by the TPM`));
    servers.pop()!.close();
    const other = await serve((socket) => void socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"));
    expect(await at(other)).toEqual(line(`${path}: no TPM answers there`));
  });

  test("no library", async () => {
    const { code, err } = await run("--library", "/nowhere/libazimuth.so");
    expect(code).toBe(1);
    expect(err).toMatch(/^azimuth tpm: \/nowhere\/libazimuth\.so: not loaded: [^\n]+\n$/);
  });
});
