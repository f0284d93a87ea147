// Power cuts in the middle of a new registration, on a real software TPM: agent and TPM end at
// each command in turn, and after every cut the next start comes back with a working identity.
// Neighbours: the production turn behind the production port; `tpm/fault.ts` counts and cuts.
// Invariant: what the TPM and the disk held at the cut is all that the next start has.

import { expect, test } from "bun:test";
import { parseAssignment } from "../../src/core/assignment.ts";
import type { Ports, WebAnswer } from "../../src/core/effects.ts";
import { Prng } from "../../src/kit/prng.ts";
import { TimerAlarm } from "../../src/port/alarm.ts";
import { SystemClock } from "../../src/port/clock.ts";
import { Courier } from "../../src/port/courier.ts";
import { SocketChip } from "../../src/port/swtpm.ts";
import { Library } from "../../src/port/tpm.ts";
import { Turn } from "../../src/turn.ts";
import { CALM } from "../calm.ts";
import { assigned, challenged, hardware } from "../core/enclave.ts";
import { Shelf } from "../shelf.ts";
import { until } from "../site.ts";
import { FaultChip } from "../tpm/fault.ts";
import { libraryPath } from "../tpm/library.ts";
import { makeBlob } from "../tpm/maker.ts";
import { Swtpm } from "../tpm/swtpm.ts";

const library = new Library(libraryPath());

/** DPS: gives out a new device key at each registration, which is the valid one from then on. */
class Service {
  count = 0;
  key = Buffer.alloc(32);

  answer(body: string, isSigned: boolean): WebAnswer {
    const { endorsementKey, storageRootKey } = JSON.parse(body).tpm;
    const [endorsement, storage] = [endorsementKey, storageRootKey].map((text: string) =>
      Buffer.from(text, "base64"),
    );
    const blobFor = (key: Buffer): string => {
      const keys = { endorsementKey: endorsement!, storageKey: storage! };
      return makeBlob({ ...keys, key }).blob.toString("base64");
    };
    if (!isSigned) return challenged(blobFor(Buffer.alloc(32, 0xee)));
    this.key = Buffer.alloc(32, ++this.count);
    return assigned("gw7", blobFor(this.key));
  }
}

/** One life of the agent, from its start to its end or its cut. */
class Life {
  chip: FaultChip | undefined;
  private isOver = false;
  private readonly turn: Turn;
  private readonly tpm: Courier;

  constructor(
    tpm: Swtpm,
    service: Service,
    readonly disk: { text: string },
  ) {
    const clock = new SystemClock();
    // After the end nothing reaches the turn any more: the process is gone.
    const alive = (act: () => void): void => {
      if (!this.isOver) act();
    };
    this.tpm = new Courier(
      {
        onTpmOpened: () => alive(() => this.turn.onTpmOpened()),
        onTpmClosed: (detail) => alive(() => this.turn.onTpmClosed(detail)),
        onTpmDone: (...answer) => alive(() => this.turn.onTpmDone(...answer)),
      },
      library,
      clock,
      (events) => {
        this.chip = new FaultChip(events, (inner) => new SocketChip(inner, tpm.place));
        return this.chip;
      },
      (onAlarm) => new TimerAlarm(onAlarm),
    );
    const later = (act: () => void): void => queueMicrotask(() => alive(act));
    const ports: Ports = {
      clock,
      uplink: { open: () => {}, write: () => 0, end: () => {}, abort: () => {} },
      signer: { sign: () => {} },
      probe: { probe: () => {} },
      pins: { drive: () => "" },
      alarm: { arm: () => {} },
      control: { reply: () => {} },
      log: { write: () => {} },
      tpm: this.tpm,
      web: {
        ask: (ticket, { body, authorization }) =>
          later(() => this.turn.onFetched(ticket, service.answer(body, authorization !== ""))),
      },
      memo: {
        text: disk.text,
        save: (text) => {
          disk.text = text;
          later(() => this.turn.onSaved(""));
        },
      },
      store: new Shelf(),
      upkeep: CALM,
      sha256: (bytes) => new Bun.CryptoHasher("sha256").update(bytes).digest(),
      reload: () => {},
      exit: () => {},
    };
    this.turn = new Turn(ports, hardware(), "", new Prng(1), "b00t");
    this.turn.start();
    this.tpm.open();
  }

  /** The signature for the hub, which is the last thing that a start asks of the TPM. */
  get signature(): string {
    return this.turn.agent.machines.identity.signature;
  }

  end(): void {
    this.isOver = true;
    this.tpm.close();
  }
}

/** What the hub would expect, whenever it was asked for: the token's text is signed by this key. */
async function isGood(life: Life, service: Service): Promise<boolean> {
  await until("a signature", () => life.signature !== "");
  const { commands } = life.chip!;
  const mac = commands.findLast((one) => Buffer.from(one).readUInt32BE(6) === 0x155)!;
  const text = Buffer.from(mac)
    .toString("latin1")
    .match(/hub7[^\0]*\n\d+/)![0];
  const expected = new Bun.CryptoHasher("sha256", service.key).update(text).digest("base64");
  return life.signature === expected;
}

const pending = (text: string): string => text.replace('"isPending":false', '"isPending":true');

test("agent and TPM cut at every command of a new registration: it always comes back", async () => {
  const tpm = await Swtpm.unix();
  const service = new Service();
  const disk = { text: "" };
  let cuts = 0;
  try {
    const first = new Life(tpm, service, disk);
    expect(await isGood(first, service)).toBe(true);
    first.end();
    for (let command = 0; ; command++) {
      disk.text = pending(disk.text);
      const life = new Life(tpm, service, disk);
      const cut = await cutAt(life, command);
      life.end();
      if (!cut) break;
      cuts++;
      await tpm.kill();
      await tpm.restart();
      const next = new Life(tpm, service, disk);
      expect([command, await isGood(next, service)]).toEqual([command, true]);
      expect(parseAssignment(disk.text)?.isPending).toBe(false);
      next.end();
    }
    expect(cuts).toBeGreaterThan(20);
  } finally {
    await tpm.stop();
  }
}, 60_000);

/** Lets `commands` go through and holds the next for ever; false when there is none. */
async function cutAt(life: Life, commands: number): Promise<boolean> {
  let isCut = false;
  life.chip!.rule = (_code, index) => {
    if (index < commands) return "forward";
    isCut = true;
    return "silence";
  };
  await until("the cut or the end", () => isCut || life.signature !== "");
  return isCut;
}
