// Sealing through the real port at a real software TPM: what the bus sees, and power cuts of the
// TPM at each command.
// Neighbours: `src/core/seal.ts` behind `src/port/courier.ts`; `tpm/fault.ts` records and cuts.
// Invariant: the TPM itself is asked what it holds, by `tpm/client.ts`.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import type { ChipEvents } from "../../src/core/effects.ts";
import { PROOF, Seal } from "../../src/core/seal.ts";
import { TimerAlarm } from "../../src/port/alarm.ts";
import { SystemClock } from "../../src/port/clock.ts";
import { Courier } from "../../src/port/courier.ts";
import { SocketChip } from "../../src/port/swtpm.ts";
import { Client } from "../tpm/client.ts";
import { FaultChip } from "../tpm/fault.ts";
import { Swtpm } from "../tpm/swtpm.ts";
import { library } from "./desk.ts";

const IDENTITY = 0x81000100;
const SPARE = 0x81000101;
const KEY = Buffer.from("a key of 64 bytes, the longest that fits, is what this text is: 64");

let tpm: Swtpm;
beforeEach(async () => {
  tpm = await Swtpm.unix();
});
afterEach(() => tpm.stop());

const signed = (): Buffer => createHmac("sha256", key()).update(PROOF).digest();
const key = (): Buffer => KEY.subarray(0, 64);

/** One sealing; at command number `cut` the TPM loses its power. */
async function seal(cut = -1): Promise<{ problem: string; chip: FaultChip }> {
  let chip!: FaultChip;
  const { promise, resolve } = Promise.withResolvers<void>();
  const makeChip = (events: ChipEvents): FaultChip => {
    chip = new FaultChip(events, (inner) => new SocketChip(inner, tpm.place));
    return chip;
  };
  const events = {
    onTpmOpened: () => sealing.onTpmOpened(),
    onTpmClosed: (detail: string) => sealing.onTpmClosed(detail),
    onTpmDone: (ticket: number, rc: number, handle: number, output: Uint8Array) =>
      sealing.onTpmDone(ticket, rc, handle, output),
  };
  const makeAlarm = (onAlarm: () => void): TimerAlarm => new TimerAlarm(onAlarm);
  const courier = new Courier(events, library(), new SystemClock(), makeChip, makeAlarm);
  const sealable = { key: key(), signature: signed(), isReplacing: false };
  const sealing: Seal = new Seal(courier, sealable, resolve);
  chip.rule = (_code, index) => {
    if (index === cut) resolve();
    return index >= cut && cut >= 0 ? "silence" : "forward";
  };
  sealing.start();
  await promise;
  courier.close();
  return { problem: sealing.problem, chip };
}

/** What the agent would sign with, if it finds a key. */
function signature(): Promise<Buffer | undefined> {
  return Client.with(tpm.place, async (client) => {
    await client.startup();
    expect(await client.leftovers()).toEqual([]);
    for (const place of [SPARE, IDENTITY]) {
      if ((await client.readPublic(place)) === undefined) continue;
      const made = await client.hmac(place, PROOF);
      if (typeof made !== "number") return made;
    }
    return undefined;
  });
}

test("the key is not seen on the bus, whole or in part, and signs as it should", async () => {
  const { problem, chip } = await seal();
  expect(problem).toBe("");
  const bytes = Buffer.concat([...chip.commands, ...chip.responses]);
  for (let at = 0; at + 8 <= 64; at++) {
    expect(bytes.includes(key().subarray(at, at + 8))).toBe(false);
  }
  expect(await signature()).toEqual(signed());
});

test("a power cut at any command leaves no key or all of it; sealing again works", async () => {
  const { chip } = await seal();
  const commands = chip.codes.length;
  expect(commands).toBeGreaterThan(15);
  let kept = 0;
  for (let cut = 0; ; cut++) {
    await tpm.stop();
    tpm = await Swtpm.unix();
    const { chip: cutChip } = await seal(cut);
    if (cutChip.codes.length <= cut) break;
    await tpm.kill();
    await tpm.restart();
    const found = await signature();
    if (found !== undefined) {
      kept++;
      expect(found).toEqual(signed());
    }
    if (cut % 4 !== 0) continue;
    expect((await seal()).problem).toBe("");
    expect(await signature()).toEqual(signed());
  }
  expect(kept).toBeGreaterThan(3);
});
