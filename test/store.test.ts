// Tests of the whole agent as a process, for its messages: kills, stops, and stores that are bad.
// Neighbours: `site.ts` runs it at local Azure; `soak/kill.ts` kills it thousands of times.
// Invariant: what was accepted is what `azimuth status` of the process that died had told.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import type { Status } from "../src/core/status.ts";
import { Site, until } from "./site.ts";

let site: Site;
beforeEach(async () => {
  site = await Site.open();
});
afterEach(() => site.close());

const OFFLINE = { "endpoint mqtt-port": "1", "network transport": "mqtts" };

async function status(): Promise<Status> {
  return JSON.parse((await site.command("status", "--json")).out) as Status;
}

/** Starts an agent that reaches no hub, and waits for messages that it has accepted. */
async function offline(count: number, more: Record<string, string> = {}): Promise<number> {
  site.settings({ ...OFFLINE, ...more });
  site.start();
  await site.logged("nothing listens");
  await untilStatus(({ queue }) => queue.accepted >= count);
  return (await status()).queue.accepted;
}

/** Lets the next agent reach the hub, and waits for the messages of the one before. */
async function arrived(count: number): Promise<string[]> {
  site.settings({});
  site.start();
  await site.logged("connected to");
  const first = await until("a message", () => site.received()[0]);
  const boot = first.split(".")[0]!;
  const ofBoot = () => site.received().filter((id) => id.startsWith(`${boot}.`));
  return until(`${count} messages`, () => ofBoot().length >= count && ofBoot());
}

describe("messages made while there is no connection", () => {
  test("outlive kill -9 and arrive in their order after the next start", async () => {
    const accepted = await offline(3);
    site.agent!.kill("SIGKILL");
    await site.agent!.exited;
    const ids = await arrived(accepted);
    expect(ids.map((id) => Number(id.split(".")[1])).slice(0, 3)).toEqual([1, 2, 3]);
    expect(site.log).toMatch(/notice \d+ messages wait from an earlier run/);
    const { mode } = statSync(site.path("state/queue.db"));
    expect(mode & 0o777).toBe(0o600);
    expect(statSync(site.path("state")).mode & 0o777).toBe(0o700);
  });

  test("outlive a stop, which says how many wait", async () => {
    const accepted = await offline(2);
    site.agent!.kill("SIGTERM");
    expect(await site.agent!.exited).toBe(0);
    const said = /stopped; (\d+) messages wait for the next start/.exec(site.log);
    expect(Number(said?.[1])).toBeGreaterThanOrEqual(accepted);
    const ids = await arrived(Number(said![1]));
    expect(new Set(ids).size).toBe(Number(said![1]));
  });

  test("are lost with a store in memory, and that is said; nothing is on disk", async () => {
    await offline(2, { "data store.place": "memory" });
    site.agent!.kill("SIGTERM");
    expect(await site.agent!.exited).toBe(0);
    expect(site.log).toMatch(/warning stopped; \d+ messages in memory are lost/);
    expect(readdirSync(site.folder)).not.toContain("state");
  });
});

test("a stop gives what is in flight its time; what waits stays for the next start", async () => {
  site.azure.hub.faults.add({ kind: "delay-puback", device: "site1", ms: 2500, count: 1000 });
  site.settings({ "data in-flight-messages.max-number": "1" });
  site.start();
  await site.logged("connected to");
  await until("a message in flight and one that waits", () => site.received().length >= 1);
  await untilStatus(({ queue }) => queue.waiting > 0);
  site.agent!.kill("SIGTERM");
  expect(await site.agent!.exited).toBe(0);
  const said = /stopped; (\d+) messages? waits? for the next start/.exec(site.log);
  expect(Number(said?.[1])).toBeGreaterThan(0);
  // What was in flight was acknowledged in time, and does not come again.
  const before = site.received();
  site.azure.hub.faults.clear();
  site.start();
  const after = await until("the next ones", () => {
    return site.received().length > before.length && site.received();
  });
  expect(new Set(after).size).toBe(after.length);
});

describe("a store that", () => {
  test("cannot be made is one clear line; the agent connects, and its lamps work", async () => {
    writeFileSync(site.path("file"), "");
    site.settings({ "agent state-dir": site.path("file/state") });
    site.start();
    await site.logged("connected to");
    expect(site.log).toContain("error no message is accepted until the store opens: make [agent]");
    await site.logged("telemetry is refused: the store takes nothing");
    site.desire({ LED1: true });
    await until("the lamp lit", () => site.lamp() === "1");
    const { queue } = await status();
    expect(queue).toMatchObject({ accepted: 0, trouble: expect.stringContaining("ENOTDIR") });
    expect(queue.refused).toBeGreaterThan(0);
    expect((await site.command("status")).out).toContain("refused by the store");
    site.agent!.kill("SIGTERM");
    expect(await site.agent!.exited).toBe(0);
  });

  test("is no database is set aside, kept and said; messages flow", async () => {
    mkdirSync(site.path("state"), { mode: 0o700 });
    const junk = "no database ".repeat(1000);
    writeFileSync(site.path("state/queue.db"), junk, { mode: 0o600 });
    site.start();
    await until("telemetry", () => site.received().length >= 1);
    expect(site.log.split("\n").filter((line) => line.includes("queue.db"))).toHaveLength(1);
    const kept = readdirSync(site.path("state")).filter((name) => name.includes("queue.db."));
    expect(kept.length).toBeGreaterThan(0);
    expect(Math.max(...kept.map((name) => statSync(site.path(`state/${name}`)).size))).toBe(
      junk.length,
    );
  });

  test("has no room refuses, says so once, and takes messages again when it has", async () => {
    // No file of the agent may grow: as a full disk, for who writes to it.
    site.launcher = ["sh", "-c", 'trap "" XFSZ; exec "$@"', "sh"];
    site.start();
    await until("telemetry", () => site.received().length >= 1);
    growTo("1:");
    await site.logged("error messages are not accepted: ");
    const { refused } = (await status()).queue;
    await untilStatus(({ queue }) => queue.refused > refused + 1 && queue.trouble !== null);
    expect(site.log.split("messages are not accepted")).toHaveLength(2);
    const before = site.received().length;
    growTo("unlimited:");
    await site.logged("messages are accepted again; ");
    await until("telemetry again", () => site.received().length > before);
    expect((await status()).queue.trouble).toBeNull();
  });
});

/** Bounds the files of the agent: its soft limit, in bytes. */
function growTo(limit: string): void {
  const words = ["prlimit", `--pid=${site.agent!.pid}`, `--fsize=${limit}`];
  expect(Bun.spawnSync(words).exitCode).toBe(0);
}

async function untilStatus(isSeen: (status: Status) => boolean): Promise<void> {
  while (!isSeen(await status())) await Bun.sleep(50);
}
