// Tests of `azimuth seal` and of a sealed gateway as processes: a software TPM, local Azure, the
// agent, and ends by SIGKILL at every command and every file operation.
// Neighbours: `site.ts`, `tpm/gate.ts`, `cut.ts`; `tpm/client.ts` asks the TPM itself.
// Invariant: nothing waits for a fixed time; whatever is not seen in 30 s has failed.

import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHmac } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import type { Server } from "node:net";
import { join, resolve } from "node:path";
import { MAIN, type Said, Site, until } from "./site.ts";
import { Client, OWNER } from "./tpm/client.ts";
import { startGate } from "./tpm/gate.ts";
import { libraryPath } from "./tpm/library.ts";
import { Swtpm } from "./tpm/swtpm.ts";

setDefaultTimeout(120_000);

const IDENTITY = 0x81000100;
const SPARE = 0x81000101;
const CUT = resolve(import.meta.dir, "cut.ts");
const TEXT = Buffer.from("some text");

let site: Site;
let tpm: Swtpm;
let gate: Server | undefined;
beforeEach(async () => {
  libraryPath();
  tpm = await Swtpm.unix();
  site = await Site.open();
  settings();
});
afterEach(async () => {
  gate?.close();
  gate = undefined;
  await site.close();
  await tpm.stop();
});

const socket = (): string => ("path" in tpm.place ? tpm.place.path : "");
const ini = (): string => readFileSync(site.path("azimuth.ini"), "utf8");
const seal = (...words: string[]): Promise<Said> => site.command("seal", ...words);

function settings(more: Record<string, string> = {}): void {
  site.settings({ "endpoint tpm": `swtpm:${socket()}`, ...more });
}

/** Settings with the connection string in a file of its own: the path of that. */
function apart(more: Record<string, string> = {}): string {
  const path = site.path("connection");
  const text = /^connection-string = (.*)$/m.exec(ini())![1]!;
  writeFileSync(path, `${text}\n`, { mode: 0o600 });
  settings({ "endpoint connection-string": "", "endpoint connection-string-file": path, ...more });
  return path;
}

/** Runs `azimuth seal` with a script before it, or something to do with its process. */
async function spawned(env: Record<string, string>, more: readonly string[]) {
  const words = [...more, MAIN, "seal", "-c", site.path("azimuth.ini")];
  return Bun.spawn([process.execPath, ...words], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
    env: { ...process.env, ...env },
  });
}

/** What the agent would sign with the TPM: whether that is the key of the site. */
function isInTpm(): Promise<boolean> {
  return Client.with(tpm.place, async (client) => {
    await client.startup();
    const place = (await client.readPublic(SPARE)) === undefined ? IDENTITY : SPARE;
    const made = await client.hmac(place, TEXT);
    if (typeof made === "number") return false;
    return made.equals(createHmac("sha256", Buffer.from(site.key, "base64")).update(TEXT).digest());
  });
}

/** Files of the site that hold the key, as text or as bytes. */
function withKey(folder = site.folder): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    if (!entry.isFile()) return [];
    const path = join(entry.parentPath, entry.name);
    const bytes = readFileSync(path);
    const isHeld = bytes.includes(site.key) || bytes.includes(Buffer.from(site.key, "base64"));
    return isHeld ? [path] : [];
  });
}

async function stop(): Promise<void> {
  site.agent!.kill("SIGTERM");
  expect(await site.agent!.exited).toBe(0);
}

/** Starts the agent, sees the lamp follow the twin, and stops it. */
async function works(wish: boolean): Promise<void> {
  site.start();
  await site.logged("connected to localhost as site1");
  site.desire({ LED1: wish });
  await until("the lamp as wished", () => site.lamp() === (wish ? "1" : "0"));
  await stop();
}

test("a gateway is sealed while it runs, and works as before without its key", async () => {
  site.start();
  await site.logged("connected to");
  const before = ini();
  const { code, out, err } = await seal();
  expect([code, out.split("\n")]).toEqual([
    0,
    [
      `${site.path("azimuth.ini")}: holds the key no more`,
      `sealed: the device key is in the TPM at swtpm:${socket()}, handle 0x81000100`,
      "an agent that runs goes on with the key that it has read; restart it",
      "",
    ],
  ]);
  expect(err).toContain("warning: flash, backups and an editor's copies may still hold");
  expect(ini()).toBe(before.replace(`;SharedAccessKey=${site.key}\n`, "\nkey = tpm\n"));
  expect((await site.command("reload")).out).toContain("[endpoint] must wait for a restart");
  await stop();
  expect(await isInTpm()).toBe(true);
  expect((await site.command("check")).code).toBe(0);

  site.start();
  await site.logged("connected to localhost as site1");
  site.desire({ LED1: true });
  await until("the lamp lit", () => site.lamp() === "1");
  expect(withKey()).toEqual([]);
  for (const name of ["environ", "cmdline"]) {
    expect(readFileSync(`/proc/${site.agent!.pid}/${name}`, "utf8")).not.toContain(site.key);
  }
  expect((await site.command("status")).out).toContain("\ntpm        idle\n");
  const again = await seal();
  expect([again.code, again.out, again.err]).toEqual([
    0,
    `${site.path("azimuth.ini")}: sealed already, the device key is in the TPM at ` +
      `swtpm:${socket()}\n`,
    "",
  ]);
  expect(site.log).not.toContain(site.key);
  settings();
  const held = await seal();
  expect([held.code, held.err]).toEqual([
    1,
    `azimuth seal: swtpm:${socket()}: no answer; another program has it: stop the agent, ` +
      "then seal; the settings are as they were\n",
  ]);
});

test("a connection string in a file of its own loses its key there, and nothing else", async () => {
  const path = apart();
  const [settingsBefore, stringBefore] = [ini(), readFileSync(path, "utf8")];
  const { code, out } = await seal();
  expect(code).toBe(0);
  expect(out).toStartWith(
    `${site.path("azimuth.ini")}: says where the key is\n${path}: holds the key no more\n`,
  );
  const line = `connection-string-file = ${path}\n`;
  expect(ini()).toBe(settingsBefore.replace(line, `${line}key = tpm\n`));
  expect(readFileSync(path, "utf8")).toBe(stringBefore.replace(`;SharedAccessKey=${site.key}`, ""));
  expect([statSync(path).mode & 0o777, withKey()]).toEqual([0o600, []]);
  await works(true);
});

test("another place than the usual one is said in the settings", async () => {
  settings({ "endpoint tpm": "" });
  expect((await seal("--tpm", `swtpm:${socket()}`)).code).toBe(0);
  expect(ini()).toContain(`;DeviceId=site1\nkey = tpm\ntpm = swtpm:${socket()}\n`);
  await works(true);
});

test("a TPM that was cleared is named; the string put back and sealed again heals it", async () => {
  expect((await seal()).code).toBe(0);
  const other = await Swtpm.unix();
  await tpm.stop();
  tpm = other;
  const sealed = ini().replace(/^tpm = .*$/m, `tpm = swtpm:${socket()}`);
  writeFileSync(site.path("azimuth.ini"), sealed);
  site.start();
  await site.logged(
    "there is no device key in the TPM: it was cleared or replaced; put the connection string " +
      "back into the settings and run azimuth seal again",
  );
  await site.logged("next attempt in");
  await stop();
  settings({ "endpoint key": "tpm" });
  const refused = await site.command("check");
  expect([refused.code, refused.err]).toEqual([1, expect.stringContaining("beside key = tpm")]);
  expect((await seal()).code).toBe(0);
  expect(withKey()).toEqual([]);
  await works(true);
});

describe("refused, with the settings as they were", () => {
  const refuses = async (line: string, ...words: string[]): Promise<void> => {
    const before = ini();
    const { code, out, err } = await seal(...words);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain(line);
    expect(err).not.toContain(site.key);
    expect(ini()).toBe(before);
  };
  const string = (key: string) => `HostName=h.net;DeviceId=d;SharedAccessKey=${key}`;

  test("a key that is too long, or none, or not base64", async () => {
    settings({ "endpoint connection-string": string(Buffer.alloc(65).toString("base64")) });
    await refuses("azimuth.ini: the key has 65 bytes; allowed: 1 .. 64");
    settings({ "endpoint connection-string": string("AAA") });
    await refuses("SharedAccessKey is not base64");
    settings({ "endpoint connection-string": "HostName=h.net;DeviceId=d" });
    await refuses("SharedAccessKey is missing (or x509=true, or key = tpm after azimuth seal)");
  });

  test("a type that has no key here, and another TPM than the file names", async () => {
    settings({
      "endpoint connection-string": "",
      "endpoint type": "tpm",
      "endpoint id-scope": "0ne1",
    });
    await refuses("the endpoint is of type tpm; allowed: sas, with a key to seal");
    settings();
    await refuses("--tpm /dev/tpm7 is not what ", "--tpm", "/dev/tpm7");
  });

  test("a key that stands in a comment, too", async () => {
    writeFileSync(site.path("azimuth.ini"), `# ${string(site.key)}\n${ini()}`);
    await refuses("azimuth.ini:1: holds the key too; take it out there first");
  });

  test("a TPM that is not there", async () => {
    settings({ "endpoint tpm": "/dev/tpm-of-nobody" });
    await refuses("the TPM could not look for keys: /dev/tpm-of-nobody: ENOENT: there is no TPM");
  });

  test("an owner with a password, until it is given", async () => {
    await Client.with(tpm.place, async (client) => {
      await client.startup();
      expect(await client.setPassword(OWNER, Buffer.from("owner"))).toBe(0);
    });
    await refuses("--owner-password-file names the file with it");
    writeFileSync(site.path("password"), "owner\n", { mode: 0o644 });
    const { code, err } = await seal("--owner-password-file", site.path("password"));
    expect(code).toBe(0);
    expect(err).toContain("warning: ");
    expect(err).toContain("password: others may read this secret (mode 0644); chmod 600 it");
    expect(await isInTpm()).toBe(true);
  });

  test("a key from elsewhere at that place, unless it is given up", async () => {
    await Client.with(tpm.place, async (client) => {
      await client.startup();
      const template = Buffer.from("00100008000b0004047200000005000b0000", "hex");
      const { handle } = await client.createPrimary(OWNER, template);
      expect(await client.evict(handle, IDENTITY)).toBe(0);
      await client.flush(handle);
    });
    await refuses("the TPM has a key at 0x81000100 that azimuth seal has not made");
    expect(await isInTpm()).toBe(false);
    expect((await seal("--replace")).code).toBe(0);
    expect(await isInTpm()).toBe(true);
  });
});

test("a copy that an editor left is named, and that alone", async () => {
  writeFileSync(site.path("azimuth.ini~"), ini());
  const { err } = await seal();
  const told = err.split("\n").filter((line) => line.includes("holds the key too"));
  expect(told).toEqual([`warning: ${site.path("azimuth.ini~")}: holds the key too; remove it`]);
});

test("ended at any command to the TPM, the settings are whole and as they were", async () => {
  let commands = 0;
  let child: Awaited<ReturnType<typeof spawned>>;
  let cut = 0;
  gate = await startGate(site.path("gate"), socket(), () => {
    if (++commands === cut) child.kill("SIGKILL");
  });
  settings({ "endpoint tpm": `swtpm:${site.path("gate")}` });
  const before = ini();
  for (;;) {
    commands = 0;
    cut++;
    child = await spawned({}, []);
    const code = await child.exited;
    if (code === 0) break;
    expect([child.signalCode, ini()]).toEqual(["SIGKILL", before]);
  }
  expect(cut).toBeGreaterThan(20);
  expect(ini()).toContain("\nkey = tpm\n");
  expect(await isInTpm()).toBe(true);
  await works(true);
});

test("ended at any operation on the files, the gateway works: unsealed or sealed", async () => {
  const path = apart();
  const settingsBefore = ini();
  const stringBefore = readFileSync(path, "utf8");
  const seen: string[] = [];
  for (let cut = 1; ; cut++) {
    writeFileSync(site.path("azimuth.ini"), settingsBefore);
    writeFileSync(path, stringBefore);
    const child = await spawned({ CUT_AT: String(cut) }, ["--preload", CUT]);
    const code = await child.exited;
    const isSaid = ini() !== settingsBefore;
    const isFreed = readFileSync(path, "utf8") !== stringBefore;
    if (isSaid) expect([ini().includes("\nkey = tpm\n"), await isInTpm()]).toEqual([true, true]);
    if (isFreed)
      expect([isSaid, readFileSync(path, "utf8").includes(site.key)]).toEqual([true, false]);
    const state = `${isSaid ? "said" : "not said"}, ${isFreed ? "freed" : "not freed"}`;
    if (code === 0) break;
    expect(child.signalCode).toBe("SIGKILL");
    const { code: sound, err } = await site.command("check");
    expect(sound).toBe(0);
    expect(err.includes("still holds a key, which is not used")).toBe(isSaid && !isFreed);
    // A start of each state that there is, and then sealing once more.
    if (!seen.includes(state)) await works(seen.length % 2 === 0);
    seen.push(state);
    if (state !== "said, not freed" || seen.at(-2) === state) continue;
    expect((await seal()).code).toBe(0);
    expect(withKey()).toEqual([]);
  }
  expect([...new Set(seen)]).toEqual(["not said, not freed", "said, not freed", "said, freed"]);
  expect(withKey()).toEqual([]);
  await works(true);
});
