/**
 * The client's commands for the provisioning service, and what a restart knows. Neighbours:
 * `enrollment.ts` has the commands; each runs in its own process here. Invariant: an operator needs
 * nothing but the folder of the emulator.
 */
import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Caller } from "./caller.ts";
import { Chip } from "./chip.ts";
import { runCommand } from "./client.ts";
import type { EnrollOptions } from "./enrollment.ts";
import { Issuer } from "./issuer.ts";
import { KEY } from "./lab.ts";
import { findPlace, Remote } from "./remote.ts";
import { type Emulator, startEmulator } from "./server/emulator.ts";
import { Usage } from "./words.ts";

const MAIN = join(import.meta.dir, "main.ts");
const root = mkdtempSync(join(tmpdir(), "azure-enroll-"));
const data = join(root, "data");
const issuer = new Issuer();
const chip = Chip.make();
let emulator: Emulator;

const start = (): Emulator => startEmulator({ data, idScope: "0ne77", dps: { assignMs: 0 } });

beforeAll(() => {
  emulator = start();
});

afterAll(() => {
  emulator.stop();
  issuer.remove();
  rmSync(root, { recursive: true, force: true });
});

async function run(words: readonly string[], input = "") {
  const child = Bun.spawn([process.execPath, MAIN, ...words], {
    stdin: Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
  });
  const out = await new Response(child.stdout).text();
  const problem = await new Response(child.stderr).text();
  return { code: await child.exited, out, problem };
}

const client = (...words: string[]) => run([...words, "--data", data]);

/** A command without options, in this process: what it prints, or throws. */
async function inside(command: string, ...words: string[]): Promise<string> {
  let out = "";
  const print = spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  try {
    await runCommand(new Remote(findPlace({ data })), command, words, {});
  } finally {
    print.mockRestore();
  }
  return out;
}

/** JSON of a command that must succeed. */
async function shown(...words: string[]) {
  const { code, out, problem } = await client(...words);
  expect([code, problem]).toEqual([0, ""]);
  return JSON.parse(out);
}

describe("enroll", () => {
  test("--tpm takes an enrollment from a file, with what else is to be", async () => {
    const attestation = { type: "tpm", tpm: { endorsementKey: chip.endorsementKey } };
    const file = join(root, "enrollment.json");
    const registrationId = chip.registrationId;
    const enrollment = { registrationId, deviceId: "ac:de:48:00:11:22", attestation };
    writeFileSync(file, JSON.stringify(enrollment));
    const twin = '{"LED1":true}';
    const made = await shown("enroll", "--tpm", file, "--twin", twin, "--reprovision", "keep");
    expect(made).toEqual({
      idScope: "0ne77",
      registrationId,
      deviceId: "ac:de:48:00:11:22",
      type: "tpm",
    });
    expect(emulator.hub.dps.getEnrollment("device", registrationId)).toMatchObject({
      initialTwin: { properties: { desired: { LED1: true } } },
      reprovisionPolicy: { updateHubAssignment: false },
    });
    const again = await client("enroll", "--tpm", file);
    expect([again.code, again.problem]).toEqual([
      1,
      `azure: 409001 ${registrationId} is enrolled already; give its etag\n`,
    ]);
  });

  test("--tpm takes the bare facts, from the command line or stdin", async () => {
    const other = Chip.make();
    const facts = { registrationId: "bare", endorsementKey: other.endorsementKey };
    const made = await shown("enroll", "--tpm", JSON.stringify(facts), "--device-id", "d9");
    expect(made).toMatchObject({ registrationId: "bare", deviceId: "d9" });
    const piped = JSON.stringify({ ...facts, registrationId: "piped" });
    const { out } = await run(["enroll", "--tpm", "-", "--data", data], piped);
    expect(JSON.parse(out).registrationId).toBe("piped");
  });

  test("--symmetric shows the keys once, for the device", async () => {
    const made = await shown("enroll", "--symmetric", "s1", "--hub", "localhost");
    expect(made).toMatchObject({ registrationId: "s1", type: "symmetricKey" });
    expect(Buffer.from(made.primaryKey, "base64")).toHaveLength(64);
    const given = await shown("enroll", "--symmetric", "s2", "--primary-key", KEY, "--disabled");
    expect(given.primaryKey).toBe(KEY);
    expect((await shown("enrollment", "show", "s2")).provisioningStatus).toBe("disabled");
  });

  test("--group makes a group by key or by authority; a device's key is derived", async () => {
    const made = await shown("enroll", "--group", "fleet", "--primary-key", KEY);
    expect(made).toMatchObject({ enrollmentGroupId: "fleet", primaryKey: KEY });
    const { out } = await client("enrollment", "key", "fleet", "gw-1");
    const derived = createHmac("sha256", Buffer.from(KEY, "base64")).update("gw-1");
    expect(out).toBe(`${derived.digest("base64")}\n`);
    const { root: authority } = issuer.authorities("fleet");
    const cert = join(root, "authority.pem");
    writeFileSync(cert, authority.cert);
    const signed = await shown("enroll", "--group", "signed", "--cert", cert);
    expect(signed).toEqual({ idScope: "0ne77", enrollmentGroupId: "signed", type: "x509" });
    const own = await shown("enroll", "--x509", "x1", "--cert", cert);
    expect(own).toMatchObject({ registrationId: "x1", type: "x509" });
  });
});

describe("enrollment and registration", () => {
  test("list, show, disable, enable, delete", async () => {
    await client("enroll", "--symmetric", "m1", "--primary-key", KEY);
    await client("enroll", "--group", "m2", "--primary-key", KEY);
    expect(await inside("enrollment", "disable", "m1")).toBe("");
    const list = (await inside("enrollment", "list")).split("\n");
    expect(list).toContain("m1 device symmetricKey disabled");
    expect(list).toContain("m2 group symmetricKey enabled");
    await inside("enrollment", "enable", "m1");
    const found = JSON.parse(await inside("enrollment", "show", "m1"));
    expect(found.provisioningStatus).toBe("enabled");
    expect((await shown("enrollment", "show", "m2")).enrollmentGroupId).toBe("m2");

    const { idScope } = emulator.ready;
    const caller = new Caller(emulator.ready);
    const sas = caller.token(`${idScope}/registrations/m1`, KEY, "registration");
    const headers = { authorization: sas, "content-type": "application/json" };
    const path = `/${idScope}/registrations/m1/register?api-version=2021-06-01`;
    expect((await caller.call("PUT", path, { headers, body: {} })).status).toBe(202);
    emulator.hub.tick();
    expect(JSON.parse(await inside("registration", "show", "m1")).status).toBe("assigned");
    await inside("registration", "delete", "m1");
    const gone = await client("registration", "show", "m1");
    expect([gone.code, gone.problem]).toEqual([
      1,
      "azure: 404202 registration m1 does not exist\n",
    ]);
    for (const id of ["m1", "m2"]) await inside("enrollment", "delete", id);
    const missing = inside("enrollment", "show", "m2");
    await expect(missing).rejects.toThrow(/404201 .*m2 does not exist/);
  });

  test("are reached by address, authority and key as well", async () => {
    const { caFile, httpsPort, dpsKey } = emulator.ready;
    const where = ["--url", `https://localhost:${httpsPort}`, "--ca", caFile];
    const words = ["enrollment", "list", ...where];
    expect((await run([...words, "--dps-key", dpsKey])).code).toBe(0);
    expect((await run([...words, "--dps-key", KEY])).problem).toMatch(/^azure: 401002 Unauth/);
    const without = await run([...words, "--key", KEY]);
    expect([without.code, without.problem]).toEqual([
      1,
      "azure: the provisioning service wants --dps-key B64\n",
    ]);
  });

  test("are known after a restart", async () => {
    await client("enroll", "--symmetric", "kept", "--primary-key", KEY);
    const before = emulator.hub.dps.snapshot();
    emulator.stop();
    emulator = start();
    expect(emulator.hub.dps.snapshot()).toEqual(before);
    expect((await shown("enrollment", "show", "kept")).registrationId).toBe("kept");
  });
});

describe("a wrong command", () => {
  const cases: [string[], EnrollOptions, RegExp][] = [
    [["enroll"], {}, /one of --tpm FILE\|JSON, --symmetric ID, --x509 ID, --group ID/],
    [["enroll"], { symmetric: "a", group: "b" }, /takes one of/],
    [["enroll"], { tpm: "{" }, /--tpm is not JSON/],
    [["enroll"], { tpm: "{}" }, /must have registrationId/],
    [["enroll"], { x509: "x" }, /--cert FILE is missing/],
    [["enroll"], { symmetric: "a", reprovision: "odd" }, /migrate, reset or keep/],
    [["enroll"], { symmetric: "a", twin: "{" }, /--twin is not JSON/],
    [["enroll"], { symmetric: "a", twin: "null" }, /--twin is not a JSON object/],
    [["enrollment"], {}, /what to do with enrollments/],
    [["enrollment", "dance"], {}, /enrollment dance is unknown; allowed: list show/],
    [["enrollment", "show"], {}, /an enrollment id is missing/],
    [["registration"], {}, /what to do with registrations/],
    [["registration", "dance", "x"], {}, /registration dance is unknown/],
  ];
  for (const [[command, ...words], enroll, problem] of cases) {
    const what = [command, ...words, JSON.stringify(enroll)].join(" ");
    test(`${what} is one line of usage`, async () => {
      const remote = new Remote(findPlace({ data }));
      const ended = runCommand(remote, command!, words, { enroll });
      const error = await ended.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(Usage);
      expect((error as Usage).message).toMatch(problem);
    });
  }

  const refused: [string[], RegExp][] = [
    [["enroll", "--tpm", "/nonexistent"], /\/nonexistent: ENOENT/],
    [["enroll", "--symmetric", "a b"], /400004 registrationId must be/],
    [["enrollment", "key", "x1", "gw"], /x1 has no symmetric keys/],
  ];
  for (const [words, problem] of refused) {
    test(`${words.join(" ")} is one line and exit code 1`, async () => {
      const ended = await client(...words);
      expect([ended.code, ended.out]).toEqual([1, ""]);
      expect(ended.problem).toMatch(problem);
      expect(ended.problem.trim().split("\n")).toHaveLength(1);
    });
  }

  test("is exit code 2", async () => {
    expect((await client("enroll")).code).toBe(2);
  });
});
